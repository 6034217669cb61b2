"""What is in a corpus, per language and split, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from attrition.corpus.base import SPLITS, Corpus, Cut, Split, Utterance
from attrition.corpus.words import blank_leak, cut_words

_TYPES = {
    **dict.fromkeys(("language", "split", "cut"), "str"),
    "utterances": "int64",
    **dict.fromkeys(("words", "slots", "sub_tokens"), "float64"),
    **dict.fromkeys(("unknown_sub_tokens", "repeated", "also_in_train"), "Int64"),  # "Int64" has NA, "int64" has not
    **dict.fromkeys(("leak_annotation", "leak_text", "multi_word_slots"), "float64"),
}

Tokenize = Callable[[str], Sequence[int]]
"""From a text to the numbers of its sub-tokens, special tokens left out."""


def describe(
    corpus: Corpus,
    languages: Sequence[str] | None = None,
    tokenizer: Tokenize | None = None,
    *,
    unknown_id: int | None = None,
    cuts: Mapping[str, Cut] | None = None,
) -> pd.DataFrame:
    """A row for each language and split: how much there is, how it repeats itself, and what its blanks give away.

    Columns:

    - `language`, `split`, `cut`: the cut is that of `cuts`, else the corpus's default.
    - `utterances`; `words`, `slots`: means over utterances, words under `cut`.
    - `sub_tokens`: mean over utterances; `unknown_sub_tokens`: how many in all. NA without a tokenizer (or `unknown_id`).
    - `repeated`: utterances whose text stood earlier in the split.
    - `also_in_train`: utterances of dev and test whose text is in train; NA for train itself.
    - `leak_annotation`, `leak_text`, `multi_word_slots`: shares in 0-1, see `words.BlankLeak`; NaN where nothing is counted.

    Args:
        corpus: any corpus.
        languages: which, in this order; by default all.
        tokenizer: what a model would read a text as, special tokens left out.
        unknown_id: the tokenizer's number for what it does not know.
        cuts: how to cut languages other than by the corpus's default.

    Raises:
        AttritionError: a language is unknown, or a file malformed.
    """
    rows: list[dict[str, Any]] = []
    for language in corpus.languages if languages is None else languages:
        cut = (cuts or {}).get(language) or corpus.default_cut(language)
        in_train = {utterance.text for utterance in corpus.read(language, "train")}
        for split in SPLITS:
            utterances = corpus.read(language, split)
            rows.append(
                {
                    "language": language,
                    "split": split,
                    "cut": cut,
                    **_contents(utterances, cut),
                    **_sub_tokens(utterances, tokenizer, unknown_id),
                    **_repetition(utterances, split, in_train),
                    **_leak(utterances),
                }
            )
    return pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES)


def _contents(utterances: Sequence[Utterance], cut: Cut) -> dict[str, Any]:
    number = len(utterances)
    return {
        "utterances": number,
        "words": sum(len(cut_words(utterance, cut)) for utterance in utterances) / number,
        "slots": sum(len(utterance.slots) for utterance in utterances) / number,
    }


def _sub_tokens(utterances: Sequence[Utterance], tokenizer: Tokenize | None, unknown_id: int | None) -> dict[str, Any]:
    if tokenizer is None:
        return {"sub_tokens": float("nan"), "unknown_sub_tokens": pd.NA}
    total = unknown = 0
    for utterance in utterances:
        ids = list(tokenizer(utterance.text))
        total += len(ids)
        unknown += ids.count(unknown_id) if unknown_id is not None else 0
    return {
        "sub_tokens": total / len(utterances),
        "unknown_sub_tokens": pd.NA if unknown_id is None else unknown,
    }


def _repetition(utterances: Sequence[Utterance], split: Split, in_train: set[str]) -> dict[str, Any]:
    texts = [utterance.text for utterance in utterances]
    return {
        "repeated": len(texts) - len(set(texts)),
        "also_in_train": pd.NA if split == "train" else sum(text in in_train for text in texts),
    }


def _leak(utterances: Sequence[Utterance]) -> dict[str, Any]:
    leak = blank_leak(utterances)
    return {"leak_annotation": leak.annotation, "leak_text": leak.text, "multi_word_slots": leak.multi_word}
