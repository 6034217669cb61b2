"""`attrition data` over a phrasebook written in MASSIVE's own layout."""

from __future__ import annotations

import io
import os
import tarfile
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
    assert (said.code, "corpus.path (--path) has no effect" in said.words) == (2, True)


def test_a_slot_that_only_test_has_is_named(say: Say, tmp_path: Path) -> None:
    for split, name in (("train", "time"), ("dev", "time"), ("test", "tiem")):
        (tmp_path / f"en-US.{split}.conll").write_text(f"at\tO\nten\tB-{name}\n")
    said = say("data", "describe", "--corpus", "columns", "--path", tmp_path)
    assert said.code == 0
    assert "no train utterance: 1 slot (tiem)" in said.words


def test_what_is_skipped_and_what_is_no_tag_is_said(say: Say, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / f"ed-US.{split}.txt").write_text("a B-x\n O\n")
    said = say("data", "describe", "--corpus", "columns", "--path", tmp_path)
    assert said.code == 0
    assert "ed-US.train.txt, line 2: a tag 'O' without a word" in said.words
    assert "Not a language tag: 'ed-US' (did you mean 'en-US'?)" in said.words
    assert [line.split()[:2] for line in said.out.splitlines()[1:3]] == [["ed-US", "train"], ["ed-US", "test"]], "no dev file"


def test_the_columns_can_be_named(say: Say, tmp_path: Path) -> None:
    (tmp_path / "yor.train.txt").write_text("word ner pos\na x N\nb O V\n")
    options = ("data", "describe", "--corpus", "columns", "--path", tmp_path, "--csv", tmp_path / "t.csv")
    assert say(*options, "--tag", "ner", "--scheme", "plain").code == 0
    assert pd.read_csv(tmp_path / "t.csv")["slots"].tolist() == [1.0]
    said = say(*options, "--tag", "nre")
    assert (said.code, "unknown column 'nre'. Did you mean 'ner'?" in said.words) == (2, True)
    assert say(*options, "--scheme", "iob").code == 2


def test_an_archive_is_read_where_it_lies(say: Say, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "mine.tar.xz", "w:xz") as tar:
        for name, text in (("data/yor/train.txt", "a B-x\n O\n"), ("data/yor/test.txt", "a B-x\n"), ("README.txt", "hello")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    (tmp_path / "README.md").write_text("hello")
    for path in (tmp_path, tmp_path / "mine.tar.xz"):
        said = say("data", "describe", "--corpus", "columns", "--path", path)
        assert said.code == 0
        assert "mine.tar.xz: data/yor/train.txt, line 2: a tag 'O' without a word" in said.words


MASAKHANER = Path(os.environ.get("ATTRITION_MASAKHANER2", "../shared/masakhaner2"))


@pytest.mark.long
@pytest.mark.skipif(not MASAKHANER.is_dir(), reason="MasakhaNER 2.0 is not here (ATTRITION_MASAKHANER2)")
def test_masakhaner_is_read_as_it_is(say: Say) -> None:
    said = say("data", "describe", "--corpus", "columns", "--path", MASAKHANER, "-l", "xho")
    assert said.code == 0
    for line in (44520, 74513):
        assert f"data/xho/train.txt, line {line}: a tag 'O' without a word" in said.words
    assert [line.split()[1:4] for line in said.out.splitlines()[1:4]] == [
        ["train", "blanks", "5,718"], ["dev", "blanks", "817"], ["test", "blanks", "1,633"],
    ]  # fmt: skip
