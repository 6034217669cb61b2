"""The table of a corpus: a small one counted by hand, and MASSIVE's known numbers where it is there."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from attrition.corpus.columns import Columns
from attrition.corpus.describe import describe
from attrition.corpus.massive import Massive
from attrition.names import AttritionError


@pytest.fixture
def corpus(tmp_path: Path) -> Columns:
    files = {
        "train": "wake O\nme O\nat O\nfive B-time\nam I-time\n\nhello O\n\nhello O\n",
        "dev": "hello O\n\nbonn B-place\nnow B-time\n",
        "test": "hello O\n\nhello O\n\nbye O\n",
    }
    for split, content in files.items():
        (tmp_path / f"en.{split}.conll").write_text(content, encoding="utf-8")
    return Columns(tmp_path)


def test_every_column_is_what_one_counts_by_hand(corpus: Columns) -> None:
    def characters(text: str) -> list[int]:
        return [ord(character) for character in text if character != " "]

    frame = describe(corpus, tokenizer=characters, unknown_id=ord("o"))
    expected = pd.DataFrame(
        {
            "language": ["en"] * 3,
            "split": ["train", "dev", "test"],
            "cut": ["blanks"] * 3,
            "utterances": [3, 2, 3],
            "words": [7 / 3, 1.5, 1.0],
            "slots": [1 / 3, 1.0, 0.0],
            "sub_tokens": [(14 + 5 + 5) / 3, (5 + 7) / 2, (5 + 5 + 3) / 3],
            "unknown_sub_tokens": pd.array([2, 3, 2], dtype="Int64"),
            "repeated": pd.array([1, 0, 1], dtype="Int64"),
            "also_in_train": pd.array([pd.NA, 1, 2], dtype="Int64"),
            "leak_annotation": [0.25, 1.0, float("nan")],
            "leak_text": [0.25, 1.0, float("nan")],
            "multi_word_slots": [1.0, 0.0, float("nan")],
        }
    )
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)


def test_without_a_tokenizer_sub_tokens_are_not_known(corpus: Columns) -> None:
    frame = describe(corpus, ["en"])
    assert frame["sub_tokens"].isna().all()
    assert frame["unknown_sub_tokens"].isna().all()
    only_ids = describe(corpus, ["en"], tokenizer=lambda text: list(text.encode()))
    assert only_ids["sub_tokens"].notna().all()
    assert only_ids["unknown_sub_tokens"].isna().all()


def test_the_cut_changes_the_words_and_nothing_else(corpus: Columns) -> None:
    by_blanks, by_characters = describe(corpus), describe(corpus, cuts={"en": "characters"})
    assert by_characters["words"].tolist() == [(14 + 5 + 5) / 3, (5 + 7) / 2, (5 + 5 + 3) / 3]
    pd.testing.assert_frame_equal(by_blanks.drop(columns=["cut", "words"]), by_characters.drop(columns=["cut", "words"]))


def test_no_language_gives_an_empty_table_and_an_unknown_one_a_sentence(corpus: Columns) -> None:
    empty = describe(corpus, [])
    assert len(empty) == 0
    assert list(empty.columns) == list(describe(corpus).columns)
    with pytest.raises(AttritionError, match="Unknown language"):
        describe(corpus, ["xx"])


@pytest.mark.massive
def test_known_numbers_of_massive() -> None:
    beside = Path(__file__).parents[2] / "../shared/massive/amazon-massive-dataset-1.1.tar.xz"
    path = Path(os.environ.get("ATTRITION_MASSIVE") or beside)
    if not path.exists():
        pytest.skip("MASSIVE 1.1 is not here: set ATTRITION_MASSIVE to its archive or folder")
    frame = describe(Massive(path), ["en-US", "km-KH", "ja-JP"]).set_index(["language", "split"])
    assert frame["utterances"].tolist() == [11_514, 2_033, 2_974] * 3
    assert frame.loc[("en-US", "test"), "also_in_train"] == 21
    assert frame.loc[("km-KH", "test"), "also_in_train"] == 429
    assert frame.loc[("ja-JP", "train"), "cut"] == "characters"
    assert frame.loc[("ja-JP", "train"), "leak_annotation"] == pytest.approx(0.935, abs=0.001)
    assert frame.loc[("km-KH", "train"), "leak_text"] == pytest.approx(0.513, abs=0.001)
