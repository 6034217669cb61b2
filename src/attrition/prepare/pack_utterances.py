"""Packs encoded utterances into few numbers that compress well.

- Sub-tokens of a language are numbered among those that it uses, in vocabulary order (by frequency in the XLM-R family), and
  stored in the smallest integer type.
- A sub-token nearly always tells whether an utterance or a word starts there. The more frequent answer is stored once for each
  sub-token, then only the exceptions. They give the lengths of utterances and the positions of words.
- The classes of words determine the classes of sub-tokens. Utterance ids that languages share are stored once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.base import SPLITS, Split
from attrition.corpus.dataset import content_key, text_of_codes, text_to_codes
from attrition.corpus.encoded import UNSCORED, Encoded, join
from attrition.encoder.vocabulary import Vocabulary
from attrition.names import AttritionError

Arrays = dict[str, NDArray[Any]]
Places = Mapping[tuple[str, Split], Encoded]

_NAMES = "utterance_ids"


def pack_utterances(encoded: Places, languages: Sequence[str], vocabulary: Vocabulary) -> Arrays:
    """Return arrays from which `unpack_utterances` restores the same utterances, bit for bit.

    Shapes: L languages, V sub-tokens kept, P = 3 L parts (languages x splits), N sub-tokens, W words; N, W over all parts.

    Args:
        encoded: by language and split, with ids of the model's whole vocabulary.
        languages: in storage order.
        vocabulary: holds all ids in use.

    Raises:
        AttritionError: the arrays cannot represent the positions of words. No known tokeniser causes this.
    """
    places = _places(languages)
    parts = [encoded[place] for place in places]
    whole = join(parts)
    ids_N = vocabulary.compact(whole.ids)
    utterance_W = np.repeat(np.arange(len(whole)), np.diff(whole.word_offsets))
    scored_W = whole.word_token >= 0
    begins_N, holds_N = np.zeros((2, len(ids_N)), dtype=bool)
    begins_N[whole.offsets[:-1][whole.lengths > 0]] = True
    holds_N[(whole.word_token + whole.offsets[:-1][utterance_W])[scored_W]] = True
    counts_P3 = np.array([(len(part), part.num_tokens, len(part.gold)) for part in parts], dtype=np.int64)
    arrays = {
        "counts": counts_P3,
        "empty": np.flatnonzero(whole.lengths == 0),
        "gold": _small(whole.gold),
        "word_inside": np.packbits(whole.word_inside),
        "unscored": np.flatnonzero(~scored_W),
        "unscored.utterances": utterance_W[~scored_W],
        **_pack_ids(ids_N, _tokens_of_languages(counts_P3), len(vocabulary)),
        **_pack_flags("begins", begins_N, ids_N, len(vocabulary)),
        **_pack_flags("holds_word", holds_N, ids_N, len(vocabulary)),
        **_pack_names([part.utterance_ids for part in parts]),
    }
    again = unpack_utterances(arrays, languages, vocabulary)
    for place, part in zip(places, parts, strict=True):
        if content_key(again[place]) != content_key(part):
            raise AttritionError(
                f"The {place[1]} utterances of {place[0]} cannot be packed: their words do not follow each other in the "
                "sub-tokens of this model. Run the study from its file instead."
            )
    return arrays


def unpack_utterances(arrays: Mapping[str, NDArray[Any]], languages: Sequence[str], vocabulary: Vocabulary) -> Places:
    """Return the packed utterances, with ids of the model's whole vocabulary."""
    counts_P3 = arrays["counts"]
    _refuse_misfit(arrays, counts_P3, num_parts=len(_places(languages)))
    num_utterances, num_tokens, num_words = (int(each) for each in counts_P3.sum(axis=0))
    size = len(vocabulary)
    ids_N = _unpack_ids(arrays, _tokens_of_languages(counts_P3), size)
    begins_N, holds_N = (_unpack_flags(name, arrays, ids_N, size) for name in ("begins", "holds_word"))
    # The utterance of each sub-token, which gives the lengths.
    not_empty = np.delete(np.arange(num_utterances), arrays["empty"])
    utterance_N = not_empty[np.cumsum(begins_N) - 1]
    offsets = _offsets(np.bincount(utterance_N, minlength=num_utterances))
    # The sub-token at which each word is scored; a word inside shares the sub-token of the previous word.
    inside_W = _bits(arrays["word_inside"], num_words)
    scored_W = np.ones(num_words, dtype=bool)
    scored_W[arrays["unscored"]] = False
    held = np.flatnonzero(holds_N)
    at = held[np.cumsum(~inside_W[scored_W]) - 1]
    utterance_W = np.empty(num_words, dtype=np.int64)
    utterance_W[scored_W], utterance_W[~scored_W] = utterance_N[at], arrays["unscored.utterances"]
    word_token_W = np.full(num_words, -1, dtype=np.int32)
    word_token_W[scored_W] = at - offsets[utterance_W[scored_W]]
    gold_W = arrays["gold"].astype(np.int16)
    labels_N = np.full(num_tokens, UNSCORED, dtype=np.int16)
    labels_N[held] = gold_W[scored_W & ~inside_W]
    whole = Encoded(
        ids=vocabulary.kept[ids_N].astype(np.int32),
        labels=labels_N,
        offsets=offsets,
        gold=gold_W,
        word_token=word_token_W,
        word_inside=inside_W,
        word_offsets=_offsets(np.bincount(utterance_W, minlength=num_utterances)),
        utterance_ids=np.zeros(num_utterances, dtype="<U1"),
    )
    ends = np.cumsum(counts_P3[:, 0])
    names = _unpack_names(arrays)
    return {
        place: dataclasses.replace(whole.select(np.arange(end - count, end)), utterance_ids=each)
        for place, end, count, each in zip(_places(languages), ends, counts_P3[:, 0], names, strict=True)
    }


def _places(languages: Sequence[str]) -> list[tuple[str, Split]]:
    return [(language, split) for language in languages for split in SPLITS]


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _small(values: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return non-negative numbers in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _refuse_misfit(arrays: Mapping[str, NDArray[Any]], counts_P3: NDArray[np.int64], *, num_parts: int) -> None:
    """Refuse counts that contradict the arrays, before memory is allocated for them."""
    utterances, tokens, words = zip(*counts_P3.tolist(), strict=True)
    names = [len(arrays[f"{_NAMES}.{number}"]) for number in arrays[_NAMES].tolist()]
    fits = counts_P3.shape == (num_parts, 3) and counts_P3.min(initial=0) >= 0 and list(utterances) == names
    if not fits or (sum(tokens), sum(words)) != (len(arrays["ids"]), len(arrays["gold"])):
        raise AttritionError("The pack does not hold the number of utterances that it states. Pack the study again.")


def _bits(packed: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    if not 0 <= count <= 8 * packed.size:
        raise AttritionError(f"The pack holds {8 * packed.size:,} of {count:,} marks. Pack the study again.")
    return np.unpackbits(packed, count=count).astype(bool)


def _tokens_of_languages(counts_P3: NDArray[np.int64]) -> list[slice]:
    """Return the range of each language in the flat array of sub-tokens."""
    ends = np.cumsum(counts_P3[:, 1].reshape(-1, len(SPLITS)).sum(axis=1)).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _pack_ids(ids_N: NDArray[np.int64], languages: Iterable[slice], size: int) -> Arrays:
    """Return each language's ids, numbered among those that it uses."""
    own_N = np.empty_like(ids_N)
    used_LV = []
    for tokens in languages:
        used_V = np.zeros(size, dtype=bool)
        used_V[ids_N[tokens]] = True
        own_N[tokens] = (np.cumsum(used_V) - 1)[ids_N[tokens]]
        used_LV.append(used_V)
    # Sorted by sub-token, because the script of a sub-token determines its languages.
    return {"ids": _small(own_N), "used": np.packbits(np.transpose(used_LV))}


def _unpack_ids(arrays: Mapping[str, NDArray[Any]], languages: Sequence[slice], size: int) -> NDArray[np.int64]:
    used_VL = _bits(arrays["used"], size * len(languages)).reshape(size, len(languages))
    ids_N = arrays["ids"].astype(np.int64)
    for number, tokens in enumerate(languages):
        ids_N[tokens] = np.flatnonzero(used_VL[:, number])[ids_N[tokens]]
    return ids_N


def _pack_flags(name: str, flags_N: NDArray[np.bool_], ids_N: NDArray[np.int64], size: int) -> Arrays:
    """Return flags as the usual flag of each sub-token and the exceptions."""
    usual_V = 2 * np.bincount(ids_N, weights=flags_N, minlength=size) > np.bincount(ids_N, minlength=size)
    return {f"{name}.usual": np.packbits(usual_V), f"{name}.odd": np.packbits(flags_N ^ usual_V[ids_N])}


def _unpack_flags(name: str, arrays: Mapping[str, NDArray[Any]], ids_N: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    flags_N: NDArray[np.bool_] = _bits(arrays[f"{name}.usual"], size)[ids_N] ^ _bits(arrays[f"{name}.odd"], len(ids_N))
    return flags_N


def _pack_names(parts: Sequence[NDArray[np.str_]]) -> Arrays:
    """Return utterance ids, and for each part which of them it has."""
    arrays: Arrays = {}
    number_of: dict[tuple[str, bytes], int] = {}
    chosen = []
    for names in parts:
        number = number_of.setdefault((names.dtype.str, names.tobytes()), len(number_of))
        arrays[f"{_NAMES}.{number}"] = text_to_codes(names)
        chosen.append(number)
    return {**arrays, _NAMES: np.array(chosen, dtype=np.int64)}


def _unpack_names(arrays: Mapping[str, NDArray[Any]]) -> list[NDArray[np.str_]]:
    return [text_of_codes(arrays[f"{_NAMES}.{number}"]) for number in arrays[_NAMES].tolist()]
