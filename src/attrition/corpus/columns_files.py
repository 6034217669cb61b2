"""Finds the files of each language and split in a folder or an archive of a user's own data, by file name.

yor/train.txt, data/yor/train.conll          a folder for each language
yor.train.conll, sr-Latn-dev.jsonl           language and split in the name
yor/train-00000-of-00002.parquet             parts of one split
yor/train/data-00000-of-00001.arrow          written by `save_to_disk` of the library `datasets`
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from attrition.corpus.base import Split
from attrition.corpus.cache import Progress, cache_folder
from attrition.corpus.formats import BY_ENDING, Format
from attrition.corpus.unpacked import unpack_once
from attrition.files import sha256_of
from attrition.languages import is_tag
from attrition.names import AttritionError, nearest, unknown
from attrition.reading import is_text, is_there

SPLIT_NAMES: Mapping[str, Split] = MappingProxyType(
    {
        "train": "train",
        **dict.fromkeys(("dev", "valid", "validation", "val", "testa"), "dev"),
        **dict.fromkeys(("test", "testb"), "test"),
    }
)
"""Names of splits in file names; CoNLL-2002 and CoNLL-2003 use testa and testb."""

LAYOUT = (
    "Name files <language>/<split>.conll or <language>.<split>.conll, where the split is train, dev (valid, validation, "
    f"testa) or test (testb), and the ending is one of {', '.join(filter(None, BY_ENDING))}."
)
_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz")
_DEEPEST = 4
_PART = re.compile(r"[-_.]\d+[-_]of[-_]\d+", re.ASCII)
_JOINED = re.compile(rf"(.+)[._-]({'|'.join(SPLIT_NAMES)})", re.DOTALL)
# Files with these endings are often no data, such as README.txt: an unknown split is an error only if it is like a known one.
_MAY_BE_OTHERS = (".txt", ".parquet", ".arrow", "")


@dataclass(frozen=True)
class SourceFile:
    """A file of a language and split: its path, its format, and its name in error messages."""

    path: Path
    kind: Format
    label: str


Sources = Mapping[tuple[str, Split], tuple[SourceFile, ...]]
"""The files of each language and split, parts in their order."""


def find_files(path: Path, *, cache: Path | None = None, progress: Progress | None = None) -> Sources:
    """Return the files of each language and split in a folder, an archive (tar), or a folder with a single archive.

    Raises:
        AttritionError: there are no files; a name is not understood; two files have the same language and split.
    """
    if not (is_there(path) and (path.is_dir() or path.name.endswith(_ARCHIVES))):
        raise AttritionError(f"{str(path)!r} is not a folder, nor an archive (.tar, .tar.gz, .tar.xz). {LAYOUT}")
    if path.is_file():
        return _in_archive(path, cache or cache_folder(), progress)
    found = _grouped(_in_folder(path))
    if not found:
        archives = [each for each in sorted(path.iterdir()) if each.is_file() and each.name.endswith(_ARCHIVES)]
        if len(archives) == 1:
            return _in_archive(archives[0], cache or cache_folder(), progress)
        raise AttritionError(f"{path} holds no file of a language and split. {LAYOUT}")
    return found


def place_of(path: PurePosixPath, where: str = "") -> tuple[str, Split] | None:
    """Return the language and split in a file's path, or None for a file that is not data.

    Raises:
        AttritionError: the ending is a data format, but the name has no language or split.

    >>> place_of(PurePosixPath("data/yor/train.txt")), place_of(PurePosixPath("sr-Latn-valid.jsonl"))
    (('yor', 'train'), ('sr-Latn', 'dev'))
    >>> place_of(PurePosixPath("eng.testa"))
    ('eng', 'dev')
    >>> place_of(PurePosixPath("README.txt")) is None
    True
    """
    where = where or str(path)
    ending = path.suffix if path.suffix in BY_ENDING else ""
    if path.suffix and not ending and path.suffix[1:] not in SPLIT_NAMES:
        return None
    stem = _PART.sub("", path.name.removesuffix(ending))
    parents = [part for part in path.parts[:-1] if part not in ("/", ".")]
    if ending == ".arrow" and stem == "data" and len(parents) > 1 and parents[-1] in SPLIT_NAMES:
        return parents[-2], SPLIT_NAMES[parents[-1]]
    if stem in SPLIT_NAMES:
        if not parents:
            raise AttritionError(f"{where}: the name does not say which language and split this is. {LAYOUT}")
        return parents[-1], SPLIT_NAMES[stem]
    joined = _JOINED.fullmatch(stem)
    if joined and (stem[len(joined[1])] == "." or is_tag(joined[1])):
        return joined[1], SPLIT_NAMES[joined[2]]
    split = stem.rpartition(".")[2]
    if ending in _MAY_BE_OTHERS and (nearest(split, SPLIT_NAMES) is None or not ending):
        return None
    raise unknown(split, SPLIT_NAMES, kind="split", where=where)


def _in_folder(folder: Path) -> Iterator[tuple[tuple[str, Split], SourceFile]]:
    for root, folders, names in os.walk(folder, followlinks=True):
        inside = Path(root).relative_to(folder)
        folders[:] = sorted(name for name in folders if name[0] != "." and len(inside.parts) < _DEEPEST - 1)
        for name in sorted(names):
            path = folder / inside / name
            if name[0] == ".":
                continue
            if path.suffix in BY_ENDING and not is_text(str(inside / name)):
                raise AttritionError(f"{str(path)!r}: the name is not UTF-8. Rename the file or its folder.")
            place = place_of(PurePosixPath((inside / name).as_posix()), str(path))
            if place is not None:
                yield place, SourceFile(path, _format_of(name), str(path))


def _in_archive(archive: Path, cache: Path, progress: Progress | None) -> Sources:
    """Return the files of an archive, unpacked into one cache folder without subfolders."""
    kept: dict[str, str] = {}

    def choose(member: PurePosixPath) -> str | None:
        if any(part.startswith(".") for part in member.parts) or place_of(member) is None:
            return None
        # "%" and "/" are percent-encoded, so that no two files get one name.
        name = str(member).replace("%", "%25").replace("/", "%2F")
        kept[name] = str(member)
        return name if len(name.encode()) < 250 else None

    def check(folder: Path) -> None:
        if not any(each for each in folder.iterdir()):
            raise AttritionError(f"{archive} holds no file of a language and split. {LAYOUT}")

    folder = unpack_once(archive, cache / "columns", sha256_of(archive), choose=choose, check=check, progress=progress)
    found: list[tuple[tuple[str, Split], SourceFile]] = []
    for path in sorted(folder.iterdir()):
        member = PurePosixPath(path.name.replace("%2F", "/").replace("%25", "%"))
        place = place_of(member) if path.name != "manifest.json" else None
        if place is not None:
            found.append((place, SourceFile(path, _format_of(member.name), f"{archive}: {member}")))
    return _grouped(iter(found))


def _format_of(name: str) -> Format:
    suffix = PurePosixPath(name).suffix
    return BY_ENDING[suffix if suffix in BY_ENDING else ""]


def _grouped(files: Iterator[tuple[tuple[str, Split], SourceFile]]) -> Sources:
    """Return files by language and split; several files of one split need part numbers in their names."""
    found: dict[tuple[str, Split], list[SourceFile]] = {}
    for place, source in files:
        others = found.setdefault(place, [])
        if others and not (_PART.search(source.path.name) and _PART.search(others[0].path.name)):
            language, split = place
            raise AttritionError(f"{source.label} and {others[0].label} are both {split} of {language!r}. Keep one of them.")
        others.append(source)
    return {place: tuple(sources) for place, sources in found.items()}
