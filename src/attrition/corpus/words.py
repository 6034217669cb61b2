"""Cuts an utterance into words, labels them, and measures how much blanks reveal about slot edges.

All functions are pure and work for every corpus.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import regex

from attrition.corpus.annotation import BLANKS, Ranges, word_ranges
from attrition.corpus.base import Cut, Utterance
from attrition.names import AttritionError, unknown

Scheme = Literal["bio", "io"]
"""How spans become labels: "bio" marks the first word of a slot, "io" does not."""

_CLUSTER = regex.compile(r"\X")


def cut_words(utterance: Utterance, cut: Cut) -> Ranges:
    r"""Return the words of an utterance as ranges of its text, in order; none holds a blank.

    - `"blanks"`: the words of the annotation. In MASSIVE's Japanese and Chinese these are not visible in the text.
    - `"characters"`: every code point that is not a blank.
    - `"graphemes"`: extended grapheme clusters (Unicode Standard Annex 29, `\X`), which readers see as one character. If a
      slot begins inside a cluster, with a combining mark, the cluster is cut at the slot's edge.

    Blanks are U+0020 and tabs. Other spaces and zero-width characters are characters like any other.

    Raises:
        AttritionError: a slot begins or ends inside a word, so that the word could have no label; or `cut` is unknown.

    >>> from attrition.corpus.base import Slot
    >>> thai = Utterance("1", "alarm_set", "ตีห้า นี้", ((0, 5), (6, 9)), (Slot(0, 5, "time"),))
    >>> [thai.text[start:end] for start, end in cut_words(thai, "graphemes")]
    ['ตี', 'ห้', 'า', 'นี้']
    """
    text, slots = utterance.text, utterance.slots
    if cut == "blanks":
        for _, start, end in _split_words(utterance, utterance.words):
            raise AttritionError(
                f"Utterance {utterance.id!r}: a slot begins or ends inside the word {text[start:end]!r} of {text!r}. "
                "Cut this language into characters or graphemes, or mark whole words."
            )
        return utterance.words
    if cut == "characters":
        return tuple((index, index + 1) for index, character in enumerate(text) if character not in BLANKS)
    if cut == "graphemes":
        edges = {edge for slot in slots for edge in (slot.start, slot.end)}
        ranges: list[tuple[int, int]] = []
        for word_start, word_end in word_ranges(text):
            start = word_start
            for cluster in _CLUSTER.finditer(text, word_start, word_end):
                for end in range(cluster.start() + 1, cluster.end() + 1):
                    if end == cluster.end() or end in edges:
                        ranges.append((start, end))
                        start = end
        return tuple(ranges)
    raise unknown(cut, get_args(Cut), kind="cut")


def tags(utterance: Utterance, ranges: Sequence[tuple[int, int]], scheme: Scheme) -> list[str]:
    """One label for each range: "O" outside slots, "I-name" inside, and in "bio" "B-name" for the first range of a slot.

    A slot that no range touches leaves no label.

    Raises:
        AttritionError: a slot begins or ends inside a range, or `scheme` is unknown.

    >>> from attrition.corpus.annotation import annotate
    >>> text = "wake me at five am"
    >>> words, slots = annotate(text, "wake me at [time : five am]")
    >>> tags(Utterance("1", "alarm_set", text, words, slots), words, "bio")
    ['O', 'O', 'O', 'B-time', 'I-time']
    """
    first = {"bio": "B-", "io": "I-"}.get(scheme)
    if first is None:
        raise unknown(scheme, get_args(Scheme), kind="tagging scheme")
    for number, start, end in _split_words(utterance, ranges):
        raise AttritionError(
            f"Utterance {utterance.id!r}: range {number} ({utterance.text[start:end]!r}) is only in part in a slot "
            f"of {utterance.text!r}. Cut the words at the edges of slots."
        )
    labels: list[str] = []
    slots = iter(utterance.slots)
    slot = next(slots, None)
    prefix = first
    for start, _ in ranges:
        while slot is not None and slot.end <= start:
            slot, prefix = next(slots, None), first
        if slot is None or start < slot.start:
            labels.append("O")
        else:
            labels.append(prefix + slot.name)
            prefix = "I-"
    return labels


def label_set(slots: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """Return all labels of a slot inventory: "O", then the labels of each slot in alphabetical order; index = class number.

    MASSIVE's 55 slots give 111 labels in "bio" and 56 in "io".

    >>> label_set(["time", "date"], "bio")
    ('O', 'B-date', 'I-date', 'B-time', 'I-time')
    >>> label_set(["time", "date"], "io")
    ('O', 'I-date', 'I-time')
    """
    prefixes = {"bio": ("B-", "I-"), "io": ("I-",)}.get(scheme)
    if prefixes is None:
        raise unknown(scheme, get_args(Scheme), kind="tagging scheme")
    return ("O", *(prefix + name for name in sorted(set(slots)) for prefix in prefixes))


@dataclass(frozen=True)
class BlankLeak:
    """How often a blank between two words is the edge of a slot: counts and shares (NaN if nothing was counted).

    In languages that separate words by blanks, a fifth to a third of the blanks are slot edges. In other scripts the
    annotators put blanks at their brackets. A model that gets words cut at these blanks sees where slots begin and end.
    """

    blanks: int
    edges: int
    text_blanks: int
    text_edges: int
    slots: int
    multi_word_slots: int

    @property
    def annotation(self) -> float:
        """Share of the annotation's blanks that are slot edges."""
        return self.edges / self.blanks if self.blanks else math.nan

    @property
    def text(self) -> float:
        """The same share over the annotation's blanks that are also in the text."""
        return self.text_edges / self.text_blanks if self.text_blanks else math.nan

    @property
    def multi_word(self) -> float:
        """Share of slots with two or more words of the annotation."""
        return self.multi_word_slots / self.slots if self.slots else math.nan


def blank_leak(utterances: Iterable[Utterance]) -> BlankLeak:
    """Return counts of the annotation's blanks, of blanks at slot edges, and of slots with several words.

    A blank is a gap between two neighbouring words of the annotation. It is an edge if a slot ends just before or begins
    just after it.

    >>> from attrition.corpus.annotation import annotate
    >>> text = "wake me at five am"
    >>> words, slots = annotate(text, "wake me at [time : five am]")
    >>> leak = blank_leak([Utterance("1", "alarm_set", text, words, slots)])
    >>> leak.annotation, leak.text, leak.multi_word
    (0.25, 0.25, 1.0)
    """
    blanks = edges = text_blanks = text_edges = slots = multi_word_slots = 0
    for utterance in utterances:
        starts = {slot.start for slot in utterance.slots}
        ends = {slot.end for slot in utterance.slots}
        for (_, end), (start, _) in pairwise(utterance.words):
            is_edge = end in ends or start in starts
            blanks += 1
            edges += is_edge
            if start > end:
                text_blanks += 1
                text_edges += is_edge
        for slot in utterance.slots:
            slots += 1
            multi_word_slots += sum(slot.start <= start < slot.end for start, _ in utterance.words) > 1
    return BlankLeak(blanks, edges, text_blanks, text_edges, slots, multi_word_slots)


def _split_words(utterance: Utterance, ranges: Sequence[tuple[int, int]]) -> Iterable[tuple[int, int, int]]:
    """Yield number, start and end of each range that has a slot's edge strictly inside."""
    if not utterance.slots:
        return
    edges = sorted({edge for slot in utterance.slots for edge in (slot.start, slot.end)})
    for number, (start, end) in enumerate(ranges):
        if end - start > 1:  # bisection, so that many slots do not take quadratic time
            next_edge = bisect_right(edges, start)
            if next_edge < len(edges) and edges[next_edge] < end:
                yield number, start, end
