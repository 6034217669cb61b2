"""Damaged files and formats of other versions: damage is named, and only the damaged part is recomputed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.names import AttritionError
from attrition.store.stages import DamagedError, Kind, Store
from attrition.study.spec import Study

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]

FILES: list[tuple[Kind, str]] = [
    ("stages", "weights.safetensors"),
    ("stages", "history.json"),
    ("stages", "manifest.json"),
    ("evaluations", "counts.safetensors"),
    ("evaluations", "details.json"),
    ("evaluations", "manifest.json"),
]
# The places of a wrong byte: a safetensors file has the length of its header, then the header, then the numbers.
PLACES: dict[str, Callable[[bytes], int]] = {
    "the first byte": lambda _: 0,
    "the header's length": lambda _: 3,
    "the header": lambda content: min(40, len(content) - 1),
    "the middle": lambda content: len(content) // 2,
    "the last byte": lambda content: len(content) - 1,
}
EN, DE = "en-US", "de-DE"


def results(folder: Path) -> dict[str, bytes]:
    """Return all result files without times, by path."""
    files = [path for part in ("stages", "evaluations") for path in folder.glob(f"{part}/*/*.safetensors")]
    files += [path for name in ("matrix.csv", "metrics.json", "*.parquet") for path in folder.glob(f"runs/*/{name}")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def study(make_study: Make) -> Study:
    return make_study(f'languages=["{EN}", "{DE}"]', "training.epochs=1")


@pytest.fixture(scope="module")
def folder(study: Study, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a finished study; every test leaves it complete."""
    folder = tmp_path_factory.mktemp("faults")
    run_notes(study, folder)
    return folder


def stage_of(folder: Path, *chain: str) -> str:
    store = Store(folder)
    (key,) = (key for key in store.keys("stages") if store.about("stages", key)["chain"] == [[each] for each in chain])
    return key


def key_of(folder: Path, kind: Kind) -> str:
    """Return the key of the first stage, or of its evaluation."""
    store, stage = Store(folder), stage_of(folder, EN)
    if kind == "stages":
        return stage
    abouts = {key: store.about("evaluations", key) for key in store.keys("evaluations")}
    (key,) = (key for key, about in abouts.items() if about["stage"] == stage and not about["before"])
    return key


def repaired(kind: Kind, path: Path, study: Study, folder: Path, run_notes: Run, before: dict[str, bytes]) -> None:
    """Check that the next run names the damage, recomputes only this folder and gives the same result."""
    notes = run_notes(study, folder)
    assert len(notes.trained_stages) == (kind == "stages")
    assert len(notes.scored) == (kind == "evaluations")
    assert any(str(path) in each for each in notes.warnings)
    assert Store(folder).problem(kind, path.parent.name) is None
    assert results(folder) == before


@pytest.mark.parametrize(("kind", "name"), FILES, ids=lambda value: str(value))
def test_every_kind_of_file_missing(kind: Kind, name: str, study: Study, folder: Path, run_notes: Run) -> None:
    before, path = results(folder), folder / kind / key_of(folder, kind) / name
    path.unlink()
    repaired(kind, path, study, folder, run_notes, before)


@pytest.mark.parametrize(("kind", "name"), FILES, ids=lambda value: str(value))
@pytest.mark.parametrize("end", ["empty", "half", "one byte less", "one byte more"])
def test_every_kind_of_file_cut_or_grown(end: str, kind: Kind, name: str, study: Study, folder: Path, run_notes: Run) -> None:
    before, path = results(folder), folder / kind / key_of(folder, kind) / name
    content = path.read_bytes()
    path.write_bytes(
        {"empty": b"", "half": content[: len(content) // 2], "one byte less": content[:-1]}.get(end, content + b"x")
    )
    repaired(kind, path, study, folder, run_notes, before)


@pytest.mark.parametrize(("kind", "name"), FILES, ids=lambda value: str(value))
@pytest.mark.parametrize("place", PLACES)
def test_every_kind_of_file_with_a_bit_flipped(
    place: str, kind: Kind, name: str, study: Study, folder: Path, run_notes: Run
) -> None:
    before, path = results(folder), folder / kind / key_of(folder, kind) / name
    content = bytearray(path.read_bytes())
    content[PLACES[place](bytes(content))] ^= 1
    path.write_bytes(content)
    repaired(kind, path, study, folder, run_notes, before)


@pytest.mark.parametrize("bit", range(8))
def test_no_bit_of_a_manifest_can_flip_unseen(bit: int, folder: Path) -> None:
    """Also bits whose change leaves valid JSON: a digit of the format, a letter of the stage's facts."""
    store, key = Store(folder), stage_of(folder, EN)
    path = folder / "stages" / key / "manifest.json"
    whole = path.read_bytes()
    said = json.loads(whole)
    try:
        for place in range(len(whole)):
            content = bytearray(whole)
            content[place] ^= 1 << bit
            path.write_bytes(content)
            problem = store.problem("stages", key)
            try:
                same = json.loads(bytes(content)) == said
            except ValueError:
                same = False
            assert (problem is None) == same, f"byte {place}: {bytes(content[max(0, place - 20) : place + 20])!r}"
    finally:
        path.write_bytes(whole)


def test_the_child_of_a_damaged_stage_stays(study: Study, folder: Path, run_notes: Run) -> None:
    before, key = results(folder), stage_of(folder, EN)
    path = folder / "stages" / key / "weights.safetensors"
    path.write_bytes(b"")
    assert run_notes(study, folder).trained_stages == [key]
    assert results(folder) == before


def test_tables_of_a_run_are_written_again(study: Study, folder: Path, run_notes: Run) -> None:
    before = results(folder)
    for path in folder.glob("runs/*/*"):
        path.write_bytes(path.read_bytes()[:-3])
    notes = run_notes(study, folder)
    assert (notes.trained_stages, notes.scored) == ([], [])
    assert results(folder) == before


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"name = ", b"{"])
def test_a_damaged_study_or_environment_is_written_again(content: bytes, study: Study, folder: Path, run_notes: Run) -> None:
    names = ("study.toml", "environment.json", "covariates.json")
    before = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).write_bytes(content)
    assert run_notes(study, folder).trained_stages == []
    assert {name: (folder / name).read_bytes() for name in names} == before


# Formats


# The weights [1.5, -2.0] as x, written by hand from the description of the format, not by this program.
HEADER = b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  '
WEIGHTS = len(HEADER).to_bytes(8, "little") + HEADER + np.array([1.5, -2.0], "<f4").tobytes()
HISTORY = b"""{"history": [{"epoch": 1, "train_loss": 0.25, "dev_f1": "nan", "seconds": 2.0}],
 "kept_epoch": 1, "seconds": {"data": 0.5}, "decay": 0.75}"""


@pytest.fixture
def format_1(tmp_path: Path) -> Store:
    """Return a stage of format 1, which had no seal."""
    folder = tmp_path / "stages" / "00ff"
    folder.mkdir(parents=True)
    files = {"weights.safetensors": WEIGHTS, "history.json": HISTORY}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    listed = {name: {"sha256": hashlib.sha256(each).hexdigest(), "bytes": len(each)} for name, each in files.items()}
    manifest = {"format": 1, "key": "00ff", "about": {"languages": [EN]}, "files": listed}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return Store(tmp_path)


def test_format_1_is_read(format_1: Store) -> None:
    assert format_1.problem("stages", "00ff") is None
    assert format_1.load_tensors("00ff")["x"].tolist() == [1.5, -2.0]
    stored = format_1.load_history("00ff")
    assert (stored.kept_epoch, stored.decay, stored.seconds, stored.history[0].train_loss) == (1, 0.75, {"data": 0.5}, 0.25)
    assert format_1.about("stages", "00ff") == {"languages": [EN]}


def test_format_1_is_checked(format_1: Store) -> None:
    path = format_1.folder / "stages" / "00ff" / "weights.safetensors"
    path.write_bytes(WEIGHTS[:-1] + b"\x00")
    assert str(path) in str(format_1.problem("stages", "00ff"))


def test_a_format_without_the_seal_that_it_has_is_damage(format_1: Store) -> None:
    path = format_1.folder / "stages" / "00ff" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 2}))
    assert str(path) in str(format_1.problem("stages", "00ff"))


@pytest.mark.parametrize("seal", [{}, {"seal": "made otherwise"}])
def test_a_newer_format_is_refused_and_kept(seal: dict[str, str], format_1: Store) -> None:
    path = format_1.folder / "stages" / "00ff" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3, **seal}))
    with pytest.raises(AttritionError, match=r"newer version of attrition \(format 3; this one reads up to 2\)") as caught:
        format_1.problem("stages", "00ff")
    assert not isinstance(caught.value, DamagedError)
    assert path.exists()
