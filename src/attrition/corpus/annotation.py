"""Parses MASSIVE's bracket notation, `wake me at [time : five am]`, into character spans of the plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable

import regex

from attrition.corpus.base import Slot
from attrition.names import AttritionError

Ranges = tuple[tuple[int, int], ...]

BLANKS = " \t"
"""The characters that separate words: U+0020 and tab.

Python's `str.split` also splits at no-break and ideographic spaces. In these corpora they are content, like zero-width
joiners (Persian, Malayalam, Khmer): they are kept.
"""

_NONE: tuple[Slot, ...] = ()
_VISIBLE = regex.compile(r"[^\p{Cc}\p{Cf}\p{Z}]")
_HIDDEN = regex.compile(r"[\p{Cc}\p{Cf}]")
_WORD = re.compile(r"[^ \t]+")
# No class matches a bracket, so a failed match stops at the next bracket: linear time for any input.
_SLOT = re.compile(r"\[([^\s\[\]]+) : ([^\[\]]*)\]")


def word_ranges(text: str) -> Ranges:
    """Return the blank-separated words of `text` as character ranges.

    >>> word_ranges("wake  me")
    ((0, 4), (6, 8))
    """
    return tuple(found.span() for found in _WORD.finditer(text))


def annotate(text: str, annotation: str, *, blanks_may_differ: bool = False) -> tuple[Ranges, tuple[Slot, ...]]:
    """Return the words of an annotation and its slots, both as character ranges of `text`.

    Words are cut at the blanks of the annotation. Without brackets the annotation must equal `text`. With
    `blanks_may_differ` (scripts without blanks) only the other characters must be equal, and words are cut at the blanks of
    both. Blanks at the edges of a slot are not part of it.

    Raises:
        AttritionError: malformed brackets, an empty slot, or an annotation that differs from `text`.

    >>> annotate("wake me at five am", "wake me at [time : five am]")
    (((0, 4), (5, 7), (8, 10), (11, 15), (16, 18)), (Slot(start=11, end=18, name='time'),))
    >>> annotate("五時に", "[time : 五時] に", blanks_may_differ=True)
    (((0, 2), (2, 3)), (Slot(start=0, end=2, name='time'),))
    """
    if "[" not in annotation and "]" not in annotation:
        plain, slots = annotation, _NONE
    else:
        plain, slots = _without_brackets(annotation)
    if plain == text:
        return word_ranges(text), slots
    if not blanks_may_differ:
        raise _differs(plain, text)
    return _aligned(plain, slots, text)


def refuse_hidden(text: str, slots: Iterable[Slot]) -> None:
    """Refuse an utterance or a slot that has only blanks, zero-width or control characters.

    Together with visible characters they are content: fa-IR, kn-IN, km-KH and others need them.

    Raises:
        AttritionError: the utterance or slot and its code points.

    >>> refuse_hidden("wake \\u200b", [Slot(5, 6, "time")])
    Traceback (most recent call last):
    attrition.names.AttritionError: slot 'time' holds nothing that can be seen (U+200B). Give it its words, or take it out.
    """
    if not _VISIBLE.search(text):
        raise AttritionError(
            f"the utterance holds nothing that can be seen ({_points(text)}). Give it its text, or take it out."
        )
    for slot in slots:
        if not _VISIBLE.search(text, slot.start, slot.end):
            points = _points(text[slot.start : slot.end])
            raise AttritionError(
                f"slot {slot.name!r} holds nothing that can be seen ({points}). Give it its words, or take it out."
            )


def refuse_hidden_in_name(name: str) -> None:
    """Refuse a slot name with a zero-width or control character: it would look like another name.

    Raises:
        AttritionError: the name and the character.

    >>> refuse_hidden_in_name("ti\\u200bme")
    Traceback (most recent call last):
    attrition.names.AttritionError: the slot name 'ti\\u200bme' holds U+200B, which cannot be seen. Take it out.
    """
    if hidden := _HIDDEN.search(name):
        raise AttritionError(f"the slot name {name!r} holds {_points(hidden[0])}, which cannot be seen. Take it out.")


def _points(text: str) -> str:
    """Return the code points of a text, each once."""
    found = list(dict.fromkeys(f"U+{ord(character):04X}" for character in text))
    return ", ".join(found[:4]) + (", ..." if len(found) > 4 else "")


def _without_brackets(annotation: str) -> tuple[str, tuple[Slot, ...]]:
    """Return the annotation's plain text, and its slots as ranges of that text."""
    pieces: list[str] = []
    slots: list[Slot] = []
    length = seen = 0
    for found in _SLOT.finditer(annotation):
        before = annotation[seen : found.start()]
        value = found[2]
        start = length + len(before) + len(value) - len(value.lstrip(BLANKS))
        end = length + len(before) + len(value.rstrip(BLANKS))
        if start >= end:
            raise AttritionError(f"slot {found[1]!r} is empty in {annotation!r}. Give it its words, or take the brackets away.")
        slots.append(Slot(start, end, found[1]))
        pieces += (before, value)
        length += len(before) + len(value)
        seen = found.end()
    pieces.append(annotation[seen:])
    plain = "".join(pieces)
    if "[" in plain or "]" in plain:
        raise AttritionError(f"unbalanced or misformed brackets in {annotation!r}. A slot is written '[name : its words]'.")
    return plain, tuple(slots)


def _aligned(plain: str, slots: tuple[Slot, ...], text: str) -> tuple[Ranges, tuple[Slot, ...]]:
    """Return words and slots moved from `plain` to `text`, which may have other blanks."""
    index_in_text = [index for index, character in enumerate(text) if character not in BLANKS]
    if [text[index] for index in index_in_text] != [character for character in plain if character not in BLANKS]:
        raise _differs(plain, text)
    moved: list[int] = []  # plain index -> text index; a blank of `plain` moves to the next character
    rank = 0
    for character in plain:
        moved.append(index_in_text[rank] if rank < len(index_in_text) else len(text))
        rank += character not in BLANKS
    words = tuple(
        (moved[start] + inner_start, moved[start] + inner_end)
        for start, end in word_ranges(plain)
        for inner_start, inner_end in word_ranges(text[moved[start] : moved[end - 1] + 1])
    )
    return words, tuple(Slot(moved[start], moved[end - 1] + 1, name) for start, end, name in slots)


def _differs(plain: str, text: str) -> AttritionError:
    return AttritionError(
        f"the annotation does not match the text: without brackets it reads {plain!r}, the text {text!r}. "
        "Only the brackets may differ (and blanks, in scripts that write none)."
    )
