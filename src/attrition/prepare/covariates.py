"""Covariates of a study's languages and pairs, from its encoded training utterances.

Shape letters: L languages, U utterances, N sub-tokens, W words, V sub-tokens in use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from attrition.corpus.base import Cut, Split
from attrition.corpus.encoded import Encoded
from attrition.results.covariates import Covariates, covariates_json

FERTILITY = "fertility"
LOG_TOKENS = "log_train_tokens"
BLANK_EDGES = "blank_edges"
OVERLAP = "overlap"


def covariates_text(
    encoded: Mapping[tuple[str, Split], Encoded],
    cuts: Mapping[str, Cut],
    labels: Sequence[str] | None,
    languages: Sequence[str],
) -> str:
    """Return the text of a study's `covariates.json`.

    Args:
        encoded: the study's utterances; only "train" is used.
        cuts: how each language is cut into words.
        labels: the classes, if they are tags of words; None omits `fertility` and `blank_edges`, which count words.
        languages: of the study, in output order.
    """
    return covariates_json(languages, corpus_covariates({name: encoded[name, "train"] for name in languages}, cuts, labels))


def corpus_covariates(train: Mapping[str, Encoded], cuts: Mapping[str, Cut], labels: Sequence[str] | None) -> Covariates:
    """Return covariates of each language and each pair (trained, changed), computed from training utterances.

    Only sub-tokens of the model count, without special tokens.

    - `fertility`: sub-tokens per word (Rust et al. 2021). A word is a labelled unit of the study: a character or grapheme if
      the language is cut so. Words beyond `max_tokens` do not count. NaN without words.
    - `log_train_tokens`: natural logarithm of the number of sub-tokens of one pass over the training utterances; NaN for none.
    - `blank_edges`: share, from 0 to 1, of the blanks between words at which a slot begins or ends
      (`attrition.corpus.words.blank_leak`). NaN where the language is not cut at blanks, and without blanks.
    - `overlap`: share, from 0 to 1, of the occurrences of sub-tokens in the changed language's utterances whose sub-token
      also occurs in the trained language's utterances. Our definition; Pires et al. (2019) and Wu and Dredze (2019) relate
      other measures of shared sub-tokens to zero-shot transfer. NaN if the changed language has no sub-token.

    Args:
        train: the training utterances of each language.
        cuts: how each language is cut into words.
        labels: the classes, if they are tags of words; None omits `fertility` and `blank_edges`, which count words.
    """
    specials = _specials(list(train.values()))
    ids = {language: _without(each, specials) for language, each in train.items()}
    tokens = {language: len(each) for language, each in ids.items()}
    words = {language: int((each.word_token >= 0).sum()) for language, each in train.items()}
    by_language = {
        FERTILITY: {each: tokens[each] / words[each] if words[each] else math.nan for each in train},
        LOG_TOKENS: {each: math.log(tokens[each]) if tokens[each] else math.nan for each in train},
    }
    if labels is None:
        del by_language[FERTILITY]
    else:
        by_language[BLANK_EDGES] = {
            name: share_of_edges(each, labels) if cuts[name] == "blanks" else math.nan for name, each in train.items()
        }
    return Covariates(by_language, {OVERLAP: overlaps(ids)})


def share_of_edges(encoded: Encoded, labels: Sequence[str]) -> float:
    """Return the share of the gaps between neighbouring words at which a slot ends or begins; NaN without gaps.

    With "io" labels two slots of one name side by side count as one slot.
    """
    slots = sorted({label[2:] for label in labels if label != "O"})
    slot_of = np.array([0 if label == "O" else 1 + slots.index(label[2:]) for label in labels])
    begins = np.array([label.startswith("B-") for label in labels])
    is_gap_W = np.ones(max(len(encoded.gold) - 1, 0), dtype=bool)
    # No gap lies between the last word of an utterance and the first word of the next.
    inner = encoded.word_offsets[1:-1]
    is_gap_W[inner[(inner > 0) & (inner < len(encoded.gold))] - 1] = False
    before_W, after_W = encoded.gold[:-1][is_gap_W], encoded.gold[1:][is_gap_W]
    if not len(after_W):
        return math.nan
    return float(np.mean(begins[after_W] | (slot_of[before_W] != slot_of[after_W])))


def overlaps(ids: Mapping[str, NDArray[np.integer]]) -> dict[tuple[str, str], float]:
    """Return, for each pair (trained, changed), the share of the changed language's `ids` that the trained language has too.

    52 languages of 200,000 sub-tokens each take about one second and 100 MB.

    >>> found = overlaps({"a": np.array([1, 1, 2]), "b": np.array([2, 3, 3, 3])})
    >>> found["a", "b"], found["b", "a"], found["a", "a"]
    (0.25, 0.3333333333333333, 1.0)
    """
    used_V = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *(np.unique(each) for each in ids.values())]))
    counts_LV = np.array([np.bincount(np.searchsorted(used_V, each), minlength=len(used_V)) for each in ids.values()])
    found = {}
    for trained, own_V in zip(ids, counts_LV, strict=True):
        shared_L = counts_LV[:, own_V > 0].sum(axis=1)
        for changed, shared, number in zip(ids, shared_L.tolist(), counts_LV.sum(axis=1).tolist(), strict=True):
            found[trained, changed] = shared / number if number else math.nan
    return found


def _specials(parts: Sequence[Encoded]) -> tuple[bool, bool]:
    """Return whether every utterance starts, and ends, with a special token: one that is the same in all languages.

    A pack has no tokeniser, so this is read from the utterances.
    """
    firsts: set[int] = set()
    lasts: set[int] = set()
    for each in parts:
        filled = each.lengths > 0
        firsts |= set(np.unique(each.ids[each.offsets[:-1][filled]]).tolist())
        lasts |= set(np.unique(each.ids[each.offsets[1:][filled] - 1]).tolist())
    return len(firsts) == 1, len(lasts) == 1


def _without(encoded: Encoded, specials: tuple[bool, bool]) -> NDArray[np.int32]:
    """Return all sub-tokens except special tokens, flat."""
    kept_N = np.ones(encoded.num_tokens, dtype=bool)
    filled = encoded.lengths > 0
    if specials[0]:
        kept_N[encoded.offsets[:-1][filled]] = False
    if specials[1]:
        kept_N[encoded.offsets[1:][filled] - 1] = False
    return encoded.ids[kept_N]
