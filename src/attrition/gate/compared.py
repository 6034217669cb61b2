"""Compares old and new predictions with the gold tags: spans, and counts of each utterance.

Shape letters: U utterances, N spans, W words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.schemes import tag_spans
from attrition.gate.rows import NOT_SHOWN, Row
from attrition.gate.sources import FilePredictions, Predictions
from attrition.names import AttritionError
from attrition.problem.slots import TagTable, find_spans


@dataclass(frozen=True, eq=False)
class SpanTable:
    """Spans of all utterances: utterance, first word, last word and label (a number) of each, int64 [N]; sorted."""

    utterance_N: NDArray[np.int64]
    start_N: NDArray[np.int64]
    end_N: NDArray[np.int64]
    label_N: NDArray[np.int64]

    def is_in(self, other: SpanTable) -> NDArray[np.bool_]:
        """Return for each span if the other table has the same span: bool [N]."""
        # At most one span starts at a word. `start_N` counts words over all utterances, so it identifies the utterance too.
        at = np.searchsorted(other.start_N, self.start_N)
        at_most = np.minimum(at, max(len(other.start_N) - 1, 0))
        if not len(other.start_N):
            return np.zeros(len(self.start_N), dtype=bool)
        same: NDArray[np.bool_] = (
            (other.start_N[at_most] == self.start_N)
            & (other.end_N[at_most] == self.end_N)
            & (other.label_N[at_most] == self.label_N)
        )
        return same


@dataclass(frozen=True, eq=False)
class Compared:
    """A test set with the tags of two systems.

    `spans` and `hits` have the keys "gold", "old" and "new"; a hit is a system's span that is also in the gold tags.
    `offsets` int64 [U + 1] has the first word of each utterance.
    """

    rows: tuple[Row, ...]
    tags: Mapping[str, Sequence[Sequence[str]]]
    labels: tuple[str, ...]
    offsets: NDArray[np.int64]
    spans: Mapping[str, SpanTable]
    hits: Mapping[str, NDArray[np.bool_]]

    @property
    def num_utterances(self) -> int:
        """U."""
        return len(self.rows)

    def counts(self, side: str, label: str | None = None) -> NDArray[np.int64]:
        """Return true positives, false positives and false negatives of each utterance: int64 [U, 3].

        Args:
            side: "old" or "new".
            label: count the spans of this label only.
        """
        found, gold, hit_N = self.spans[side], self.spans["gold"], self.hits[side]
        mine = np.ones(len(hit_N), dtype=bool)
        theirs = np.ones(len(gold.label_N), dtype=bool)
        if label is not None:
            number = self.labels.index(label)
            mine, theirs = found.label_N == number, gold.label_N == number
        per = self.num_utterances
        tp_U = np.bincount(found.utterance_N[mine & hit_N], minlength=per)
        found_U = np.bincount(found.utterance_N[mine], minlength=per)
        gold_U = np.bincount(gold.utterance_N[theirs], minlength=per)
        return np.stack([tp_U, found_U - tp_U, gold_U - tp_U], axis=1)


def compare(test: Sequence[Row], old: Predictions, new: Predictions, *, show_text: bool = True) -> Compared:
    """Return old and new predictions and the gold tags of a test set, as spans.

    Args:
        test: the utterances, with gold tags.
        old, new: the two systems.
        show_text: True if an error may quote a tag (in a damaged file it can be a word).

    Raises:
        AttritionError: predictions do not match the test set, or a tag is not BIO or IO.
    """
    gold = []
    for row in test:
        assert row.gold is not None, row.place
        gold.append(row.gold)
    if isinstance(new, FilePredictions):
        _refuse_other_gold(test, new)
    tags: dict[str, Sequence[Sequence[str]]] = {"gold": gold, "old": old.tags(test), "new": new.tags(test)}
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in gold])]).astype(np.int64)
    codes: defaultdict[str, int] = defaultdict()
    codes.default_factory = codes.__len__  # the first tag is 0, the next new one 1, and so on
    code_W = {
        side: np.fromiter(map(codes.__getitem__, chain.from_iterable(each)), np.int64, count=int(offsets[-1]))
        for side, each in tags.items()
    }
    _check_tags(codes, tags, test, {"gold": "the gold tags", "old": old.name, "new": new.name}, show_text=show_text)
    labels = tuple(sorted({tag[2:] for tag in codes if tag != "O"}))
    classes = ("O", *(prefix + label for label in labels for prefix in ("B-", "I-")))
    class_of_code = np.array([classes.index(tag) for tag in codes], dtype=np.int64)
    spans = {side: _table(class_of_code[each], classes, offsets) for side, each in code_W.items()}
    hits = {side: spans[side].is_in(spans["gold"]) for side in ("old", "new")}
    return Compared(tuple(test), tags, labels, offsets, spans, hits)


def _table(tags_W: NDArray[np.int64], classes: Sequence[str], offsets: NDArray[np.int64]) -> SpanTable:
    begins_W = np.zeros(len(tags_W) + 1, dtype=bool)
    begins_W[offsets] = True
    found = find_spans(tags_W, begins_W, TagTable.of(classes))
    utterance_N = np.searchsorted(offsets, found.starts, side="right") - 1
    return SpanTable(utterance_N, found.starts.astype(np.int64), found.ends.astype(np.int64), found.labels.astype(np.int64))


def _check_tags(
    inventory: Iterable[str],
    tags: Mapping[str, Sequence[Sequence[str]]],
    test: Sequence[Row],
    names: Mapping[str, str],
    *,
    show_text: bool,
) -> None:
    for tag in inventory:
        try:
            tag_spans([tag], "bio")
        except AttritionError as error:
            side, row = next(
                (side, row)
                for side, sequences in tags.items()
                for row, sequence in zip(test, sequences, strict=True)
                if tag in sequence
            )
            why = str(error) if show_text else NOT_SHOWN
            raise AttritionError(f"{names[side]}, for the utterance of {row.place}: {why}") from None


def _refuse_other_gold(test: Sequence[Row], new: FilePredictions) -> None:
    """Refuse prediction files with different gold tags."""
    own = [row for row in new.rows if row.gold is not None and row.id]
    wanted = {(row.language, row.id): row for row in test if row.id} if own else {}
    for row in own:
        twin = wanted.get((row.language, row.id))
        if twin is not None and twin.gold != row.gold:
            raise AttritionError(f"{row.place}: the gold tags differ from those of {twin.place}. Use one test set for both.")
