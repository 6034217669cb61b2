"""Counts of spans agree with seqeval."""

from __future__ import annotations

import numpy as np
import pytest
from seqeval.metrics import f1_score, precision_score, recall_score

from attrition.gate.compared import Compared, compare
from attrition.gate.ratios import METRICS, Metric, outcomes
from attrition.gate.rows import Row
from attrition.gate.sources import FilePredictions
from attrition.names import AttritionError

LABELS = ("PER", "ID", "time")
SEQEVAL = {"f1": f1_score, "recall": recall_score, "precision": precision_score}
pytestmark = pytest.mark.filterwarnings("ignore::Warning:seqeval")


def tags(rng: np.random.Generator, words: int) -> tuple[str, ...]:
    """Any sequence of tags, I- after O and after another label among them."""
    every = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI")]
    return tuple(str(tag) for tag in rng.choice(every, size=words, p=[0.4, *[0.1] * 6]))


def compared_of(gold: list[tuple[str, ...]], old: list[tuple[str, ...]], new: list[tuple[str, ...]]) -> Compared:
    def rows(sequences: list[tuple[str, ...]], *, is_gold: bool) -> tuple[Row, ...]:
        return tuple(
            Row("f.jsonl", n + 1, str(n), "de", None, each if is_gold else None, None if is_gold else each, {})
            for n, each in enumerate(sequences)
        )

    return compare(
        rows(gold, is_gold=True),
        FilePredictions("old", rows(old, is_gold=False)),
        FilePredictions("new", rows(new, is_gold=False)),
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_seqeval(seed: int, metric: Metric) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 8, size=30)
    gold, old, new = ([tags(rng, n) for n in lengths] for _ in range(3))
    found = compared_of(gold, old, new)
    ours = outcomes(found.counts("old"), found.counts("new"), metric).scores
    theirs = [SEQEVAL[metric]([list(s) for s in gold], [list(s) for s in each]) for each in (old, new)]
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_counts_by_label_add_up_and_are_those_of_the_label_alone() -> None:
    rng = np.random.default_rng(5)
    gold, old, new = ([tags(rng, 6) for _ in range(40)] for _ in range(3))
    found = compared_of(gold, old, new)
    by_label = [found.counts("new", label) for label in found.labels]
    assert (sum(by_label) == found.counts("new")).all()
    for label, counts in zip(found.labels, by_label, strict=True):
        # Another label's tags become O; the spans of this label stay what they are.
        only = [[[tag if tag[2:] == label else "O" for tag in s] for s in sequences] for sequences in (gold, new)]
        tp, fp, fn = counts.sum(axis=0)
        assert 2 * tp / (2 * tp + fp + fn) == pytest.approx(f1_score(*only), abs=1e-12)


def test_a_span_does_not_continue_in_the_next_utterance() -> None:
    found = compared_of([("B-PER",), ("I-PER",)], [("B-PER",), ("O",)], [("B-PER",), ("I-PER",)])
    assert found.counts("old").tolist() == [[1, 0, 0], [0, 0, 1]]
    assert found.counts("new").tolist() == [[1, 0, 0], [1, 0, 0]]


def test_no_spans_at_all() -> None:
    found = compared_of([("O",)], [("O",)], [("O",)])
    assert found.counts("old").tolist() == [[0, 0, 0]]


def test_a_tag_of_another_scheme_is_named() -> None:
    with pytest.raises(AttritionError, match=r"new, for the utterance of f.jsonl, line 1: 'S-PER' is not a tag"):
        compared_of([("B-PER",)], [("O",)], [("S-PER",)])
