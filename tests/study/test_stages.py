"""Stages of several languages and of further data: how a study names them, and what decides their numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.corpus.phrasebook import Phrasebook
from attrition.methods import METHODS, Merge, Method, Train
from attrition.methods.steps import sequential
from attrition.names import AttritionError
from attrition.prepare.pack import open_pack, write_pack
from attrition.prepare.prepare import Prepared, prepare
from attrition.study.plan import StudyPlan
from attrition.study.spec import Study, build_study, resolve_orders, resolved
from attrition.study.standalone import read_packed_study, study_files
from attrition.study.watcher import Watcher

Make = Callable[..., Study]
Ready = Callable[[Study], Prepared]

EN, DE, ZH = "en-US", "de-DE", "zh-CN"


def more(folder: Path, name: str = "more.jsonl", number: int = 9, seed: int = 5, language: str = EN) -> Path:
    """A file of utterances with slots as the phrasebook has them."""
    utterances = Phrasebook(number, 1, 1, seed=seed, languages=(language,)).read(language, "train")
    rows = [{"text": each.text, "intent": each.intent, "slots": [slot._asdict() for slot in each.slots]} for each in utterances]
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder / name


def again(path: Path, language: str = EN) -> dict[str, str]:
    return {"language": language, "data": str(path)}


@pytest.fixture
def plan_of(make_study: Make, prepared_of: Ready) -> Callable[..., StudyPlan]:
    return lambda *changes, **parts: prepared_of(make_study(*changes, **parts)).plan


# The study file


def test_stages_are_one_order(make_study: Make, tmp_path: Path) -> None:
    path = more(tmp_path)
    study = make_study(stages=[[EN, DE], ZH, again(path)])
    assert resolve_orders(study) == {"as-listed": ((DE, EN), (ZH,), ("en-US (2)",))}
    assert {name: (each.language, each.data) for name, each in study.portions.items()} == {"en-US (2)": (EN, str(path))}
    assert make_study(stages=[EN, DE, ZH]).orders == make_study(orders=[[EN, DE, ZH]]).orders == make_study().orders


def test_a_file_has_one_number_in_all_orders(make_study: Make, tmp_path: Path) -> None:
    first, second = more(tmp_path, "a.jsonl"), more(tmp_path, "b.jsonl")
    study = make_study(
        orders=[
            [EN, DE, ZH, again(second)],
            {"name": "both", "stages": [EN, [again(first), DE], ZH, again(second)]},
            [[EN, DE, ZH]],
        ]
    )
    assert resolve_orders(study) == {
        "listed-1": ((EN,), (DE,), (ZH,), ("en-US (2)",)),
        "both": ((EN,), (DE, "en-US (3)"), (ZH,), ("en-US (2)",)),
        "listed-3": ((DE, EN, ZH),),
    }


def test_a_study_with_stages_reads_back_as_it_is(make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = more(tmp_path)
    monkeypatch.chdir(tmp_path)
    study = make_study(orders=["random:1", {"name": "x", "stages": [[EN, DE], [ZH, {"language": EN, "data": "more.jsonl"}]]}])
    table = resolved(study)
    assert table["orders"][0].keys() == {"name", "languages"}
    assert table["orders"][1] == {"name": "x", "stages": [[DE, EN], [{"language": EN, "data": str(path)}, ZH]]}
    monkeypatch.chdir("/")
    found = build_study(table, where="again")
    assert (found.orders, found.portions) == (study.orders, study.portions)


FILE = {"language": EN, "data": "x.jsonl"}


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"stages": [EN, DE]}, "stages: zh-CN missing"),
        ({"stages": [[EN, DE], ZH, EN]}, r"stages: 'en-US' is at positions 1 and 4"),
        ({"stages": [EN, [], DE, ZH]}, "at least one in each stage"),
        ({"stages": [FILE, EN, DE, ZH]}, r"'en-US \(2\)' comes before the stage of en-US is over. Put en-US into an earlier"),
        ({"stages": [[EN, FILE], DE, ZH]}, "comes before the stage of en-US is over"),
        ({"stages": [EN, DE, ZH, FILE, FILE]}, r"x\.jsonl is given twice"),
        ({"stages": [EN, DE, ZH, {"language": EN}]}, r"stages\[3\]: 'data' is missing. Write further data"),
        ({"stages": [EN, DE, ZH, {**FILE, "date": "x"}]}, "Did you mean 'data'"),
        ({"stages": [EN, DE, ZH, {**FILE, "language": "en-UK"}]}, r"stages\[3\]\.language: unknown language 'en-UK'"),
        ({"stages": [EN, DE, ZH, 5]}, r"stages\[3\]: 5 is not allowed"),
        ({"stages": [EN, DE, ZH], "orders": [[EN, DE, ZH]]}, "Give one of the two"),
        ({"orders": [{"name": "x", "languages": [[EN, DE], ZH]}]}, r"orders\[0\]\[0\]"),
        ({"languages": ["yor", "yor (2)"], "corpus": {"name": "columns"}}, r"'yor \(2\)' cannot name a language"),
    ],
)
def test_slips_are_named(parts: dict[str, Any], message: str, make_study: Make) -> None:
    with pytest.raises(AttritionError, match=message):
        make_study(**parts)


def test_a_hook_that_waits_for_further_data_has_an_effect(make_study: Make) -> None:
    mono = [{"method": "MONO", "replay": {"share": 0.1}}]
    with pytest.raises(AttritionError, match="replay has no effect"):
        make_study(methods=mono)
    assert make_study(methods=mono, stages=[EN, DE, ZH, FILE]).methods[0].method.hooks


# The steps


def test_what_each_method_makes_of_stages() -> None:
    order = [[EN, DE], ZH, ["en-US (2)"], [ZH + " (2)", DE + " (2)"]]
    steps = {name: chosen.steps(order) for name, chosen in METHODS.items()}

    def trained(name: str) -> list[tuple[tuple[str, ...], int | None]]:
        return [(each.languages, each.start) for each in steps[name].trainings]

    last = ("de-DE (2)", "zh-CN (2)")
    assert trained("VANILLA") == [((DE, EN), None), ((ZH,), 0), (("en-US (2)",), 1), (last, 2)]
    assert trained("MULTI") == [((DE, "de-DE (2)", EN, "en-US (2)", ZH, "zh-CN (2)"), None)]
    assert trained("MONO") == [
        ((DE,), None), ((EN,), None), ((ZH,), None), (("en-US (2)",), 1), (("de-DE (2)",), 0), (("zh-CN (2)",), 2)
    ]  # fmt: skip
    assert trained("GROUPED LoRA") == [
        ((DE, EN), None), ((ZH,), None), (("en-US (2)",), 0), (("de-DE (2)",), 2), (("zh-CN (2)",), 1)
    ]  # fmt: skip
    assert [each.inputs for each in steps["TIES LoRA"].steps if isinstance(each, Merge)] == [
        (0, 1),
        (0, 1, 3),
        (0, 5, 3),
        (7, 5, 8),
    ]
    for name, each in steps.items():
        assert set(each.languages) == {EN, DE, ZH}
        assert each.shared == (METHODS[name].shared_by == "all")
        if not each.joint:
            assert [row.trained for row in each.rows] == [(DE, EN), (ZH,), ("en-US (2)",), last]
        trainings = [index for index, step in enumerate(each.steps) if isinstance(step, Train)]
        assert all(each.shown(index) >= index for index in trainings)


def test_a_method_that_leaves_out_further_data_is_refused() -> None:
    blind = Method(name="blind", expand=lambda stages, learner_of: sequential([(each,) for each in learner_of], learner_of))
    assert len(blind.steps([EN, DE]).rows) == 2
    with pytest.raises(AttritionError, match=r"blind has no training for 'en-US \(2\)'"):
        blind.steps([EN, "en-US (2)"])


# Keys


def test_a_stage_of_all_languages_is_the_joint_stage(plan_of: Callable[..., StudyPlan]) -> None:
    """VANILLA with one stage is MULTI, under the same key; one of two languages is MULTI of a study of these two."""
    whole = plan_of(methods=["MULTI", "VANILLA"], stages=[[ZH, EN, DE]])
    assert len(whole.jobs) == 1
    assert [run.order_name for run in whole.runs] == ["joint", "joint"]
    first = plan_of(stages=[[EN, DE], ZH]).runs[0].jobs[0]
    assert first.key == plan_of(methods=["MULTI"], languages=[DE, EN]).runs[0].jobs[0].key


def test_orders_that_learn_all_at_once_are_told_apart_by_their_data(plan_of: Callable[..., StudyPlan], tmp_path: Path) -> None:
    orders = [[EN, DE, ZH], {"name": "new data", "stages": [EN, [DE, ZH], again(more(tmp_path))]}, [[DE, EN], ZH]]
    runs = plan_of(methods=["MULTI"], orders=orders).runs
    assert [(run.order_name, run.jobs[0].languages) for run in runs] == [
        ("joint", (DE, EN, ZH)),
        ("new data", (DE, EN, "en-US (2)", ZH)),
    ]
    both = plan_of(methods=["VANILLA"], orders=[[EN, DE, ZH], [[EN, DE, ZH]]]).runs
    assert [run.order_name for run in both] == ["listed-1", "joint"]


def test_the_content_of_a_file_decides_its_stage_and_those_after_it(plan_of: Callable[..., StudyPlan], tmp_path: Path) -> None:
    def keys() -> list[str]:
        return [job.key for job in plan_of(stages=[EN, DE, again(tmp_path / "more.jsonl"), ZH]).runs[0].jobs]

    more(tmp_path)
    before = keys()
    more(tmp_path, seed=6)
    after = keys()
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, True, False, False]
    assert before[:2] == [job.key for job in plan_of(orders=[[EN, DE, ZH]]).runs[0].jobs[:2]], "what comes first is as it was"
    (tmp_path / "more.jsonl").rename(tmp_path / "moved.jsonl")
    more(tmp_path, seed=6)
    assert keys() == after


# The data


def test_further_data_are_encoded_as_those_of_the_language(make_study: Make, prepared_of: Ready, tmp_path: Path) -> None:
    """A file with the corpus's own utterances gives the language's own arrays, but for the names of utterances."""
    path = more(tmp_path, number=24, seed=0)
    found = prepared_of(make_study(stages=[EN, DE, ZH, again(path)])).encoded
    own, new = found[EN, "train"].arrays(), found["en-US (2)", "train"].arrays()
    for name in own.keys() - {"utterance_ids"}:
        np.testing.assert_array_equal(own[name], new[name])
    assert new["utterance_ids"][0] == "en-US (2)/train/1"
    assert found["en-US (2)", "dev"] is not None
    np.testing.assert_array_equal(found["en-US (2)", "dev"].ids, found[EN, "dev"].ids)
    assert len(found["en-US (2)", "test"]) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("no.jsonl", None, r"There is no file '.*no\.jsonl' with further data of en-US"),
        ("x.doc", "x", r"unknown ending of a data file '\.doc'"),
        ("x.jsonl", "", "holds no utterance"),
        ("x.jsonl", '{"tokens": ["a"], "ner_tags": ["B-nothing"]}\n', r"x\.jsonl, line 1: .*slot of the corpus 'nothing'"),
        ("x.jsonl", '{"tokens": ["a"]}\n', r"x\.jsonl, line 1"),
    ],
)
def test_bad_files_are_refused(name: str, content: str | None, message: str, make_study: Make, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(AttritionError, match=message):
        prepare(make_study(stages=[EN, DE, ZH, again(tmp_path / name)]), Watcher(), None)


def test_a_pack_has_the_data(make_study: Make, tmp_path: Path) -> None:
    path, pack = more(tmp_path), tmp_path / "pack"
    study = make_study(stages=[EN, [DE, ZH], again(path)])
    write_pack(study, pack, Watcher(), None)
    here = prepare(study, Watcher(), None)
    other = more(tmp_path, "other.jsonl")
    path.unlink()
    there = prepare(open_pack(pack), Watcher(), None, pack)
    assert list(there.plan.jobs) == list(here.plan.jobs)
    assert there.corpus == dataclasses.replace(here.corpus)
    plain = prepare(open_pack(pack, ['orders=[["zh-CN", ["en-US", "de-DE"]]]']), Watcher(), None, pack)
    assert [job.languages for job in plain.plan.runs[0].jobs] == [(ZH,), (DE, EN)]
    change = f'orders=[["en-US", "de-DE", "zh-CN", {{language = "en-US", data = "{other}"}}]]'
    with pytest.raises(AttritionError, match=r"other\.jsonl is not in .*pack"):
        open_pack(pack, [change])


def test_the_study_file_of_a_pack_holds_the_stages(make_study: Make, tmp_path: Path) -> None:
    study = make_study(stages=[EN, [DE, ZH], again(more(tmp_path))])
    (tmp_path / "files").mkdir()
    for name, content in study_files(study).items():
        (tmp_path / "files" / name).write_bytes(content)
    assert read_packed_study(tmp_path / "files").orders == study.orders
