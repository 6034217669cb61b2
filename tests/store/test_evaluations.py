"""The setting `evaluate`: the same numbers from fewer cells or utterances, no repeated training, and verification."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from attrition import metrics
from attrition.engine.estimate import estimate
from attrition.engine.measure import Line, Rates, kinds_of, unscaled
from attrition.metrics import summary
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.prepare.pack import write_pack
from attrition.prepare.prepare import Prepared
from attrition.results.read import read_results
from attrition.store.evaluations import ScoredOn
from attrition.store.stages import Store
from attrition.study.spec import Study, build_study, resolved
from attrition.study.standalone import read_packed_study
from attrition.study.watcher import Watcher
from attrition.verify.verify import verify

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]
PreparedOf = Callable[[Study], Prepared]

EN, DE, ZH = LANGUAGES = ("en-US", "de-DE", "zh-CN")
SAMPLE = 8
METHODS = ["MULTI", "MONO", "VANILLA", "GROUPED LoRA"]
UNMEASURED = {"cft", "cft_cells", "fwt"}


@pytest.fixture(scope="module")
def study_of(make_study: Make) -> Callable[[str | int], Study]:
    """Return studies trained until VANILLA finds some slots; otherwise all cells would be 0."""
    sizes = ("corpus.sizes.train=150", "corpus.sizes.test=20")
    rates = ("training.epochs=5", "training.learning_rate=3e-3", "training.head_learning_rate=1e-2")
    return lambda evaluate: make_study(*sizes, *rates, methods=METHODS, evaluate=evaluate)


@pytest.fixture(scope="module")
def folders(
    study_of: Callable[[str | int], Study], run_notes: Run, tmp_path_factory: pytest.TempPathFactory
) -> dict[str | int, Path]:
    """Return the study under each setting, trained once and scored separately each time; read-only."""
    parent = tmp_path_factory.mktemp("evaluated")
    found: dict[str | int, Path] = {evaluate: parent / str(evaluate) for evaluate in ("all", "seen", SAMPLE)}
    run_notes(study_of("all"), found["all"])
    for evaluate in ("seen", SAMPLE):
        shutil.copytree(found["all"] / "stages", found[evaluate] / "stages")
        assert run_notes(study_of(evaluate), found[evaluate]).trained_stages == []
    return found


def run_of(folder: Path, method: str) -> Path:
    (found,) = (path.parent for path in folder.glob("runs/*/spec.json") if json.loads(path.read_text())["name"] == method)
    return found


def spec_of(folder: Path, method: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((run_of(folder, method) / "spec.json").read_text())
    return spec


def R_of(folder: Path, method: str) -> RMatrix:
    return RMatrix.from_csv(run_of(folder, method) / "matrix.csv")


def tables_of(folder: Path) -> dict[str, str]:
    """Return the tables without times."""
    names = ("matrix.csv", "metrics.json", "transfer.csv")
    return {
        f"{path.parent.name}/{path.name}": path.read_text() for path in sorted(folder.glob("runs/*/*")) if path.name in names
    }


@pytest.mark.parametrize("method", METHODS)
def test_what_was_seen_scores_as_with_all(method: str, folders: dict[str | int, Path]) -> None:
    whole, seen = (R_of(folders[each], method) for each in ("all", "seen"))
    assert method != "VANILLA" or 0 < whole.scores_SL[2, 0] < whole.own_L[0]
    assert (seen.order, seen.languages, seen.before_L) == (whole.order, whole.languages, None)
    np.testing.assert_array_equal(seen.scores_SL, np.where(whole.learned_SL, whole.scores_SL, np.nan))


@pytest.mark.parametrize("method", METHODS)
def test_metrics_of_what_was_seen(method: str, folders: dict[str | int, Path]) -> None:
    of_all, of_seen = (summary(R_of(folders[each], method)) for each in ("all", "seen"))
    for name, value in of_seen.items():
        if name in UNMEASURED or math.isnan(of_all[name]):
            assert math.isnan(value), name
        elif name != "forgetting":  # its best score may be before a language's own stage
            assert value == of_all[name], name
    assert not of_seen["forgetting"] > of_all["forgetting"]
    if method == "VANILLA":
        assert not any(math.isnan(of_all[name]) for name in UNMEASURED)
        assert not math.isnan(of_seen["cbt"] + of_seen["forgetting"])
    stored = json.loads((run_of(folders["seen"], method) / "metrics.json").read_text())
    assert all(stored[name] is None for name in UNMEASURED)


def test_hops_and_shifts_of_what_was_seen(folders: dict[str | int, Path]) -> None:
    whole, seen = (R_of(folders[each], "VANILLA") for each in ("all", "seen"))
    for measure in (
        metrics.mft, metrics.mbt, metrics.mbt_pairwise, metrics.shift_growing, metrics.shift_fixed, metrics.donor_learned
    ):  # fmt: skip
        np.testing.assert_array_equal(measure(seen).values, measure(whole).values)
    assert np.isnan(metrics.mft_pairwise(seen).values).all()
    assert np.isnan(metrics.donor_unlearned(seen).values).all()


def test_what_was_not_scored_has_no_rows(folders: dict[str | int, Path]) -> None:
    run = run_of(folders["seen"], "VANILLA")
    scores, slots = pd.read_parquet(run / "scores.parquet"), pd.read_parquet(run / "slots.parquet")
    cells = [(1, EN), (2, EN), (2, DE), (3, EN), (3, DE), (3, ZH)]
    assert list(zip(scores["stage"], scores["language"], strict=True)) == cells
    assert set(zip(slots["stage"], slots["language"], strict=True)) == set(cells)
    assert [len(each.counts) for each in (Store(folders["seen"]).load_evaluation(stage["evaluation"])
            for stage in spec_of(folders["seen"], "VANILLA")["steps"])] == [1, 2, 3]  # fmt: skip
    assert (run_of(folders["all"], "MONO") / "transfer.csv").exists()
    assert not (run_of(folders["seen"], "MONO") / "transfer.csv").exists()
    assert spec_of(folders["seen"], "VANILLA")["before"] is None


def test_a_sample_is_the_same_sentences_everywhere(study_of: Callable[[str | int], Study], prepared_of: PreparedOf) -> None:
    prepared = prepared_of(study_of(SAMPLE))
    ids = {language: each.utterance_ids.tolist() for language, each in prepared.scored_on.sets.items()}
    assert {len(each) for each in ids.values()} == {SAMPLE}
    assert dict(prepared.scored_on.drawn_from) == dict.fromkeys(LANGUAGES, 20)
    larger = ScoredOn.choose(study_of(SAMPLE + 3), prepared.encoded)
    for language, each in ids.items():
        whole = prepared.encoded[language, "test"].utterance_ids.tolist()
        assert each == [name for name in whole if name in each]  # in the corpus's sequence
        assert set(each) < set(larger.sets[language].utterance_ids.tolist())
    numbers = {tuple(name.rpartition(":")[2] for name in each) for each in ids.values()}
    assert len(numbers) == 1
    every = ScoredOn.choose(study_of(20), prepared.encoded)
    assert (every.keys, every.drawn_from) == (ScoredOn.choose(study_of("all"), prepared.encoded).keys, {})


def test_the_error_of_a_sample(folders: dict[str | int, Path]) -> None:
    scores = pd.read_parquet(run_of(folders[SAMPLE], "VANILLA") / "scores.parquet")
    assert set(scores["num_utterances"]) == {SAMPLE}
    spec = spec_of(folders[SAMPLE], "VANILLA")
    stored = Store(folders[SAMPLE]).load_evaluation(spec["steps"][2]["evaluation"])
    row = scores[(scores["stage"] == 3) & (scores["language"] == DE)].iloc[0]
    assert row["f1_error"] == stored.counts[DE].f1_error(drawn_from=20) != stored.counts[DE].f1_error()
    largest = scores.loc[scores["stage"] > 0, "f1_error"].max()
    assert (spec["evaluate"], spec["scored"]["f1_error"]) == (SAMPLE, largest)
    assert spec["scored"]["statement"] == (
        "Every stage is scored on 8 of the 20 test utterances of each language, drawn at random once."
    )
    assert spec["scored"]["error"] == (
        f"As an estimate for all test utterances, each cell has a standard error of at most {100 * largest:.2f} points of F1."
    )
    spec = spec_of(folders["all"], "VANILLA")
    stored = Store(folders["all"]).load_evaluation(spec["steps"][0]["evaluation"])
    row = pd.read_parquet(run_of(folders["all"], "VANILLA") / "scores.parquet").query("stage == 1").iloc[0]
    assert row["f1_error"] == stored.counts[EN].f1_error()


@pytest.mark.parametrize("evaluate", ["all", "seen", SAMPLE])
def test_each_is_verified(evaluate: str | int, folders: dict[str | int, Path]) -> None:
    verdict = verify(folders[evaluate], sample=99)
    assert verdict.problems == ()
    again = verdict.checks[-1]
    assert (again.skipped, again.num_checked) == (None, len(Store(folders[evaluate]).keys("stages")))


def test_numbers_of_what_was_seen_are_compared(folders: dict[str | int, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["seen"], tmp_path / "r"))
    path = run_of(folder, "VANILLA") / "matrix.csv"
    path.write_text(path.read_text().replace(",,", ",0.0,", 1))
    (problem,) = verify(folder, sample=0).problems
    assert problem.file == path


@pytest.mark.parametrize(
    ("path", "scored"),
    [
        (("all", "seen"), 0),  # everything is already stored
        (("seen", "all"), 3 + 1 + 3 + 2),  # MONO's, VANILLA's second, GROUPED LoRA's, two untrained
        (("all", SAMPLE, "all"), 0),
        (("seen", SAMPLE, "seen"), 0),
        (("all", "seen", "all"), 0),
    ],
    ids=str,
)
def test_another_setting_trains_nothing_and_scores_what_is_missing(
    path: tuple[str | int, ...], scored: int, study_of: Any, folders: dict[str | int, Path], run_notes: Run, tmp_path: Path
) -> None:
    first, *others = path
    folder = Path(shutil.copytree(folders[first], tmp_path / "r"))
    for evaluate in others:
        notes = run_notes(study_of(evaluate), folder)
        assert notes.trained_stages == []
        assert notes.warnings == [each for each in notes.warnings if "F1" in each]
        assert verify(folder, sample=99).problems == ()
    assert len(notes.scored) == scored
    assert tables_of(folder) == tables_of(folders[path[-1]])


def test_what_was_reused_can_be_lost(study_of: Any, folders: dict[str | int, Path], run_notes: Run, tmp_path: Path) -> None:
    """All, then seen from it, then all again after its evaluations were lost: each time other languages are scored together."""
    folder = Path(shutil.copytree(folders["all"], tmp_path / "r"))
    whole = Store(folder).keys("evaluations")
    run_notes(study_of("seen"), folder)
    for key in whole:
        about = Store(folder).about("evaluations", key)
        if len(about["tests"]) == 3 and not about["before"]:
            shutil.rmtree(folder / "evaluations" / key)
    assert verify(folder, sample=0).problems  # runs whose last stage has scored every language
    run_notes(study_of("all"), folder)
    assert verify(folder, sample=99).problems == ()
    assert tables_of(folder) == tables_of(folders["all"])


def test_an_interruption_changes_nothing(study_of: Any, folders: dict[str | int, Path], run_notes: Run, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["seen"], tmp_path / "r"))
    spec = spec_of(folder, "VANILLA")
    shutil.rmtree(folder / "stages" / spec["steps"][2]["key"])
    for path in (*folder.glob("evaluations/*"), run_of(folder, "VANILLA")):
        shutil.rmtree(path)
    notes = run_notes(study_of("seen"), folder)
    assert notes.trained_stages == [spec["steps"][2]["key"]]
    assert tables_of(folder) == tables_of(folders["seen"])


def test_an_estimate_counts_what_is_scored(study_of: Any, prepared_of: PreparedOf, folders: dict[str | int, Path]) -> None:
    def seconds(each: str | int, stored: frozenset[str] = frozenset(), scored: frozenset[str] = frozenset()) -> float:
        prepared = prepared_of(study_of(each))
        jobs = prepared.plan.jobs.values()
        nothing = {unscaled(job.choice.method.trains): 0.0 for job in jobs}
        lines = dict.fromkeys(kinds_of(prepared, jobs).values(), Line(1e-2, 1e-4))
        rates = Rates(lines, Line(0.0, 1e-4), nothing, nothing, nothing)
        return estimate(prepared, rates, stored, scored).seconds

    stored = frozenset(Store(folders["all"]).keys("stages"))
    scoring = {each: seconds(each, stored) for each in ("all", "seen", SAMPLE)}  # without training
    assert 0 < scoring["seen"] < scoring["all"]
    assert 0.2 < scoring[SAMPLE] / scoring["all"] < 0.6  # 8 of 20
    scored = frozenset(Store(folders["all"]).keys("evaluations"))
    assert seconds("all", stored, scored) == 0
    training = [seconds(each) - scoring[each] for each in scoring]
    assert training == pytest.approx([training[0]] * 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("sean", "study.toml: evaluate: unknown value 'sean'. Did you mean 'seen'?"),
        (1, 'study.toml: evaluate = 1 is not allowed: give at least 2, "all" or "seen".'),
        (True, "study.toml: evaluate: true is not allowed"),
        (2.5, "study.toml: evaluate: 2.5 is not allowed"),
        (["seen"], "study.toml: evaluate: ['seen'] is not allowed"),
    ],
)
def test_a_slip(value: Any, message: str, make_study: Make) -> None:
    with pytest.raises(AttritionError) as error:
        make_study(evaluate=value)
    assert message in str(error.value)


def test_more_than_there_is(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    with pytest.raises(AttritionError, match=r"evaluate = 11, but en-US has only 10 test utterances\. Ask for fewer"):
        run_notes(make_study(evaluate=11), tmp_path / "r")
    assert not (tmp_path / "r" / "study.toml").exists()


@pytest.mark.parametrize("evaluate", ["all", "seen", SAMPLE])
def test_it_reads_back(evaluate: str | int, make_study: Make) -> None:
    study = make_study(f"evaluate={evaluate}")
    assert study.evaluate == evaluate
    assert build_study(resolved(study), where="again").evaluate == evaluate


def test_a_pack_may_be_scored_otherwise(make_study: Make, tmp_path: Path) -> None:
    write_pack(make_study(), tmp_path / "pack", Watcher(), None)
    assert read_packed_study(tmp_path / "pack", ["evaluate=seen"]).evaluate == "seen"


@pytest.mark.parametrize("evaluate", ["seen", SAMPLE])
def test_a_report_reads_it(evaluate: str | int, folders: dict[str | int, Path]) -> None:
    results = read_results(folders[evaluate])
    (vanilla,) = (run for run in results.runs if run.spec.name == "VANILLA")
    assert math.isnan(vanilla.metrics["cft"]) == (evaluate == "seen")


def test_a_language_more_scores_nothing_again(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    """The used vocabulary grows with the study, but the keys of evaluations must not depend on it."""
    parts: dict[str, Any] = {"methods": ["MONO"], "orders": [[EN, DE]]}
    run_notes(make_study(languages=[EN, DE], **parts), tmp_path)
    store = Store(tmp_path)
    before = {key: store.load_evaluation(key) for key in store.keys("evaluations")}
    notes = run_notes(make_study(languages=[EN, DE, ZH], methods=["MONO"], orders=[[EN, DE, ZH]]), tmp_path)
    assert len(notes.trained_stages) == 1
    added = [key for key in store.keys("evaluations") if key not in before]
    reused = 0
    for key in added:
        together = store.about("evaluations", key)["together"]
        if len(together) == 2:
            assert [sorted(each) for each in together] == [sorted([EN, DE]), [ZH]]
            found = store.load_evaluation(key)
            assert any(np.array_equal(found.counts[EN].tp, old.counts[EN].tp) for old in before.values())
            reused += 1
    assert reused == 2
    assert verify(tmp_path, sample=9).problems == ()
