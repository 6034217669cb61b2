"""A run whose stages have several languages, and further data of one: its training, and all readers of its results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attrition.analysis.changes import changes
from attrition.engine.run import run_study
from attrition.engine.tasks import task_of
from attrition.metrics import mft
from attrition.prepare.prepare import Prepared
from attrition.report.heat_maps import cells
from attrition.results.counts import run_counts
from attrition.results.read import Results, read_results
from attrition.store.archive import write_archive
from attrition.store.stages import Store
from attrition.study.spec import Study
from attrition.study.watcher import Watcher
from attrition.verify.recount import recount

EN, DE, ZH = "en-US", "de-DE", "zh-CN"
ROWS = ("de-DE+en-US", "en-US (2)", "zh-CN")


@pytest.fixture(scope="module")
def study(make_study: Callable[..., Study], tmp_path_factory: pytest.TempPathFactory) -> Study:
    path = tmp_path_factory.mktemp("data") / "more.jsonl"
    rows = [{"tokens": ["wake", "me", str(number)], "ner_tags": ["O", "O", "O"]} for number in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    stages = [[EN, DE], {"language": EN, "data": str(path)}, ZH]
    merged = {"method": "MERGED LoRA", "rank": 2, "merge": {"name": "mean", "weights": {EN: 3.0}}}
    return make_study("training.epochs=1", methods=["VANILLA", "MONO", merged, "MULTI"], stages=stages)


@pytest.fixture(scope="module")
def folder(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    run_study(study, folder, Watcher())
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return read_results(folder)


def test_what_a_stage_trains_on(study: Study, folder: Path, prepared_of: Callable[[Study], Prepared]) -> None:
    prepared = prepared_of(study)
    first, second, third = (task_of(job, prepared, Store(folder)) for job in prepared.plan.runs[0].jobs)
    own = {language: prepared.encoded[language, "train"].utterance_ids.tolist() for language in (EN, DE)}
    assert first.train.utterance_ids.tolist() == own[DE] + own[EN]
    assert len(first.dev) == 12
    assert second.train.utterance_ids.tolist() == [f"en-US (2)/train/{number}" for number in range(1, 6)]
    assert second.dev.utterance_ids.tolist() == prepared.encoded[EN, "dev"].utterance_ids.tolist()
    assert [len(read()) for read in third.earlier] == [48, 5]


def test_a_merge_gives_a_language_its_weight_whatever_it_learned_last(
    study: Study, prepared_of: Callable[[Study], Prepared]
) -> None:
    run = next(run for run in prepared_of(study).plan.runs if run.method.of == "MERGED LoRA")
    assert [each.languages for each in run.made if each not in run.jobs] == [(DE, EN), (DE, EN), (DE, EN, ZH)]


def test_r_has_a_row_a_stage_and_a_column_a_language(results: Results) -> None:
    assert {run.spec.method.name: run.matrix.order for run in results.runs} == {
        "MULTI": ("de-DE+en-US+en-US (2)+zh-CN",),
        "VANILLA": ROWS,
        "MONO": ROWS,
        "MERGED LoRA": ROWS,
    }
    for run in results.runs:
        assert run.matrix.languages == (EN, DE, ZH)
        assert run.matrix.joint or run.spec.order.languages == run.matrix.order
        assert not run.matrix.scores_SL[-1:].size or not np.isnan(run.matrix.scores_SL[-1]).any()
        assert run_counts(run) is not None


def test_the_own_stage_is_the_first(results: Results) -> None:
    run = next(run for run in results.runs if run.spec.method.name == "VANILLA")
    R = run.matrix
    assert dict(R.learned_at) == {EN: 0, DE: 0, ZH: 2}
    assert R.own_L[0] == R.scores_SL[0, 0]
    assert R.alone_S.tolist() == [False, False, True]
    found = mft(R)
    assert np.isnan(found[EN]).all()
    assert not np.isnan(found[ZH][0])
    assert {R.languages[a] for a in changes(R, scope="all").donor_N} == {ZH}, "a stage with further data is nobody's"
    frame = cells(R)
    assert frame.loc[frame["state"] == "new", ["stage", "language"]].to_numpy().tolist() == [
        ["de-DE + en-US", EN], ["de-DE + en-US", DE], ["zh-CN", ZH]
    ]  # fmt: skip


def test_what_is_undefined_is_said_with_the_reason(results: Results) -> None:
    for run in results.runs:
        said = [warning for warning in run.spec.warnings if "not defined" in warning or "further data" in warning]
        if run.matrix.joint:
            assert said == []
        else:
            assert said[0].startswith("MBT, MFT, shifts, donor and position are not defined for de-DE, en-US: each was trained")
            assert said[1].endswith("of en-US include what its further data taught.")


def test_the_run_says_where_its_data_come_from(results: Results) -> None:
    spec = results.runs[0].spec.corpus.model_extra
    assert spec is not None
    said = spec["portions"]["en-US (2)"]
    assert (said["language"], said["file"], said["utterances"], len(said["sha256"])) == (EN, "more.jsonl", 5, 64)


def test_the_counts_give_the_tables_again(folder: Path, results: Results) -> None:
    for run in results.runs:
        assert recount(Store(folder), run.folder).differences == ()


def test_an_archive_holds_no_place_of_this_machine(study: Study, folder: Path, results: Results, tmp_path: Path) -> None:
    write_archive([folder], tmp_path / "archive")
    text = (tmp_path / "archive" / "study.toml").read_text(encoding="utf-8")
    assert 'data = "more.jsonl"' in text
    assert str(Path(study.portions["en-US (2)"].data).parent) not in text
    assert [run.matrix for run in read_results(tmp_path / "archive").runs] == [run.matrix for run in results.runs]


def test_seen_scores_the_languages_of_the_portions(
    make_study: Callable[..., Study], prepared_of: Callable[[Study], Prepared], study: Study
) -> None:
    seen = prepared_of(
        make_study(evaluate="seen", stages=[[EN, DE], {"language": EN, "data": study.portions["en-US (2)"].data}, ZH])
    )
    jobs = seen.plan.runs[0].jobs
    assert [tuple(seen.scored_on.of(job)) for job in jobs] == [(EN, DE), (EN, DE), (EN, DE, ZH)]
