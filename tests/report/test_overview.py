"""The first screen: its sentence and its table follow the numbers, and say how sure they are."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from attrition.analysis.evidence import from_matrices
from attrition.analysis.utterances import utterances_of
from attrition.cli.app import app
from attrition.metrics import cbt, cft, final_mean
from attrition.metrics.matrix import RMatrix
from attrition.paper.tables import table_1, table_2
from attrition.report.overview import (
    Outcome,
    failed_training,
    kept_words,
    mean_over_languages,
    methods_table,
    outcomes,
    overview,
)
from attrition.report.page import make_report
from attrition.report.progress import progress
from attrition.report.summaries import metrics_by_series
from attrition.report.tables import Number
from attrition.results.read import read_results

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def outcome(*matrices: RMatrix) -> Outcome:
    runs = from_matrices(matrices).runs
    own, final, kept = (mean_over_languages(runs, name) for name in ("own_stage", "final", "kept"))
    return Outcome(method="mine", own=own, final=final, kept=kept)


def test_the_means_are_cbt_and_the_last_row_with_students_interval(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=6, num_orders=5))
    matrices = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    losses = [100 * cbt(R) for R in matrices]
    found = next(each for each in outcomes(results) if each.method.startswith("VANILLA"))
    low, high = stats.t.interval(0.95, 4, loc=np.mean(losses), scale=stats.sem(losses))
    assert (found.kept.value, found.kept.low, found.kept.high) == pytest.approx((np.mean(losses), low, high))
    assert found.final.value == pytest.approx(100 * np.mean([final_mean(R) for R in matrices]))
    assert found.own.value == pytest.approx(100 * np.mean([R.own_L.mean() for R in matrices]))
    assert high < 0
    first, second = overview(results)
    assert first == (
        f"VANILLA reached F1 {found.own.value:.1f} on a language right after its own stage and lost {-np.mean(losses):.1f} "
        f"points by the end of training (95% confidence interval {-high:.1f} to {-low:.1f}; mean of 6 languages, 5 orders)."
    )
    assert second.startswith("SHARED LoRA reached ")


def test_the_interval_of_the_change_includes_the_test_utterances() -> None:
    """From resampled scores of published runs: variance of the mean change, less what the spread of orders shows of it."""
    results = read_results(RESULTS / "replay-12")
    found = next(each for each in outcomes(results) if each.method.startswith("VANILLA"))
    runs = [run.matrix for run in results.runs if run.spec.name == "VANILLA"]
    drawn = []
    for R in runs:
        scores_BSL = utterances_of(results).scores_BSL(R)
        own_BL = scores_BSL[:, R.stage_L, np.arange(len(R.languages))]
        drawn.append(100 * (scores_BSL[:, -1] - own_BL)[:, R.stage_L < R.num_stages - 1].mean(axis=1))
    drawn_OB = np.array(drawn)
    shown = (drawn_OB - drawn_OB.mean(axis=0)).var(axis=1, ddof=1).mean() / (len(runs) - 1)
    added = drawn_OB.mean(axis=0).var(ddof=1) - shown
    orders = stats.sem([100 * cbt(R) for R in runs])
    assert added > 0.1 * orders**2
    assert found.kept.error == pytest.approx(np.sqrt(orders**2 + added), rel=0.1)
    assert found.kept.error > 1.02 * orders
    assert found.final.error == pytest.approx(stats.sem([100 * final_mean(R) for R in runs]))
    assert "of the change, also over test utterances" in methods_table(results).caption


def test_the_table_has_the_largest_loss_first_and_what_cannot_forget_last(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, num_languages=6, num_orders=3))
    table = methods_table(results)
    assert [str(row[0]).split(" ·")[0] for row in table.rows] == ["SHARED LoRA", "VANILLA", "MULTI", "NON-SHARED LoRA"]
    changes = [row[1] for row in table.rows]
    assert all(isinstance(cell, Number) for cell in changes)
    assert [math.isnan(cell.value) for cell in changes if isinstance(cell, Number)] == [False, False, True, True]
    assert "[−" in table.texts()[0][1]
    assert "95% confidence intervals" in table.caption


def test_one_order_has_no_interval_and_says_so() -> None:
    R = RMatrix.sequential("abc", [[0.75, 0.25, 0.125], [0.5, 0.875, 0.25], [0.625, 0.5, 1]])
    assert kept_words(outcome(R), "accuracy") == (
        "mine reached accuracy 87.5 on a language right after its own stage and lost 25.0 points by the end of training "
        "(mean of 2 languages, 1 order). One order gives no confidence interval, so this may be chance."
    )


def test_an_interval_that_includes_0_is_no_loss() -> None:
    orders = [RMatrix.sequential("ab", [[0.5, 0], [0.6, 0.5]]), RMatrix.sequential("ba", [[0.5, 0], [0.3, 0.5]])]
    said = kept_words(outcome(*orders))
    assert "shows no clear loss or gain by the end of training: −5.0 points" in said
    assert "lost" not in said


def test_gains_are_gains() -> None:
    orders = [RMatrix.sequential("ab", [[0.5, 0], [0.6, 0.5]]), RMatrix.sequential("ba", [[0.5, 0], [0.602, 0.5]])]
    said = kept_words(outcome(*orders))
    assert "gained 10.1 points by the end of training (95% confidence interval 8.8 to 11.4" in said


def test_nothing_learned_says_nothing_about_forgetting() -> None:
    said = kept_words(outcome(RMatrix.sequential("ab", [[0.0, 0.0], [0.0, 0.0]])))
    assert said.startswith("mine: Next to nothing was learned")
    assert "lost" not in said


def test_what_was_not_measured_has_no_sentence() -> None:
    assert kept_words(outcome(RMatrix.sequential("ab", [[math.nan, 0], [0.5, 0.5]]))) == ""


def test_methods_that_cannot_forget_have_no_sentence(simulate: ModuleType, tmp_path: Path) -> None:
    results = read_results(simulate.write_study(tmp_path, methods=("MULTI", "NON-SHARED LoRA")))
    assert overview(results) == ()


def test_failed_training_is_on_the_first_screen(simulate: ModuleType, tmp_path: Path) -> None:
    folder = simulate.write_study(tmp_path, methods=("VANILLA", "NON-SHARED LoRA"), num_languages=4, num_orders=2)
    assert failed_training(read_results(folder)) == ()
    path = next(folder.glob("runs/non-shared-lora-*/matrix.csv"))
    R = RMatrix.from_csv(path)
    scores_SL = R.scores_SL.copy()
    scores_SL[:, 2] = 0
    path.write_text(RMatrix(scores_SL, R.languages, R.trained, R.before_L).to_csv())
    results = read_results(folder)
    (said,) = failed_training(results)
    of = sum(len(run.matrix.languages) for run in results.runs if run.spec.method.kind == "NON-SHARED LoRA")
    assert said.startswith(f"NON-SHARED LoRA: F1 is 0 right after training in 1 of {of} stages. Means over these runs include ")
    assert f'<p class="warning">{said[:60]}' in make_report(folder).read_text(encoding="utf-8").partition("<section")[0]
    shown = CliRunner().invoke(app, ["analyse", "--runs", str(folder)]).output
    assert said[:60] in " ".join(shown.split())


def test_three_seeds_of_one_order_weigh_as_one_order_in_every_table_and_chart(simulate: ModuleType, tmp_path: Path) -> None:
    simulate.write_study(tmp_path, num_languages=6, num_orders=2, methods=("VANILLA",))
    order = read_results(tmp_path).runs[0].spec.order
    for seed in (7, 8):
        simulate.write_run(tmp_path, simulate.FakeMethod("VANILLA"), order.name, list(order.languages), seed=seed)
    results = read_results(tmp_path)
    seeds = [run.matrix for run in results.runs if run.spec.order.name == order.name]
    other = [run.matrix for run in results.runs if run.spec.order.name != order.name]
    assert (len(seeds), len(other)) == (3, 1)

    def mean(measure: Callable[[RMatrix], float]) -> float:
        return float(100 * np.mean([np.mean([measure(R) for R in same]) for same in (seeds, other)]))

    assert abs(mean(final_mean) - 100 * np.mean([final_mean(R) for R in seeds + other])) > 0.1  # else the test shows nothing
    (shown,) = outcomes(results)
    assert shown.final.value == pytest.approx(mean(final_mean))
    assert shown.kept.value == pytest.approx(mean(cbt))
    lines = progress(results).variants[""]["lines"]
    assert lines["f1"].iloc[-1] == pytest.approx(mean(final_mean), abs=0.006)
    assert lines["runs"].iloc[-1] == 4
    metrics = metrics_by_series(results)
    for title, measure in {"Final F1": final_mean, "CBT": cbt}.items():
        place = [column.title for column in metrics.columns].index(title)
        assert isinstance(cell := metrics.rows[0][place], Number)
        assert 100 * cell.value == pytest.approx(mean(measure))
        assert 100 * cell.spread == pytest.approx(
            100 * np.std([np.mean([measure(R) for R in seeds]), measure(other[0])], ddof=1)
        )
    for table, title, measure in (
        (table_1(results), "F1, here", final_mean),
        (table_2(results), "CBT, here", cbt),
        (table_2(results), "CFT, here", cft),
    ):
        place = [column.title for column in table.columns].index(title)
        row = next(row for row in table.rows if row[0] == "VANILLA")
        assert isinstance(cell := row[place], Number)
        assert cell.value == pytest.approx(mean(measure))
