"""Converts utterances of a corpus to rows for the gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from attrition.corpus.base import Corpus, Cut, Split
from attrition.corpus.words import cut_words, tags
from attrition.gate.rows import Row
from attrition.names import AttritionError, unknown

_NO_CUTS: Mapping[str, Cut] = MappingProxyType({})


def gold_rows(
    corpus: Corpus,
    languages: Sequence[str] = (),
    *,
    split: Split = "test",
    path: str = "",
    cuts: Mapping[str, Cut] = _NO_CUTS,
) -> tuple[Row, ...]:
    """Return utterances of a corpus with gold tags in BIO.

    Args:
        corpus: any.
        languages: to convert; if empty, all languages that have the split.
        split: of the corpus.
        path: the corpus's name in messages; by default its own name.
        cuts: how words are cut, for languages that do not use the corpus's default.

    Raises:
        AttritionError: a language is missing or lacks the split.
    """
    path = path or corpus.name
    for language in languages:
        if language not in corpus.languages:
            raise unknown(language, corpus.languages, kind=f"language of the corpus {corpus.name!r}")
        if split not in corpus.splits(language):
            raise AttritionError(f"{path} has no {split} utterances of {language!r}. Add them.")
    wanted = languages or [each for each in corpus.languages if split in corpus.splits(each)]
    if not wanted:
        raise AttritionError(f"{path} has no {split} utterances. Add a {split} split.")
    return tuple(
        row
        for language in wanted
        for row in _rows(corpus, language, split, path, cuts.get(language) or corpus.default_cut(language))
    )


def _rows(corpus: Corpus, language: str, split: Split, path: str, cut: Cut) -> Iterator[Row]:
    for number, each in enumerate(corpus.read(language, split), start=1):
        ranges = cut_words(each, cut)
        words = tuple(each.text[start:end] for start, end in ranges)
        gold = tuple(tags(each, ranges, "bio"))
        yield Row(f"{path}, {language} {split}", number, each.id, language, words, gold, None, {"intent": each.intent})
