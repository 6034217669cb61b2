"""Which utterances a study uses, and their cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attrition.corpus.base import SPLITS, Corpus, Split, Utterance
from attrition.corpus.dataset import Dataset, Sizes, content_key
from attrition.corpus.encoded import Encoded, EncodingSettings
from attrition.corpus.phrasebook import Phrasebook
from attrition.encoder.sources import load_pretrained
from attrition.names import AttritionError

LANGUAGES = ("en-US", "de-DE", "sw-KE")


class Parallel:
    """A phrasebook that says, as MASSIVE does, the same ids in every language; counts how often it is read."""

    def __init__(self, **sizes: int) -> None:
        self._book = Phrasebook(**{"train": 60, "dev": 10, "test": 10, **sizes}, languages=LANGUAGES)  # type: ignore[arg-type]
        self.reads: list[tuple[str, Split]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._book, name)

    def read(self, language: str, split: Split) -> list[Utterance]:
        self.reads.append((language, split))
        return self._book.read(language, split)


@pytest.fixture
def make() -> Callable[..., Dataset]:
    """A data set with a tiny tokeniser."""

    def make(corpus: Corpus | Parallel | None = None, cache: Path | None = None, *, cuts: Any = None, **sizes: Any) -> Dataset:
        pretrained = load_pretrained("tiny:bert")
        return Dataset(
            corpus=corpus or Parallel(),  # type: ignore[arg-type]
            languages=sizes.pop("languages", LANGUAGES),
            tokenizer=pretrained.tokenizer,
            tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
            settings=EncodingSettings(),
            cuts=cuts or {},
            sizes=Sizes(**sizes),
            cache=cache,
        )

    return make


def ids(encoded: Mapping[tuple[str, Split], Encoded], language: str = "en-US", split: Split = "train") -> list[str]:
    found: list[str] = encoded[language, split].utterance_ids.tolist()
    return found


def keys(encoded: Mapping[tuple[str, Split], Encoded]) -> dict[tuple[str, Split], str]:
    return {place: content_key(each) for place, each in encoded.items()}


def test_without_sizes_everything_is_used_in_its_order(make: Callable[..., Dataset]) -> None:
    dataset = make()
    encoded = dataset.encode()
    assert ids(encoded) == [utterance.id for utterance in dataset.corpus.read("en-US", "train")]
    assert {split: len(encoded["de-DE", split]) for split in SPLITS} == {"train": 60, "dev": 10, "test": 10}


def test_a_sample_is_the_same_every_time_and_in_every_language(make: Callable[..., Dataset]) -> None:
    first, second = make(train=20).encode(), make(train=20).encode()
    assert keys(first) == keys(second)
    assert ids(first) == ids(first, "de-DE")
    assert ids(first) == sorted(ids(first), key=int)
    assert ids(make(train=20, seed=1).encode()) != ids(first)


def test_a_larger_sample_holds_a_smaller_one(make: Callable[..., Dataset]) -> None:
    samples = [set(ids(make(train=size).encode())) for size in (1, 7, 20, 60)]
    assert [len(sample) for sample in samples] == [1, 7, 20, 60]
    assert samples[0] < samples[1] < samples[2] < samples[3]


def test_a_sample_does_not_depend_on_the_other_splits_or_languages(make: Callable[..., Dataset]) -> None:
    alone = make(languages=("de-DE",), train=20, test=4).encode()
    together = make(train=20, test=9).encode()
    assert ids(alone, "de-DE") == ids(together, "de-DE")
    assert set(ids(alone, "de-DE", "test")) < set(ids(together, "de-DE", "test"))


def test_disjoint_languages_never_train_on_one_id(make: Callable[..., Dataset]) -> None:
    encoded = make(train=12, disjoint=True).encode()
    parts = [set(ids(encoded, language)) for language in LANGUAGES]
    assert [len(part) for part in parts] == [12] * 3
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    # Scores are compared between languages: there the ids stay the same.
    assert ids(encoded, "en-US", "test") == ids(encoded, "sw-KE", "test")


def test_disjoint_without_sizes_divides_everything(make: Callable[..., Dataset]) -> None:
    encoded = make(disjoint=True).encode()
    divided = [each for language in LANGUAGES for each in ids(encoded, language)]
    assert sorted(divided) == sorted(ids(make().encode()))
    # In whatever order languages are listed.
    assert keys(make(disjoint=True, languages=LANGUAGES[::-1]).encode()) == keys(encoded)


def test_disjoint_samples_are_nested_too(make: Callable[..., Dataset]) -> None:
    small, large = (set(ids(make(train=size, disjoint=True).encode())) for size in (5, 12))
    assert small < large


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"train": 61}, r"corpus\.sizes\.train = 61, but en-US has only 60 train utterances\. Ask for fewer"),
        ({"test": 11}, r"corpus\.sizes\.test = 11, but en-US has only 10 test"),
        ({"train": 40, "disjoint": True}, r"has only \d\d train utterances \(60 divided among 3 languages"),
    ],
)
def test_more_than_there_are(sizes: dict[str, Any], message: str, make: Callable[..., Dataset]) -> None:
    with pytest.raises(AttritionError, match=message):
        make(**sizes).encode()


def test_unknown_languages(make: Callable[..., Dataset]) -> None:
    with pytest.raises(AttritionError, match=r"language of the corpus 'phrasebook' 'de-AT'\. Did you mean 'de-DE'"):
        make(languages=("de-AT",))
    with pytest.raises(AttritionError, match=r"corpus\.cuts: unknown language of this study 'ja-JP'"):
        make(cuts={"ja-JP": "blanks"})


# The cache


def test_the_cache_gives_the_same_without_reading(make: Callable[..., Dataset], tmp_path: Path) -> None:
    corpus, told = Parallel(), []
    first = make(corpus, tmp_path, train=20).encode(told.append)
    assert told == list(LANGUAGES)
    assert len(corpus.reads) == 9
    assert keys(make(corpus, tmp_path, train=20).encode()) == keys(first) == keys(make(train=20).encode())
    # Another sample is drawn from the same file.
    assert len(ids(make(corpus, tmp_path, train=5).encode())) == 5
    assert len(corpus.reads) == 9
    assert sorted(path.suffix for path in (tmp_path / "encoded").iterdir()) == [".safetensors"] * 3


def test_cached_arrays_are_the_same_to_the_last_bit(make: Callable[..., Dataset], tmp_path: Path) -> None:
    fresh, cached = (make(cache=tmp_path).encode()["sw-KE", "train"] for _ in range(2))
    for name, array in fresh.arrays().items():
        assert array.dtype == cached.arrays()[name].dtype
        np.testing.assert_array_equal(array, cached.arrays()[name])


@pytest.mark.parametrize("damage", ["truncated", "empty", "a bit flipped", "another file"])
def test_a_damaged_cache_is_made_again(damage: str, make: Callable[..., Dataset], tmp_path: Path) -> None:
    corpus = Parallel()
    expected = keys(make(corpus, tmp_path).encode())
    paths = {path.name[:5]: path for path in (tmp_path / "encoded").iterdir()}
    content = bytearray(paths["de-DE"].read_bytes())
    if damage == "a bit flipped":
        content[-3] ^= 1
    paths["de-DE"].write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "empty": b"",
            "another file": paths["en-US"].read_bytes()[:8] + b"{}" * 40,
        }.get(damage, content)
    )
    assert keys(make(corpus, tmp_path).encode()) == expected
    assert corpus.reads[9:] == [("de-DE", split) for split in SPLITS]
    assert keys(make(corpus, tmp_path).encode()) == expected
    assert len(corpus.reads) == 12


def test_what_decides_the_encoding_names_the_file(make: Callable[..., Dataset], tmp_path: Path) -> None:
    for dataset in (
        make(cache=tmp_path),
        make(cache=tmp_path, cuts={"en-US": "characters"}),
        make(Parallel(train=61), tmp_path),
    ):
        dataset.encode()
    assert len(list((tmp_path / "encoded").glob("en-US-*"))) == 3
    assert len(list((tmp_path / "encoded").glob("de-DE-*"))) == 2


def test_a_split_of_which_nothing_is_used_is_not_read(make: Callable[..., Dataset], tmp_path: Path) -> None:
    corpus = Parallel()
    for _ in range(2):
        encoded = make(corpus, tmp_path, dev=0).encode()
        assert [len(encoded["en-US", split]) for split in SPLITS] == [60, 0, 10]
    assert len(corpus.reads) == 6
    assert len(make(corpus, tmp_path).encode()["en-US", "dev"]) == 10


def test_a_cache_that_cannot_be_written_to(make: Callable[..., Dataset], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AttritionError, match=r"cannot be stored there.*ATTRITION_CACHE"):
        make(cache=tmp_path / "file").encode()


@pytest.mark.parametrize(("name", "value"), [("train", 0), ("test", 0), ("dev", -1), ("train", -5)])
def test_sizes_out_of_range(name: str, value: int) -> None:
    with pytest.raises(AttritionError, match=rf"corpus\.sizes\.{name} = {value} is not allowed"):
        Sizes(**{name: value})
