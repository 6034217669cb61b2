"""Span F1 from arrays of classes, equal to seqeval (default mode) and hundreds of times as fast.

A span is a slot value: its first word, last word and slot name. It counts as found when all three agree. As in the CoNLL-2000
evaluation script, which seqeval follows, an I- tag that does not continue a span of its own name begins one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.encoded import Encoded
from attrition.names import AttritionError


@dataclass(frozen=True, eq=False)
class TagTable:
    """What each class means: `slot` int16 [C], the number of its slot or -1 for "O"; `begins` bool [C], whether it is a B-.

    `inside` int16 [C] is the class that continues each; `outside` the class "O", -1 where there is none.
    """

    slot: NDArray[np.int16]
    begins: NDArray[np.bool_]
    inside: NDArray[np.int16]
    outside: int
    slot_names: tuple[str, ...]

    @staticmethod
    def of(labels: Sequence[str]) -> TagTable:
        """The table of a label set.

        >>> table = TagTable.of(("O", "B-date", "I-date"))
        >>> table.slot.tolist(), table.begins.tolist(), table.inside.tolist()
        ([-1, 0, 0], [False, True, False], [0, 2, 2])
        """
        names = sorted({label[2:] for label in labels if label != "O"})
        number = {name: index for index, name in enumerate(names)}
        position = {label: index for index, label in enumerate(labels)}
        return TagTable(
            slot=np.array([-1 if label == "O" else number[label[2:]] for label in labels], dtype=np.int16),
            begins=np.array([label.startswith("B-") for label in labels], dtype=bool),
            inside=np.array([position.get(f"I-{label[2:]}", index) for index, label in enumerate(labels)], dtype=np.int16),
            outside=position.get("O", -1),
            slot_names=tuple(names),
        )


@dataclass(frozen=True, eq=False)
class Counts:
    """True positives, false positives and false negatives of spans: per utterance int16 [U] each, per slot int64 [S, 3]."""

    tp: NDArray[np.int16]
    fp: NDArray[np.int16]
    fn: NDArray[np.int16]
    by_slot: NDArray[np.int64]

    @property
    def scores(self) -> tuple[float, float, float]:
        """Precision, recall and F1 over all utterances (micro-averaged)."""
        return precision_recall_f1(
            int(self.tp.sum(dtype=np.int64)), int(self.fp.sum(dtype=np.int64)), int(self.fn.sum(dtype=np.int64))
        )

    @property
    def f1(self) -> float:
        """F1 over all utterances."""
        return self.scores[2]

    def f1_error(self, drawn_from: int | None = None) -> float:
        """Standard error of F1 as an estimate of what it is over all utterances that these were drawn from.

        F1 = sum 2 tp / sum (2 tp + fp + fn) is a ratio of sums over U utterances; its error is that of a ratio estimator
        (Cochran 1977, Sampling Techniques, equation 6.9): sqrt(U * var(d)) / sum (2 tp + fp + fn) with d = 2 tp - F1 (2 tp +
        fp + fn), times sqrt(1 - U / drawn_from) where all utterances are that many. Not below 0; NaN for fewer than two
        utterances and where nothing was to be found or was found.

        >>> half = Counts(np.array([1, 0]), np.array([0, 1]), np.array([0, 1]), np.zeros((1, 3), int))
        >>> half.f1, round(half.f1_error(), 4), half.f1_error(drawn_from=2)
        (0.5, 0.5, 0.0)
        """
        tp, fp, fn = (each.astype(np.int64) for each in (self.tp, self.fp, self.fn))
        size = 2 * tp + fp + fn
        if len(tp) < 2 or not size.sum():
            return float("nan")
        deviations = 2 * tp - self.f1 * size
        left = 1.0 if drawn_from is None else max(0.0, 1 - len(tp) / drawn_from)
        return float(np.sqrt(len(tp) * deviations.var(ddof=1) * left) / size.sum())


def precision_recall_f1(tp: int, fp: int, fn: int) -> tuple[float, float, float]:
    """Precision tp / (tp + fp), recall tp / (tp + fn) and their harmonic mean; 0 where a denominator is 0, as in seqeval.

    >>> precision_recall_f1(1, 1, 0)
    (0.5, 1.0, 0.6666666666666666)
    >>> precision_recall_f1(0, 0, 0)
    (0.0, 0.0, 0.0)
    """
    precision = tp / (tp + fp) if tp + fp else 0.0
    recall = tp / (tp + fn) if tp + fn else 0.0
    total = precision + recall
    return precision, recall, 2 * precision * recall / total if total else 0.0


def count_spans(
    gold_W: NDArray[np.integer], predicted_W: NDArray[np.integer], offsets: NDArray[np.int64], table: TagTable
) -> Counts:
    """Compare the spans of two sequences of classes.

    Args:
        gold_W, predicted_W: classes of all words, utterance after utterance.
        offsets: int64 [U + 1], where each utterance begins.
        table: what the classes mean.

    >>> table = TagTable.of(("O", "B-date", "I-date"))
    >>> counts = count_spans(np.array([1, 2, 0]), np.array([1, 0, 2]), np.array([0, 3]), table)
    >>> counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()
    ([0], [2], [1])
    """
    num_utterances, num_slots = len(offsets) - 1, len(table.slot_names)
    begins_W = np.zeros(len(gold_W) + 1, dtype=bool)
    begins_W[offsets] = True
    gold, found = find_spans(gold_W, begins_W, table), find_spans(predicted_W, begins_W, table)
    # At most one span starts at a word: what starts there is remembered by where it ends and its name.
    found_at_W = np.full(len(gold_W), -1, dtype=np.intp)
    found_at_W[found.starts] = found.ends * num_slots + found.slots
    hits = found_at_W[gold.starts] == gold.ends * num_slots + gold.slots
    utterance_W = np.repeat(np.arange(num_utterances), np.diff(offsets))
    utterance_of_gold = utterance_W[gold.starts]
    tp = np.bincount(utterance_of_gold[hits], minlength=num_utterances)
    tp_slot = np.bincount(gold.slots[hits], minlength=num_slots)
    return Counts(
        tp=tp.astype(np.int16),
        fp=(np.bincount(utterance_W[found.starts], minlength=num_utterances) - tp).astype(np.int16),
        fn=(np.bincount(utterance_of_gold, minlength=num_utterances) - tp).astype(np.int16),
        by_slot=np.stack(
            [
                tp_slot,
                np.bincount(found.slots, minlength=num_slots) - tp_slot,
                np.bincount(gold.slots, minlength=num_slots) - tp_slot,
            ],
            axis=1,
        ),
    )


class Spans(NamedTuple):
    """The spans of a sequence of classes: first word, last word and slot of each, in order."""

    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    slots: NDArray[np.intp]


def find_spans(tags_W: NDArray[np.integer], begins_W: NDArray[np.bool_], table: TagTable) -> Spans:
    """Return the spans of a sequence of classes.

    Args:
        tags_W: classes of all words, utterance after utterance.
        begins_W: bool [W + 1], True at the first word of each utterance and at the end of the last.
        table: what the classes mean.

    >>> table = TagTable.of(("O", "B-date", "I-date"))
    >>> found = find_spans(np.array([1, 2, 0, 2]), np.array([True, False, False, False, True]), table)
    >>> found.starts.tolist(), found.ends.tolist(), found.slots.tolist()
    ([0, 3], [1, 3], [0, 0])
    """
    inside = np.flatnonzero(tags_W != table.outside)  # most words are "O": all else looks at the others only
    tags = tags_W[inside].astype(np.intp)  # numpy gathers by its own index type three times as fast as by int16
    slots = table.slot[tags]
    first = table.begins[tags] | begins_W[inside]
    first[1:] |= (inside[1:] != inside[:-1] + 1) | (slots[1:] != slots[:-1])
    first[:1] = True
    at = np.flatnonzero(first)
    return Spans(inside[at], inside[np.append(at[1:], len(inside)) - 1] if len(at) else at, slots[at].astype(np.intp))


def word_predictions(encoded: Encoded, predicted_N: NDArray[np.integer], table: TagTable) -> NDArray[np.int16]:
    """The class of each word from the classes predicted at sub-tokens.

    A word that was cut off is "O"; a word inside the sub-token of the word before continues its span.
    """
    utterance_W = np.repeat(encoded.offsets[:-1], np.diff(encoded.word_offsets))
    at = encoded.word_token + utterance_W
    predicted = (
        predicted_N[np.where(encoded.word_token >= 0, at, 0)].astype(np.int16)
        if len(predicted_N)
        else np.zeros(len(at), np.int16)
    )
    predicted = np.where(encoded.word_inside, table.inside[predicted], predicted)
    return np.where(encoded.word_token >= 0, predicted, np.int16(0)).astype(np.int16)


def span_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro-averaged span F1 of two lists of tag sequences, as `seqeval.metrics.f1_score`; 0 when there is no span at all.

    Args:
        gold, predicted: for each utterance its tags, such as ["O", "B-date", "I-date"].

    Raises:
        AttritionError: lists of different lengths, or a tag that is not "O", "B-..." or "I-...".

    >>> span_f1([["B-date", "I-date", "O"]], [["B-date", "I-date", "O"]])
    1.0
    """
    if len(gold) != len(predicted):
        raise AttritionError(f"{len(gold)} gold sequences cannot be compared with {len(predicted)} predicted ones.")
    for number, (left, right) in enumerate(zip(gold, predicted, strict=True)):
        if len(left) != len(right):
            raise AttritionError(f"Sequence {number}: {len(left)} gold tags but {len(right)} predicted ones.")
    names = {tag[2:] for sequences in (gold, predicted) for sequence in sequences for tag in sequence if _is_span_tag(tag)}
    labels = ("O", *(prefix + name for name in sorted(names) for prefix in ("B-", "I-")))
    classes = {label: index for index, label in enumerate(labels)}

    def flat(sequences: Sequence[Sequence[str]]) -> NDArray[np.int64]:
        return np.array([classes[tag] for sequence in sequences for tag in sequence], dtype=np.int64)

    offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in gold])]).astype(np.int64)
    return count_spans(flat(gold), flat(predicted), offsets, TagTable.of(labels)).f1


def _is_span_tag(tag: str) -> bool:
    if tag == "O":
        return False
    if len(tag) < 3 or tag[:2] not in ("B-", "I-"):
        raise AttritionError(f"{tag!r} is not a tag: write 'O', 'B-name' or 'I-name'.")
    return True
