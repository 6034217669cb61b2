"""The first sentence of the page follows the numbers, and says how sure they are."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from attrition.analysis.evidence import from_matrices
from attrition.metrics import cbt
from attrition.metrics.matrix import RMatrix
from attrition.paper.report import make_report
from attrition.report.overview import kept_words, mean_kept, overview
from attrition.results.read import read_results


def test_the_mean_is_cbt_over_orders_with_students_interval(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=6, num_orders=5))
    matrices = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    losses = [100 * cbt(R) for R in matrices]
    kept = mean_kept(from_matrices(matrices).runs)
    low, high = stats.t.interval(0.95, 4, loc=np.mean(losses), scale=stats.sem(losses))
    assert (kept.value, kept.low, kept.high) == pytest.approx((np.mean(losses), low, high))
    assert high < 0
    first, second = overview(results)
    assert first == (
        f"VANILLA lost {-np.mean(losses):.1f} points of F1 on average, from a language's own stage to the end of training "
        f"(95% interval {-high:.1f} to {-low:.1f}; 6 languages, 5 orders)."
    )
    assert second.startswith("SHARED LoRA lost ")


def test_one_order_has_no_interval_and_says_so() -> None:
    R = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]])
    assert kept_words("mine", from_matrices([R]).runs) == (
        "mine lost 25.0 points of F1 on average, from a language's own stage to the end of training (2 languages, 1 order). "
        "One order gives no interval: chance may explain it."
    )


def test_an_interval_that_includes_0_is_no_loss() -> None:
    orders = [RMatrix.sequential("ab", [[0.5, 0], [0.6, 0.5]]), RMatrix.sequential("ba", [[0.5, 0], [0.3, 0.5]])]
    said = kept_words("mine", from_matrices(orders).runs)
    assert said.startswith("mine shows no clear loss or gain: −5.0 points of F1")
    assert "lost" not in said


def test_gains_are_gains() -> None:
    orders = [RMatrix.sequential("ab", [[0.5, 0], [0.6, 0.5]]), RMatrix.sequential("ba", [[0.5, 0], [0.602, 0.5]])]
    assert kept_words("mine", from_matrices(orders).runs, short=True).startswith(
        "mine gained 10.1 points (95% interval 8.8 to 11.4"
    )


def test_nothing_learned_says_nothing_about_forgetting() -> None:
    R = RMatrix.sequential("ab", [[0.0, 0.0], [0.0, 0.0]])
    said = kept_words("mine", from_matrices([R]).runs)
    assert said.startswith("mine: Next to nothing was learned")
    assert "lost" not in said


def test_what_was_not_measured_has_no_sentence() -> None:
    R = RMatrix.sequential("ab", [[math.nan, 0], [0.5, 0.5]])
    assert kept_words("mine", from_matrices([R]).runs) == ""


def test_methods_that_cannot_forget_have_no_sentence(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, methods=("MULTI", "NON-SHARED LoRA")))
    assert overview(results) == ()


def test_it_is_the_first_sentence_of_the_page(simulate: ModuleType, tmp_path: Path) -> None:
    folder = simulate.write_study(tmp_path, methods=("SHARED LoRA", "VANILLA"))
    page = make_report(folder).read_text(encoding="utf-8")
    after = page[page.index("</h1>") :]
    assert after.index('<p class="finding"><strong>VANILLA lost ') < after.index("SHARED LoRA lost ") < after.index("<dl")
    assert after.index("<p") == after.index('<p class="finding">')
