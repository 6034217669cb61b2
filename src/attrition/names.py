"""The one place where an unknown name becomes a sentence.

Everything a user may name (a method, a metric, a locale, a setting) is looked up here, so that every mistake is answered in
the same way: what was given, the nearest match, what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


LONGEST_MESSAGE = 2_000


class AttritionError(ValueError):
    """A mistake in what a user gave: its message is all that the user is shown.

    What was given is quoted in it, and may be a megabyte: a message of more than LONGEST_MESSAGE characters loses its middle.
    """

    def __init__(self, message: str) -> None:
        half = LONGEST_MESSAGE // 2
        super().__init__(message if len(message) <= LONGEST_MESSAGE else f"{message[:half]} [...] {message[-half:]}")


class UnknownNameError(AttritionError):
    """A name that is not in its registry."""


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when none is alike.

    >>> nearest("forgeting", ["forgetting", "cbt"])
    'forgetting'
    >>> nearest("xyz", ["forgetting", "cbt"]) is None
    True
    """
    by_folded = {candidate.casefold(): candidate for candidate in known}
    found = difflib.get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[found[0]] if found else None


def unknown(name: str, known: Iterable[str], *, kind: str, where: str = "") -> UnknownNameError:
    """The error that says that `name` is not a known `kind`.

    Args:
        name: what the user gave.
        known: all names allowed here.
        kind: what is named, in the singular ("metric").
        where: where it was given ("orders/mine.txt, line 4"), put first.

    >>> print(unknown("forgeting", ["cbt", "forgetting"], kind="metric"))
    Unknown metric 'forgeting'. Did you mean 'forgetting'? Known: cbt, forgetting.
    """
    names = sorted(known)
    guess = nearest(name, names)
    hint = f" Did you mean {guess!r}?" if guess else ""
    prefix = f"{where}: unknown" if where else "Unknown"
    listed = f" Known: {', '.join(names)}." if names else f" No {kind} is known here."
    return UnknownNameError(f"{prefix} {kind} {name!r}.{hint}{listed}")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1.

    >>> counted(1, "run"), counted(2, "run"), counted(0, "order"), counted(1234, "language")
    ('1 run', '2 runs', '0 orders', '1,234 languages')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def look_up(name: str, known: Mapping[str, T], *, kind: str, where: str = "") -> T:
    """`known[name]`, or a sentence that names the nearest match.

    Raises:
        UnknownNameError: `name` is not a key of `known`.

    >>> look_up("cbt", {"cbt": 1}, kind="metric")
    1
    """
    if name not in known:
        raise unknown(name, known, kind=kind, where=where)
    return known[name]


def capitalised(words: str) -> str:
    """Return words as the beginning of a sentence: "Accuracy of ..."; "F1" stays.

    >>> capitalised("accuracy at the end")
    'Accuracy at the end'
    """
    return words[:1].upper() + words[1:]
