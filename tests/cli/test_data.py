"""`attrition data` over a phrasebook written in MASSIVE's own layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attrition.corpus.phrasebook import Phrasebook

Say = Callable[..., Any]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    Phrasebook(train=6, dev=2, test=3, languages=("en-US", "ja-JP")).write(tmp_path)
    return tmp_path


def test_check_names_file_and_line(release: Path, say: Say) -> None:
    path = release / "1.1" / "data" / "en-US.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = lines[3][:-1]
    path.write_text("\n".join(lines), encoding="utf-8")
    said = say("data", "check", release)
    assert said.code == 1  # the command worked; the data are not right
    assert "en-US.jsonl" in said.words
    assert "line 4" in said.words


def test_describe(release: Path, say: Say) -> None:
    said = say("data", "describe", "--path", release, "-l", "en-US")
    assert said.code == 0
    assert [line.split()[:2] for line in said.out.splitlines()[1:4]] == [["en-US", split] for split in ("train", "dev", "test")]


def test_describe_into_a_file(release: Path, say: Say, tmp_path: Path) -> None:
    said = say("data", "describe", "--path", release, "--csv", tmp_path / "table.csv", "--model", "tiny:bert")
    assert said.code == 0
    frame = pd.read_csv(tmp_path / "table.csv")
    assert frame["utterances"].tolist() == [6, 2, 3] * 2
    assert (frame["sub_tokens"] > frame["words"]).all()


def test_what_is_generated_is_called_so(say: Say) -> None:
    assert "These utterances are generated." in say("data", "describe", "--corpus", "phrasebook", "-l", "sw-KE").out


def test_a_missing_archive_says_three_ways(say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTRITION_MASSIVE", str(tmp_path / "nothing"))
    said = say("data", "describe")
    assert said.code == 2
    for way in ("attrition data fetch", "corpus.path", "ATTRITION_MASSIVE"):
        assert way in said.words


def test_a_path_of_the_phrasebook_is_refused(say: Say, tmp_path: Path) -> None:
    said = say("data", "describe", "--corpus", "phrasebook", "--path", tmp_path)
    assert (said.code, "--path has no effect" in said.words) == (2, True)


def test_a_slot_that_only_test_has_is_named(say: Say, tmp_path: Path) -> None:
    for split, name in (("train", "time"), ("dev", "time"), ("test", "tiem")):
        (tmp_path / f"en-US.{split}.conll").write_text(f"at\tO\nten\tB-{name}\n")
    said = say("data", "describe", "--corpus", "columns", "--path", tmp_path)
    assert said.code == 0
    assert "no train utterance: 1 slot (tiem)" in said.words
