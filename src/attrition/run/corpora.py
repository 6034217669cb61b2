"""The corpus that a study names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrition.corpus.base import SPLITS, Corpus, Split
from attrition.corpus.columns import Columns
from attrition.corpus.massive import Massive, find_massive
from attrition.corpus.phrasebook import Phrasebook
from attrition.names import AttritionError
from attrition.run.spec import Study

Progress = Callable[[str, int, int], None]

MOST_GENERATED = 100_000
PHRASEBOOK_SIZES: dict[Split, int] = {"train": 500, "dev": 100, "test": 200}


def open_corpus(study: Study, progress: Progress | None = None) -> Corpus:
    """The study's corpus.

    Raises:
        AttritionError: it cannot be found, or a setting makes no sense for it.
    """
    settings = study.corpus
    path = None if settings.path is None else Path(settings.path)
    if settings.name == "massive":
        return Massive(find_massive(path), progress=progress)
    if settings.name == "columns":
        if path is None:
            raise AttritionError('corpus.name = "columns" needs corpus.path, the folder with your files.')
        return Columns(path)
    if path is not None:
        raise AttritionError("corpus.path has no effect: the phrasebook is generated. Remove it.")
    asked = {split: settings.sizes.of(split) for split in SPLITS}
    sizes = {split: PHRASEBOOK_SIZES[split] if size is None else size for split, size in asked.items()}
    if settings.sizes.disjoint:
        raise AttritionError(
            "corpus.sizes.disjoint has no effect: the phrasebook's utterances are not translations of each other. Remove it."
        )
    sizes["dev"] = max(sizes["dev"], 1)  # a phrasebook has all splits; the study may use none of it
    book = Phrasebook(sizes["train"], sizes["dev"], sizes["test"], seed=settings.sizes.seed, languages=study.languages)
    for split, size in sizes.items():
        for language in study.languages:
            # Most are refused only after minutes of generating.
            if size > (most := min(book.num_distinct(language, split), MOST_GENERATED)):
                raise AttritionError(
                    f"corpus.sizes.{split} = {size}, but the phrasebook makes at most {most:,} {split} utterances in "
                    f"{language}. Ask for fewer."
                )
    return book
