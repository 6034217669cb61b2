"""Tagging schemes: the tags of each scheme, how the scheme of a file is found, and the slots in a sequence of tags.

    O B-x I-x O      BIO (IOB2): a slot begins at B
    O I-x I-x O      IOB1: B only where a slot follows another of its name. IO: no B at all
    O B-x E-x S-y    BIOES: E ends a slot, S is a slot of one word
    O B-x L-x U-y    BILOU: the same with L and U
    O x   x   O      plain: labels without a prefix; equal neighbours are one slot

A valid sequence is read as in `seqeval.scheme` (strict mode). A sequence with a mistake, such as an I after O, is read as in
seqeval's default mode: a slot begins there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from attrition.names import AttritionError, look_up

SchemeName = Literal["auto", "bio", "iob1", "bioes", "bilou", "plain"]
SCHEMES: tuple[SchemeName, ...] = get_args(SchemeName)

_PREFIXES: Mapping[str, str] = {"bio": "BI", "iob1": "BI", "bioes": "BIES", "bilou": "BILU"}
_TAG = re.compile(r"([BIESLU])-(\S.*)")
_NAMELESS = re.compile(r"[BIESLU]-?\s*")

Span = tuple[int, int, str]
"""First word, last word + 1, name."""


class TagError(AttritionError):
    """A tag that is not in its scheme; `place` is its index in the sequence."""

    def __init__(self, message: str, place: int) -> None:
        super().__init__(message)
        self.place = place


def has_prefix(tag: str) -> bool:
    """Return True for a tag of a scheme with prefixes: "O", or a prefix, a hyphen and a name.

    >>> [has_prefix(tag) for tag in ("O", "B-time", "U-time", "time", "B-")]
    [True, True, True, False, False]
    """
    return tag == "O" or bool(_TAG.fullmatch(tag))


def scheme_of(tags: Iterable[str]) -> SchemeName:
    """Return the scheme of a file from all its tags: "plain" without prefixes, else the smallest scheme with these prefixes.

    If the tags mix several schemes, or tags with and without a prefix, the result is the likeliest scheme; `tag_spans` then
    refuses the tags that are not in it.

    >>> scheme_of(["O", "B-time", "I-time"]), scheme_of(["O", "U-time"]), scheme_of(["O", "time"])
    ('bio', 'bilou', 'plain')
    """
    distinct = set(tags) - {"O"}
    prefixes = {found[1] for tag in distinct if (found := _TAG.fullmatch(tag))}
    if not prefixes and any(not _NAMELESS.fullmatch(tag) for tag in distinct):
        return "plain"
    if prefixes & set("LU") and not prefixes & set("ES"):
        return "bilou"
    return "bioes" if prefixes & set("ES") else "bio"


def tag_spans(tags: Sequence[str], scheme: SchemeName = "auto") -> list[Span]:
    """Return the slots in a sequence of tags; "auto" finds the scheme from these tags only.

    Raises:
        TagError: a tag is not in the scheme.
        UnknownNameError: there is no such scheme.

    >>> tag_spans(["B-time", "I-time", "O", "I-date", "B-date"])
    [(0, 2, 'time'), (3, 4, 'date'), (4, 5, 'date')]
    >>> tag_spans(["B-time", "E-time", "S-date"]), tag_spans(["time", "time", "O", "date"], "plain")
    ([(0, 2, 'time'), (2, 3, 'date')], [(0, 2, 'time'), (3, 4, 'date')])
    """
    look_up(scheme, dict.fromkeys(SCHEMES), kind="tagging scheme")
    if scheme == "auto":
        scheme = scheme_of(tags)
    spans: list[Span] = []
    start, open_name = 0, ""
    for place, tag in enumerate((*tags, "O")):
        prefix, name = _parts(tag, scheme, place)
        if open_name and (prefix in "BSU" or name != open_name):
            spans.append((start, place, open_name))
            open_name = ""
        if name and not open_name:
            start, open_name = place, name
        if open_name and prefix in ("E", "S", "L", "U"):
            spans.append((start, place + 1, open_name))
            open_name = ""
    return spans


def _parts(tag: str, scheme: SchemeName, place: int) -> tuple[str, str]:
    """Return a tag's prefix and name; plain labels count as inside."""
    if tag == "O":
        return "O", ""
    if scheme == "plain":
        if not tag.strip():
            raise TagError(f"{tag!r} is not a label. Write 'O' for a word without one.", place)
        return "I", tag
    found = _TAG.fullmatch(tag)
    if not found or found[1] not in _PREFIXES[scheme]:
        allowed = ", ".join(["'O'", *(f"'{prefix}-name'" for prefix in _PREFIXES[scheme])])
        raise TagError(
            f"{tag!r} is not a tag of {scheme.upper()}, whose tags are {allowed}. Correct it, or name the scheme of the files: "
            f"{', '.join(SCHEMES[1:])} (plain: labels without a prefix). If this line is a header, name the column of tags.",
            place,
        )
    return found[1], found[2]
