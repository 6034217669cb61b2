"""Damaged study files: read as what they say, or refused with the file and the setting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from attrition.study.spec import apply_change, build_study, read_study, resolved

Hunt = Callable[[Callable[[Random], None], int, int], None]
Refusal = Callable[..., None]
ROOT = Path(__file__).parents[2]
STUDIES = sorted([*(ROOT / "studies").glob("*.toml"), *(ROOT / "src" / "attrition" / "studies").glob("*.toml")])
OWN = """
name = "own"
languages = ["en-US", "de-DE", "th-TH"]
orders = ["random:3", "sorted:cc100_gib:desc", "balanced:3:1", "file:mine.txt", "blocks:groups.csv"]
seeds = [0, 1]
methods = ["VANILLA", {method = "SHARED LoRA", rank = 8, alpha = 16.0}, {method = "GROUPED LoRA", shared_by = "groups.toml"}]

[corpus]
name = "massive"
cuts = {"th-TH" = "graphemes"}
[corpus.sizes]
train = 100
disjoint = true
[training]
epochs = 3
learning_rate = 1e-4
[training.lora]
patience = 2
[machine]
threads = 1
"""


def write_neighbours(folder: Path) -> None:
    (folder / "mine.txt").write_text("th-TH en-US de-DE")
    (folder / "groups.csv").write_text("locale,group\nen-US,west\nde-DE,west\nth-TH,east\n")
    (folder / "groups.toml").write_text('en-US = "west"\nde-DE = "west"\nth-TH = "east"\n')


def test_study_files(hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None], tmp_path: Path) -> None:
    write_neighbours(tmp_path)
    path = tmp_path / "study.toml"
    sources = [OWN.encode()] * 3 + [study.read_bytes() for study in STUDIES]

    def attempt(random: Random) -> None:
        path.write_bytes(mutate.mutated(random.choice(sources), random))
        try:
            study = read_study(path)
        except ValueError as error:
            refusal(error, str(path))
            return
        assert build_study(resolved(study), where="again", folder=study.folder) == study

    hunt(attempt, 80, 2_500)


@pytest.mark.parametrize("name", ["mine.txt", "groups.csv", "groups.toml"])
def test_files_that_a_study_names(name: str, hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    write_neighbours(tmp_path)
    (tmp_path / "study.toml").write_text(OWN)
    content = (tmp_path / name).read_bytes()

    def attempt(random: Random) -> None:
        (tmp_path / name).write_bytes(mutate.mutated(content, random))
        try:
            read_study(tmp_path / "study.toml")
        except ValueError as error:
            refusal(error, str(tmp_path / "study.toml"), name)

    hunt(attempt, 20, 400)


def test_changes_on_the_command_line(hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None]) -> None:
    changes = [
        b"training.epochs=3",
        b'methods=["VANILLA"]',
        b"corpus.sizes.train=100",
        b'orders=[["en-US", "de-DE"]]',
        b"name=x",
    ]

    def attempt(random: Random) -> None:
        raw = {"name": "x", "languages": ["en-US", "de-DE"], "methods": ["VANILLA"]}
        try:
            apply_change(raw, mutate.mutated(random.choice(changes), random).decode(errors="surrogateescape"))
            build_study(raw, where="mine.toml")
        except ValueError as error:
            refusal(error)

    hunt(attempt, 40, 1_000)
