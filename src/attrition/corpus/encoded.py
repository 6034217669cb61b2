"""A language's utterances as flat arrays of sub-tokens, from which batches are gathered.

Words have the gold labels; a model sees sub-tokens. Each word is scored at one sub-token. If whole texts are tokenised and
labels aligned by character offsets, words can share a sub-token; they then share its prediction. A word that continues the
sub-token of the word before it counts as inside the same span.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from attrition.corpus.base import Cut, Utterance
from attrition.corpus.words import Scheme, cut_words, label_set, tags

Align = Literal["words", "offsets"]
LabelOn = Literal["first-visible", "first"]

LONE_PIECE = "▁"
UNSCORED = -1


@dataclass(frozen=True, kw_only=True)
class EncodingSettings:
    """How utterances become sub-tokens with labels.

    Attributes:
        scheme: "bio" or "io".
        align: "words" tokenises each word by itself, the usual way in token classification; "offsets" tokenises the whole
            text and finds each word's sub-token by its characters.
        label_on: "first-visible" labels the first sub-token of a word that is not a lone "▁"; "first" the very first.
        max_tokens: longest utterance in sub-tokens, special ones included; words beyond it are predicted "O".
    """

    scheme: Scheme = "bio"
    align: Align = "words"
    label_on: LabelOn = "first-visible"
    max_tokens: int = 128


@dataclass(frozen=True, eq=False)
class Encoded:
    """Utterances of one language and split (or of several joined) in flat arrays.

    Sub-tokens: `ids` int32 [N] of the model's whole vocabulary; `labels` int16 [N], `UNSCORED` where a sub-token is not
    trained; `offsets` int64 [U + 1]. Words: `gold` int16 [W]; `word_token` int32 [W], the sub-token that a word is scored at
    counted from its utterance's first one, or -1 when it was cut off; `word_inside` bool [W], whether it shares that
    sub-token with the word before; `word_offsets` int64 [U + 1]. `utterance_ids` str [U].
    """

    ids: NDArray[np.int32]
    labels: NDArray[np.int16]
    offsets: NDArray[np.int64]
    gold: NDArray[np.int16]
    word_token: NDArray[np.int32]
    word_inside: NDArray[np.bool_]
    word_offsets: NDArray[np.int64]
    utterance_ids: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Sub-tokens of each utterance, [U]."""
        return np.diff(self.offsets)

    @property
    def num_tokens(self) -> int:
        """N."""
        return len(self.ids)

    def select(self, rows: NDArray[np.integer]) -> Encoded:
        """Return the utterances at `rows`, in that order."""
        tokens, offsets = gather_ranges(self.offsets, rows)
        words, word_offsets = gather_ranges(self.word_offsets, rows)
        return Encoded(
            ids=self.ids[tokens],
            labels=self.labels[tokens],
            offsets=offsets,
            gold=self.gold[words],
            word_token=self.word_token[words],
            word_inside=self.word_inside[words],
            word_offsets=word_offsets,
            utterance_ids=self.utterance_ids[rows],
        )

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays by name, as they are stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


def gather_ranges(offsets: NDArray[np.int64], rows: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the positions of all items in the given rows of a flat array, and the new offsets.

    >>> positions, new = gather_ranges(np.array([0, 2, 5]), np.array([1, 0]))
    >>> positions.tolist(), new.tolist()
    ([2, 3, 4, 0, 1], [0, 3, 5])
    """
    lengths = np.diff(offsets)[rows]
    new = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    positions = np.arange(new[-1]) + np.repeat(offsets[:-1][rows] - new[:-1], lengths)
    return positions.astype(np.int64), new


def join(parts: Sequence[Encoded]) -> Encoded:
    """Return several sets of utterances as one, in the order given."""
    assert parts, "nothing to join"
    if len(parts) == 1:
        return parts[0]

    def offsets(all_offsets: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(np.concatenate([np.diff(each) for each in all_offsets]))]).astype(np.int64)

    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Encoded)
        if field.name not in ("offsets", "word_offsets")
    }
    return Encoded(
        **joined, offsets=offsets(part.offsets for part in parts), word_offsets=offsets(part.word_offsets for part in parts)
    )


def encode_utterances(
    utterances: Sequence[Utterance], tokenizer: Tokenizer, *, slots: Sequence[str], cut: Cut, settings: EncodingSettings
) -> Encoded:
    """Return utterances as arrays: cut into words, tagged, tokenised and aligned.

    Args:
        utterances: of one language.
        tokenizer: of the model; its special tokens are kept, its padding and truncation must be off.
        slots: the corpus's slot inventory, which fixes the classes.
        cut: how this language is cut into words.
        settings: everything else.

    Raises:
        AttritionError: a slot begins or ends inside a word under this cut.
    """
    classes = {label: index for index, label in enumerate(label_set(slots, settings.scheme))}
    ranges = [cut_words(utterance, cut) for utterance in utterances]
    gold = np.array(
        [
            classes[tag]
            for utterance, words in zip(utterances, ranges, strict=True)
            for tag in tags(utterance, words, settings.scheme)
        ],
        dtype=np.int16,
    )
    word_offsets = np.concatenate([[0], np.cumsum([len(words) for words in ranges])]).astype(np.int64)
    if settings.align == "words":
        pretokenised = [[u.text[start:end] for start, end in words] for u, words in zip(utterances, ranges, strict=True)]
        encodings = tokenizer.encode_batch(pretokenised, is_pretokenized=True)
    else:
        encodings = tokenizer.encode_batch([utterance.text for utterance in utterances])
    tokens = _Tokens.of(encodings, tokenizer, settings)
    if settings.align == "words":
        word_token = _by_word_ids(tokens, word_offsets)
    else:
        starts = np.array([start for words in ranges for start, _ in words], dtype=np.int64)
        ends = np.array([end for words in ranges for _, end in words], dtype=np.int64)
        word_token = _by_characters(tokens, starts, ends, word_offsets)
    utterance_of_word = np.repeat(np.arange(len(utterances)), np.diff(word_offsets))
    inside = np.zeros(len(gold), dtype=bool)
    inside[1:] = (word_token[1:] == word_token[:-1]) & (word_token[1:] >= 0) & (utterance_of_word[1:] == utterance_of_word[:-1])
    labels = np.full(len(tokens.ids), UNSCORED, dtype=np.int16)
    heads = (word_token >= 0) & ~inside
    labels[word_token[heads]] = gold[heads]
    return Encoded(
        ids=tokens.ids,
        labels=labels,
        offsets=tokens.offsets,
        gold=gold,
        word_token=np.where(word_token >= 0, word_token - tokens.offsets[:-1][utterance_of_word], -1).astype(np.int32),
        word_inside=inside,
        word_offsets=word_offsets,
        utterance_ids=np.array([utterance.id for utterance in utterances], dtype=np.str_),
    )


@dataclass(frozen=True, eq=False)
class _Tokens:
    """The tokeniser's output as flat arrays: id, word in the utterance (NaN: special) and characters of each sub-token."""

    ids: NDArray[np.int32]
    words: NDArray[np.float64]
    spans: NDArray[np.int64]
    candidates: tuple[NDArray[np.bool_], ...]
    offsets: NDArray[np.int64]

    @staticmethod
    def of(encodings: Sequence[Encoding], tokenizer: Tokenizer, settings: EncodingSettings) -> _Tokens:
        longest = settings.max_tokens
        kept = [slice(None) if len(encoding) <= longest else [*range(longest - 1), len(encoding) - 1] for encoding in encodings]
        ids = [np.array(encoding.ids, dtype=np.int32)[keep] for encoding, keep in zip(encodings, kept, strict=True)]
        words = [np.array(encoding.word_ids, dtype=np.float64)[keep] for encoding, keep in zip(encodings, kept, strict=True)]
        spans = [np.array(e.offsets, dtype=np.int64).reshape(-1, 2)[keep] for e, keep in zip(encodings, kept, strict=True)]
        flat_ids = np.concatenate([*ids, np.zeros(0, np.int32)])
        flat_words = np.concatenate([*words, np.zeros(0)])
        real = ~np.isnan(flat_words)
        lone = tokenizer.token_to_id(LONE_PIECE)
        visible = real if lone is None else real & (flat_ids != lone)
        return _Tokens(
            ids=flat_ids,
            words=flat_words,
            spans=np.concatenate([*spans, np.zeros((0, 2), np.int64)]),
            # In order of preference: a later set is used only for words without a sub-token in an earlier one.
            candidates=(visible, real) if settings.label_on == "first-visible" else (real,),
            offsets=np.concatenate([[0], np.cumsum([len(each) for each in ids])]).astype(np.int64),
        )

    @property
    def utterances(self) -> NDArray[np.int64]:
        """The utterance of each sub-token."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def _by_word_ids(tokens: _Tokens, word_offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the flat index of each word's sub-token, by the tokeniser's word numbers; -1 for none."""
    found = np.full(word_offsets[-1], -1, dtype=np.int64)
    for candidates in reversed(tokens.candidates):
        at = np.flatnonzero(candidates)[::-1]
        # Backwards: the first sub-token of a word is written last and stays.
        found[word_offsets[:-1][tokens.utterances[at]] + tokens.words[at].astype(np.int64)] = at
    return found


def _by_characters(
    tokens: _Tokens, starts: NDArray[np.int64], ends: NDArray[np.int64], word_offsets: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the flat index of the first sub-token with a character of each word; -1 for none."""
    utterance_of_word = np.repeat(np.arange(len(word_offsets) - 1), np.diff(word_offsets))
    # Shift the characters of each utterance, so that one search serves all utterances.
    stride = int(max(ends.max(initial=0), tokens.spans.max(initial=0))) + 1
    found = np.full(len(starts), -1, dtype=np.int64)
    for candidates in tokens.candidates:
        at = np.flatnonzero(candidates & (tokens.spans[:, 1] > tokens.spans[:, 0]))
        if not len(at):
            continue
        token_starts = tokens.spans[at, 0] + tokens.utterances[at] * stride
        token_ends = tokens.spans[at, 1] + tokens.utterances[at] * stride
        first = np.searchsorted(token_ends, starts + utterance_of_word * stride, side="right")
        inside = first < len(at)
        first = np.minimum(first, len(at) - 1)
        inside &= token_starts[first] < ends + utterance_of_word * stride
        found = np.where((found < 0) & inside, at[first], found)
    return found
