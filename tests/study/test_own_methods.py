"""Methods of a study file: hooks and merges in an entry, and a method of a user's own file."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from attrition.methods.replay import Replay
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.store.stages import Store
from attrition.study.spec import Study, apply_change, build_study, read_study, resolved
from attrition.study.standalone import study_files

Make = Callable[..., Study]
EXAMPLE = Path(__file__).parents[2] / "examples" / "my_method.py"

ENTRIES: list[tuple[dict[str, Any], str, str]] = [
    ({"method": "VANILLA", "replay": {"share": 0.1}}, "REPLAY", "REPLAY"),
    ({"method": "VANILLA", "replay": {}, "rate_decay": {"factor": 0.5}}, "VANILLA + replay + rate_decay", ""),
    ({"method": "SHARED LoRA", "ewc": {"strength": 1}}, "SHARED LoRA + ewc", ""),
    ({"method": "REPLAY", "replay": {"size": 7}, "name": "few"}, "few", "REPLAY"),
    ({"method": "NON-SHARED LoRA", "merge": {"name": "ties", "density": 0.3}}, "TIES LoRA", "TIES LoRA"),
    ({"method": "SHARED LoRA", "merge": {"name": "mean", "weights": {"de-DE": 2}}}, "MERGED LoRA", "MERGED LoRA"),
]


@pytest.mark.parametrize(("entry", "name", "of"), ENTRIES)
def test_an_entry_is_called_what_it_is_and_reads_back(entry: dict[str, Any], name: str, of: str, make_study: Make) -> None:
    study = make_study(methods=[entry, "VANILLA"])
    assert (study.methods[0].method.name, study.methods[0].method.of) == (name, of)
    assert build_study(resolved(study), where="x") == study


def test_settings_that_are_not_given_stay(make_study: Make) -> None:
    (choice,) = make_study(methods=[{"method": "REPLAY", "replay": {"size": 7}}]).methods
    assert choice.method.hooks == (Replay(size=7),)


BAD: list[tuple[str, tuple[str, ...]]] = [
    ('{method="VANILLA", reply={}}', ("'reply'", "Did you mean 'replay'?")),
    ('{method="VANILLA", replay={shar=0.1}}', ("methods[0].replay", "'shar'", "Did you mean 'share'?")),
    ('{method="VANILLA", replay={share=1.0}}', ("methods[0].replay.share", "1.0", "less than 1")),
    ('{method="VANILLA", replay={size=0}}', ("methods[0].replay.size", "greater than or equal to 1")),
    ('{method="VANILLA", replay={select="reservor"}}', ("methods[0].replay.select", "Did you mean 'reservoir'?")),
    ('{method="VANILLA", replay=5}', ("methods[0].replay", "a table is expected")),
    ('{method="VANILLA", ewc={strength=inf}}', ("methods[0].ewc.strength", "inf")),
    ('{method="VANILLA", ewc={strength="1"}}', ("methods[0].ewc.strength", "'1'")),
    ('{method="MONO", replay={}}', ("methods[0]", "replay has no effect")),
    ('{method="MERGED LoRA", ewc={}}', ("methods[0]", "ewc has no effect")),
    ('{method="SHARED LoRA", merge={name="tie"}}', ("methods[0].merge.name", "Did you mean 'ties'?")),
    ('{method="SHARED LoRA", merge={name="ties", density=0}}', ("methods[0].merge.density", "greater than 0")),
    ('{method="SHARED LoRA", merge={name="ties"}, joint=true}', ("joint has no effect",)),
    ('{method="SHARED LoRA", merge={name="ties"}, shared_by="script"}', ("shared_by has no effect",)),
    ('{method="SHARED LoRA", merge={name="mean", weights={"en-UK"=2}}}', ("merge.weights", "Did you mean 'en-US'?")),
    ('{method="SHARED LoRA", merge={name="mean", weights={"en-US"=0}}}', ("merge.weights.en-US", "greater than 0")),
    ('"nowhere.py"', ("methods[0]", "no file 'nowhere.py' with a method")),
]


@pytest.mark.parametrize(("entry", "words"), BAD, ids=[entry for entry, _ in BAD])
def test_a_slip_is_named(entry: str, words: tuple[str, ...], tiny: dict[str, Any]) -> None:
    raw = copy.deepcopy(tiny)
    apply_change(raw, f"methods=[{entry}]")
    with pytest.raises(AttritionError) as caught:
        build_study(raw, where="my.toml")
    for word in ("my.toml", *words):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("method", "shares"), [("REPLAY", 1), ("RATE DECAY", 1), ("INTERPOLATION", 1), ("EWC", 0), (str(EXAMPLE), 1)]
)
def test_a_first_stage_without_hooks_is_vanillas(
    method: str, shares: int, make_study: Make, prepared_of: Callable[[Study], Prepared]
) -> None:
    vanilla, other = prepared_of(make_study(methods=["VANILLA", method])).plan.runs
    assert len({job.key for job in vanilla.jobs} & {job.key for job in other.jobs}) == shares


def test_a_method_in_a_file_survives_in_the_results_folder(
    tiny: dict[str, Any], run_notes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example is run; then its file is gone, and the results folder reads and goes on from its copy."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(EXAMPLE, home / "my_method.py")
    methods = ["VANILLA", {"method": "my_method.py", "pull": {"strength": 5.0}}]
    (home / "study.toml").write_text(tomli_w.dumps({**tiny, "languages": ["en-US", "de-DE"], "methods": methods}))
    study = read_study(home / "study.toml")
    assert build_study(resolved(study), where="x").methods == study.methods
    folder = tmp_path / "out"
    notes = run_notes(study, folder)
    assert len(notes.trained_stages) == 3, "the first stage is VANILLA's"
    vanilla, pulled = (Store(folder).load_tensors(key) for key in notes.trained_stages[1:])
    assert any((vanilla[name] != pulled[name]).any() for name in vanilla)
    shutil.rmtree(home)
    monkeypatch.chdir(tmp_path)
    (copied,) = folder.glob("method-*.py")
    assert copied.read_bytes() == EXAMPLE.read_bytes()
    again = read_study(folder / "study.toml")
    assert again.methods[1].method.hooks[0].model_dump() == {"strength": 5.0}
    assert set(study_files(again)) == {"study.toml", copied.name}
    assert run_notes(again, folder).trained_stages == []


@pytest.mark.parametrize("method", ["EWC", "REPLAY"])
def test_a_hook_goes_on_where_a_study_gets_another_language(
    method: str, make_study: Make, run_notes: Any, tmp_path: Path
) -> None:
    """The vocabulary grows, and with it the vectors that EWC has left; the stage that is stored already is used."""
    run_notes(make_study('languages=["en-US"]', methods=[method]), tmp_path)
    notes = run_notes(make_study('languages=["en-US", "zh-CN"]', methods=[method]), tmp_path)
    assert len(notes.trained_stages) == 1
    assert notes.stages[notes.trained_stages[0]].parent is not None
