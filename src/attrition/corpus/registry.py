"""The corpora that a study or a command may name: of this package, of installed packages, and of a user's own file.

A user's Python file, or an entry point of the group `attrition.corpora`, provides one `CorpusKind`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import getattr_static
from pathlib import Path
from types import MappingProxyType

from attrition.corpus.base import SPLITS, Corpus, Split
from attrition.corpus.cache import Progress
from attrition.corpus.columns import Columns
from attrition.corpus.dataset import Sizes
from attrition.corpus.formats import BY_ENDING, USUAL, Layout
from attrition.corpus.massive import Massive, find_massive
from attrition.corpus.phrasebook import Phrasebook
from attrition.languages import LANGUAGES, not_a_locale
from attrition.names import AttritionError, look_up
from attrition.registry import Registry, is_file_of_a_user

MOST_GENERATED = 100_000
PHRASEBOOK_SIZES: Mapping[Split, int] = MappingProxyType({"train": 500, "dev": 100, "test": 200})


@dataclass(frozen=True, kw_only=True)
class Request:
    """The settings with which a corpus is opened. A corpus refuses settings that it does not have.

    Args:
        path: of the data, if the user gave one.
        languages: of the study; None for all.
        layout: of the files.
        sizes: how many utterances the study uses; None outside a study.
        progress: called while an archive is unpacked.
    """

    path: Path | None = None
    languages: tuple[str, ...] | None = None
    layout: Layout = USUAL
    sizes: Sizes | None = None
    progress: Progress | None = field(default=None, compare=False)


Opener = Callable[[Request], Corpus]


@dataclass(frozen=True, kw_only=True)
class CorpusKind:
    """A corpus by name.

    Args:
        name: its name in a study.
        about: one line about it.
        open: returns the corpus for a request.
        only_massive: True if it has no languages beyond MASSIVE's 52.
    """

    name: str
    about: str
    open: Opener
    only_massive: bool = False


def _massive(request: Request) -> Corpus:
    _refuse_layout(request)
    return Massive(find_massive(request.path), progress=request.progress)


def _columns(request: Request) -> Corpus:
    if request.path is None:
        raise AttritionError('corpus.name = "columns" needs corpus.path (--path), the folder or archive with your files.')
    return Columns(request.path, layout=request.layout, progress=request.progress)


def _phrasebook(request: Request) -> Corpus:
    _refuse_layout(request)
    if request.path is not None:
        raise AttritionError("corpus.path (--path) has no effect: the phrasebook is generated. Remove it.")
    if request.sizes is None:
        return Phrasebook()
    asked = {split: request.sizes.of(split) for split in SPLITS}
    sizes = {split: PHRASEBOOK_SIZES[split] if size is None else size for split, size in asked.items()}
    if request.sizes.disjoint:
        raise AttritionError(
            "corpus.sizes.disjoint has no effect: the phrasebook's utterances are not translations of each other. Remove it."
        )
    sizes["dev"] = max(sizes["dev"], 1)  # the phrasebook needs at least 1; the study may still use none
    book = Phrasebook(
        sizes["train"],
        sizes["dev"],
        sizes["test"],
        seed=request.sizes.seed,
        languages=tuple(LANGUAGES) if request.languages is None else request.languages,
    )
    for split, size in sizes.items():
        for language in book.languages:
            # Check before minutes of generating.
            if size > (most := min(book.num_distinct(language, split), MOST_GENERATED)):
                raise AttritionError(
                    f"corpus.sizes.{split} = {size}, but the phrasebook makes at most {most:,} {split} utterances in "
                    f"{language}. Ask for fewer."
                )
    return book


def _refuse_layout(request: Request) -> None:
    if request.layout != USUAL:
        raise AttritionError(
            'corpus.token, corpus.tag, corpus.scheme and corpus.labels are for corpus.name = "columns" only. Remove them.'
        )


_ALL = (
    CorpusKind(
        name="massive",
        about="MASSIVE 1.1 (FitzGerald et al. 2023): 52 locales, 55 slots, 11,514 / 2,033 / 2,974 utterances each; CC BY 4.0",
        open=_massive,
        only_massive=True,
    ),
    CorpusKind(
        name="phrasebook",
        about="generated from sentence patterns and CLDR names, in MASSIVE's schema and locales; nothing to download",
        open=_phrasebook,
        only_massive=True,
    ),
    CorpusKind(
        name="columns",
        about=f"your own: a folder or archive of files by language and split ({', '.join(filter(None, BY_ENDING))})",
        open=_columns,
    ),
)
_MEMBERS = (
    "name", "revision", "licence", "citation", "generated", "languages", "slots", "intents", "fingerprint", "read", "splits",
    "default_cut",
)  # fmt: skip


CORPORA = Registry[CorpusKind]("corpus", "attrition.corpora", {each.name: each for each in _ALL}, CorpusKind)
"""Every corpus by name."""


def open_corpus(name: str, request: Request) -> Corpus:
    """Return the corpus with this name, or from this Python file.

    Raises:
        AttritionError: there is no such corpus, its files are missing, or it does not have a setting.
    """
    kind = CORPORA.from_file(name)[0] if is_file_of_a_user(name) else look_up(name, CORPORA, kind="corpus")
    found = kind.open(request)
    nowhere = object()
    # Not hasattr: it calls properties, and one may read every file.
    missing = [each for each in _MEMBERS if getattr_static(found, each, nowhere) is nowhere]
    if missing:
        raise AttritionError(
            f"{name}: its function `open` gave {type(found).__name__!r}, which has no {', '.join(missing)}. "
            "Return a corpus, such as attrition.corpus.InMemory(...)."
        )
    return found


def refuse_unknown_corpus(name: str, *, where: str) -> None:
    """Refuse the name of an unknown corpus, and a missing Python file.

    Raises:
        AttritionError: `where` comes first in the message.
    """
    if not is_file_of_a_user(name):
        look_up(name, CORPORA, kind="corpus", where=where)
    elif not Path(name).is_file():
        raise AttritionError(f"{where}: there is no file {name!r}. Give a Python file that holds one CorpusKind.")


def refuse_other_languages(name: str, language: str, *, where: str) -> None:
    """Refuse a language that is not in MASSIVE, for a corpus with MASSIVE's 52 languages.

    Raises:
        UnknownNameError: `where` comes first in the message, which names the nearest locale.
    """
    if not is_file_of_a_user(name) and CORPORA[name].only_massive and language not in LANGUAGES:
        raise not_a_locale(language, where=where)
