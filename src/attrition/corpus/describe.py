"""A table of a corpus's contents per language and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from attrition.corpus.base import SPLITS, Corpus, Cut, Split, Utterance
from attrition.corpus.words import blank_leak, cut_words
from attrition.languages import LANGUAGES, is_tag
from attrition.names import counted, nearest

_TYPES = {
    **dict.fromkeys(("language", "split", "cut"), "str"),
    "utterances": "int64",
    **dict.fromkeys(("words", "slots", "sub_tokens"), "float64"),
    **dict.fromkeys(("unknown_sub_tokens", "repeated", "also_in_train"), "Int64"),  # "Int64" has NA, "int64" has not
    **dict.fromkeys(("leak_annotation", "leak_text", "multi_word_slots"), "float64"),
}

NAMED = 8
"""How many slots a warning names."""

Tokenize = Callable[[str], Sequence[int]]
"""From a text to the ids of its sub-tokens, without special tokens."""


def describe(
    corpus: Corpus,
    languages: Sequence[str] | None = None,
    tokenizer: Tokenize | None = None,
    *,
    unknown_id: int | None = None,
    cuts: Mapping[str, Cut] | None = None,
) -> pd.DataFrame:
    """Return a row for each language and split: its size, repeated utterances, and what its blanks reveal.

    Columns:

    - `language`, `split`, `cut`: the cut is from `cuts`, else the corpus's default.
    - `utterances`; `words`, `slots`: means over utterances, words under `cut`.
    - `sub_tokens`: mean over utterances; `unknown_sub_tokens`: total. NA without a tokenizer (or `unknown_id`).
    - `repeated`: utterances whose text occurred earlier in the split.
    - `also_in_train`: utterances of dev and test whose text is in train; NA for train itself.
    - `leak_annotation`, `leak_text`, `multi_word_slots`: shares in 0-1, see `words.BlankLeak`; NaN where nothing is counted.

    Args:
        corpus: any corpus.
        languages: rows in this order; by default all languages.
        tokenizer: returns a text's ids, without special tokens.
        unknown_id: the tokenizer's id of unknown sub-tokens.
        cuts: how words are cut, for languages that do not use the corpus's default.

    Raises:
        AttritionError: a language is unknown, or a file malformed.
    """
    rows: list[dict[str, Any]] = []
    for language in corpus.languages if languages is None else languages:
        cut = (cuts or {}).get(language) or corpus.default_cut(language)
        in_train = {utterance.text for utterance in _read_if_there(corpus, language, "train")}
        for split in corpus.splits(language):
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


def untrained_slots(corpus: Corpus, languages: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the names of slots that occur in test utterances but in no train utterance of any language."""
    chosen = corpus.languages if languages is None else languages
    slots = {
        split: {
            slot.name
            for language in chosen
            for utterance in _read_if_there(corpus, language, split)
            for slot in utterance.slots
        }
        for split in SPLITS
    }
    if not slots["train"]:
        return ()  # no train utterances, or nothing to learn
    return tuple(sorted(slots["test"] - slots["train"]))


def said_of_untrained(slots: Sequence[str], kind: str = "slot") -> str:
    """Return a warning about labels that are in test but not in train utterances; "" for none.

    >>> said_of_untrained(["dtae"])
    'In test utterances and in no train utterance: 1 slot (dtae). No model can learn it. Check the spelling, or add train ...'
    >>> said_of_untrained([])
    ''
    """
    if not slots:
        return ""
    named = ", ".join(slots[:NAMED]) + (", ..." if len(slots) > NAMED else "")
    them = "it" if len(slots) == 1 else "them"
    return (
        f"In test utterances and in no train utterance: {counted(len(slots), kind)} ({named}). No model can learn {them}. "
        "Check the spelling, or add train utterances."
    )


def said_of_notices(notices: Sequence[object]) -> tuple[str, ...]:
    """Return at most NAMED notices of skipped lines, and how many more there are."""
    said = [str(each) for each in notices[:NAMED]]
    return (*said, f"{len(notices) - NAMED:,} more of this kind.") if len(notices) > NAMED else tuple(said)


def said_of_labels(languages: Sequence[str]) -> str:
    """Return a note about languages whose names are not language tags; "" if there are none.

    >>> said_of_labels(["ed-US", "yor"])
    "Not a language tag: 'ed-US' (did you mean 'en-US'?). Script, family and the like are unknown; set corpus.languages to ..."
    >>> said_of_labels(["yor", "sr-Latn"])
    ''
    """
    odd = [each for each in languages if not is_tag(each)]
    if not odd:
        return ""
    guesses = [(each, nearest(each, LANGUAGES)) for each in odd[:NAMED]]
    named = ", ".join(f"{each!r} (did you mean {guess!r}?)" if guess else repr(each) for each, guess in guesses)
    more = ", ..." if len(odd) > NAMED else ""
    return (
        f"Not a language tag: {named}{more}. Script, family and the like are unknown; set corpus.languages to a file that says "
        "them, or rename the files."
    )


def _read_if_there(corpus: Corpus, language: str, split: Split) -> Sequence[Utterance]:
    return corpus.read(language, split) if split in corpus.splits(language) else ()


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
