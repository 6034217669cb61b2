"""The utterances of a study: sampled, encoded, cached on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from attrition.corpus.base import SPLITS, Corpus, Cut, Split, Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances
from attrition.names import AttritionError, unknown
from attrition.streams import numpy_stream

FORMAT = 2
_TEXT = "utterance_ids"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many utterances of each split are used; None means all.

    With `disjoint` no two languages train on translations of one utterance: MASSIVE is parallel, and otherwise a model
    learns each sentence once per language. Dev and test have the same ids in every language, so that scores are comparable.
    The sample depends on `seed`, the split and the ids. A larger sample contains a smaller one.
    """

    train: int | None = None
    dev: int | None = None
    test: int | None = None
    disjoint: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            if (size := getattr(self, split)) is not None and size < 1:
                raise AttritionError(f"corpus.sizes.{split} = {size} is not allowed: give at least 1, or leave it out for all.")
        if self.dev is not None and self.dev < 0:
            raise AttritionError(f"corpus.sizes.dev = {self.dev} is not allowed: give 0 for none, or leave it out for all.")

    def of(self, split: Split) -> int | None:
        """Return the number for one split."""
        size: int | None = getattr(self, split)
        return size


@dataclass(frozen=True, eq=False)
class Dataset:
    """A study's view of a corpus.

    Args:
        corpus: any corpus.
        languages: the study's languages, all of them in the corpus.
        tokenizer, tokenizer_fingerprint: the model's tokeniser and its hash.
        settings: how utterances are encoded.
        cuts: how words are cut, for languages that do not use the corpus's default.
        sizes: how many utterances.
        cache: folder for encoded languages, or None to keep nothing.
        encoder: encodes utterances with one cut. None: `encode_utterances`, which labels words by slots.
        may_lack: languages that need not have every split; sizes apply to the splits that they have.
        encoded_as: name of `encoder` in the names of cached files; "" for slots.
    """

    corpus: Corpus
    languages: tuple[str, ...]
    tokenizer: Tokenizer
    tokenizer_fingerprint: str
    settings: EncodingSettings
    cuts: Mapping[str, Cut]
    sizes: Sizes
    cache: Path | None = None
    encoder: Callable[[Sequence[Utterance], Cut], Encoded] | None = None
    encoded_as: str = ""
    may_lack: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for language in self.languages:
            if language not in self.corpus.languages:
                raise unknown(language, self.corpus.languages, kind=f"language of the corpus {self.corpus.name!r}")
        for language in self.cuts:
            if language not in self.languages:
                raise unknown(language, self.languages, kind="language of this study", where="corpus.cuts")

    def cut(self, language: str) -> Cut:
        """Return how a language is cut into words."""
        return self.cuts.get(language) or self.corpus.default_cut(language)

    def encode(self, progress: Callable[[str], None] | None = None) -> dict[tuple[str, Split], Encoded]:
        """Return every language and split, sampled, with ids of the model's whole vocabulary.

        Args:
            progress: called with each finished language.

        Raises:
            AttritionError: fewer utterances than requested, or malformed data.
        """
        encoded: dict[tuple[str, Split], Encoded] = {}
        for language in self.languages:
            whole = self._language(language)
            for split in SPLITS:
                encoded[language, split] = whole[split].select(self._rows(language, split, whole[split]))
            if progress:
                progress(language)
        return encoded

    def _rows(self, language: str, split: Split, whole: Encoded) -> NDArray[np.int64]:
        """Return the indices of the sampled utterances, in the corpus's order."""
        size = self.sizes.of(split) if len(whole) or language not in self.may_lack else None
        disjoint = self.sizes.disjoint and split == "train"
        available = len(whole)
        if size is None and not disjoint:
            return np.arange(available)
        rank = ranks(whole.utterance_ids, int(numpy_stream("sample", self.sizes.seed, split).integers(2**63)))
        if disjoint:
            # The ids are divided among the languages, so that no id is drawn twice.
            place = sorted(self.languages).index(language)
            mine = np.flatnonzero(_turn(whole.utterance_ids, self.sizes.seed, len(self.languages)) == place)
        else:
            mine = np.arange(available)
        if size is not None and len(mine) < size:
            divided = (
                f" ({available} divided among {len(self.languages)} languages, since sizes.disjoint is on)" if disjoint else ""
            )
            raise AttritionError(
                f"corpus.sizes.{split} = {size}, but {language} has only {len(mine)} {split} utterances{divided}. "
                "Ask for fewer."
            )
        chosen = mine[np.argsort(rank[mine], kind="stable")[:size]]
        return np.sort(chosen)

    def _language(self, language: str) -> dict[Split, Encoded]:
        """Return a language's three splits, from the cache if it has them undamaged."""
        path = self._cache_file(language)
        if path is not None and path.is_file():
            cached = _load(path)
            if cached is not None:
                return cached
        encoded = {
            # An unused split need not exist.
            split: self._encoded(
                self.corpus.read(language, split) if self._is_read(language, split) else (), self.cut(language)
            )
            for split in SPLITS
        }
        if path is not None:
            _save(path, encoded)
        return encoded

    def _is_read(self, language: str, split: Split) -> bool:
        may_lack = language in self.may_lack
        return self.sizes.of(split) != 0 and not (may_lack and split not in self.corpus.splits(language))

    def _encoded(self, utterances: Sequence[Utterance], cut: Cut) -> Encoded:
        if self.encoder is not None:
            return self.encoder(utterances, cut)
        return encode_utterances(utterances, self.tokenizer, slots=self.corpus.slots, cut=cut, settings=self.settings)

    def _cache_file(self, language: str) -> Path | None:
        if self.cache is None:
            return None
        decides = [FORMAT, self.corpus.fingerprint, language, self.cut(language), self.tokenizer_fingerprint]
        decides += [dataclasses.asdict(self.settings), self.corpus.slots, [self.sizes.of(split) != 0 for split in SPLITS]]
        decides += [self.encoded_as] if self.encoded_as else []
        key = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:20]
        return self.cache / "encoded" / f"{language}-{key}.safetensors"


def content_key(encoded: Encoded) -> str:
    """Return a hash of all arrays. A stage identifies its training utterances by this hash."""
    digest = hashlib.sha256()
    for name, array in sorted(encoded.arrays().items()):
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:20]


def text_to_codes(text: NDArray[np.str_]) -> NDArray[np.uint32]:
    """Return texts as UCS-4 code points, [len(text), longest]: safetensors has no type for text.

    >>> text_to_codes(np.array(["a", "é1"])).tolist()
    [[97, 0], [233, 49]]
    """
    return np.ascontiguousarray(text).view(np.uint32).reshape(len(text), text.itemsize // 4)


def text_of_codes(codes: NDArray[np.generic]) -> NDArray[np.str_]:
    """Return the texts of code points: the inverse of `text_to_codes`.

    >>> text_of_codes(text_to_codes(np.array(["a", "é1"]))).tolist()
    ['a', 'é1']
    """
    kind = f"<U{codes.shape[1]}"
    return np.ascontiguousarray(codes).view(kind).reshape(-1) if codes.size else np.zeros(len(codes), kind)


def ranks(ids: NDArray[np.str_], salt: int) -> NDArray[np.uint64]:
    """Return a random number for each id, independent of the other ids: the ids of lowest rank are a random sample."""
    return np.array([_hash(f"{salt}:{name}") for name in ids], dtype=np.uint64)


def _turn(ids: NDArray[np.str_], seed: int, num_languages: int) -> NDArray[np.int64]:
    """Return the number of the language that gets each id."""
    salt = int(numpy_stream("disjoint", seed).integers(2**63))
    return np.array([_hash(f"{salt}:{name}") % num_languages for name in ids], dtype=np.int64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _save(path: Path, encoded: Mapping[Split, Encoded]) -> None:
    """Write a language's splits with a hash of each, so that damage is detected.

    Raises:
        AttritionError: the cache is not writable.
    """
    arrays = {}
    for split, each in encoded.items():
        for name, array in each.arrays().items():
            arrays[f"{split}.{name}"] = np.ascontiguousarray(text_to_codes(each.utterance_ids) if name == _TEXT else array)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(arrays, temporary, metadata={split: content_key(each) for split, each in encoded.items()})
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            temporary.unlink()
        raise AttritionError(
            f"{path}: encoded utterances cannot be stored there ({error}). "
            "Free disk space, or set ATTRITION_CACHE to a writable folder."
        ) from error


def _load(path: Path) -> dict[Split, Encoded] | None:
    """Return the encoded language, or None if the file is damaged (it is then made again)."""
    try:
        with safe_open(path, framework="numpy") as file:
            hashes = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        encoded = {split: _restore(arrays, split) for split in SPLITS}
    except (SafetensorError, OSError, KeyError, ValueError):
        return None
    return encoded if all(content_key(each) == hashes.get(split) for split, each in encoded.items()) else None


def _restore(arrays: Mapping[str, NDArray[np.generic]], split: Split) -> Encoded:
    found = {field.name: arrays[f"{split}.{field.name}"] for field in dataclasses.fields(Encoded)}
    return Encoded(**{**found, _TEXT: text_of_codes(found[_TEXT])})  # type: ignore[arg-type]
