"""Numbers are right with several learners, several seeds, and languages that are scored but never trained."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from attrition.analysis.analyse import analyse
from attrition.analysis.claims.pairs import pair_masks
from attrition.analysis.evidence import from_matrices
from attrition.analysis.quantities import unseen_L
from attrition.analysis.words import failed_words
from attrition.metrics import learned_mean
from attrition.metrics.matrix import RMatrix
from attrition.report.language_tables import grouping_tables
from attrition.report.overview import mean_over_languages
from attrition.report.progress import progress
from attrition.report.tables import Number
from attrition.results.read import read_results


def watched(R: RMatrix, name: str = "fr-FR") -> RMatrix:
    """R with a language that is scored after every stage and never trained."""
    column = np.linspace(0.2, 0.4, R.num_stages)[:, None]
    before_L = None if R.before_L is None else np.append(R.before_L, 0.1)
    return RMatrix(np.hstack([R.scores_SL, column]), (*R.languages, name), R.trained, before_L)


def test_the_score_of_separate_models_is_a_mean_over_orders(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=4, num_orders=2, methods=("NON-SHARED LoRA",)))
    P_OS = np.array([learned_mean(run.matrix) for run in results.runs])
    assert len(P_OS) == 2
    lines = progress(results).variants[""]["lines"]
    np.testing.assert_allclose(lines["f1"], 100 * P_OS.mean(axis=0), atol=0.006)


def test_groups_of_a_method_without_an_order_have_intervals_over_seeds(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, num_languages=6, methods=("MULTI",))
    order = read_results(tmp_path).runs[0].spec.order
    for seed in (1, 2):
        simulate.write_run(tmp_path, simulate.METHODS["MULTI"], order.name, list(order.languages), seed=seed)
    (table,) = grouping_tables(read_results(tmp_path), ["latin"])
    low = [column.title for column in table.columns].index("95% over orders, low")
    assert len(table.rows) >= 2
    assert all(isinstance(row[low], Number) and not math.isnan(row[low].value) for row in table.rows)


def test_orders_that_end_in_the_same_model_give_no_interval() -> None:
    last = [0.5, 0.75, 0.25]
    first = RMatrix([[0.1, 0.2, 0.3], [0.3, 0.3, 0.3], last], ("a", "b", "c"), (("a",), ("b",), ("c",)))
    other = RMatrix([[0.2, 0.1, 0.3], [0.4, 0.3, 0.2], last], ("a", "b", "c"), (("c",), ("b",), ("a",)))
    runs = from_matrices([first, other]).runs
    final = mean_over_languages(runs, "final")
    assert final.value == pytest.approx(50)
    assert not final.known
    assert mean_over_languages(runs, "own_stage").known


def test_a_watched_language_has_no_position() -> None:
    languages = ("en-US", "de-DE", "es-ES", "it-IT")
    rng = np.random.default_rng(0)
    square = [languages[shift:] + languages[:shift] for shift in range(4)]
    plain = [RMatrix(rng.random((4, 4)), languages, tuple((name,) for name in order)) for order in square]
    for given in (plain, [watched(R) for R in plain]):
        design = analyse(from_matrices(given), scopes=()).design
        assert design.balanced
        assert design.largest_imbalance == pytest.approx(0)
    romance, far = pair_masks("Romance, near", watched(plain[0]))
    assert not romance[:, -1].any()
    assert not far[:, -1].any()
    R = RMatrix([[0.5, 0.2, 0.1], [0.6, 0.7, 0.9]], ("a", "b", "w"), (("a",), ("b",)))
    np.testing.assert_allclose(unseen_L(R), [np.nan, 0.2, 0.1])


def test_the_chart_ends_with_the_languages_that_are_trained(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=4, methods=("MULTI", "VANILLA")))
    runs = tuple(replace(run, matrix=watched(run.matrix, "cy-GB")) for run in results.runs)
    figure = progress(replace(results, runs=runs))
    assert figure.variants[""]["lines"]["step"].max() == 4
    assert "Further data" not in figure.caption


def test_a_joint_run_fails_on_languages_not_in_stages() -> None:
    R = RMatrix([[0.5, 0.0, 0.25]], ("a", "b", "c"), (("a", "b", "c"),))
    assert failed_words("MULTI", [R]).startswith("MULTI: F1 is 0 right after training in 1 of 3 languages. ")
