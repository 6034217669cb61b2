"""Names and what they stand for: those of this program, of installed packages, and of a user's own file.

A package adds to a registry by an entry point of its group; a study file names a Python file. Either gives one value of the
registry's kind.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from attrition.names import AttritionError
from attrition.reading import is_there

T = TypeVar("T")


def is_file_of_a_user(name: str) -> bool:
    """Return True for the name of a Python file, which stands for what it defines.

    >>> is_file_of_a_user("my_corpus.py"), is_file_of_a_user("massive")
    (True, False)
    """
    return name.endswith(".py")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping of names. Entry points are looked for when a name is, and loaded when it is theirs.

    Args:
        kind: what is named, in the singular ("method").
        group: of entry points ("attrition.methods").
        known: those of this program.
        type_: what a file's or a package's value must be.
    """

    def __init__(self, kind: str, group: str, known: Mapping[str, T], type_: type) -> None:
        self._kind, self._group, self._known, self._type = kind, group, dict(known), type_

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self._group) if point.name not in self._known}

    def __getitem__(self, name: str) -> T:
        if name in self._known:
            return self._known[name]
        point = self._points[name]
        try:
            found = point.load()
        except Exception as error:
            raise AttritionError(f"The {self._kind} {name!r} ({point.value}) cannot be imported: {error}.") from error
        return self._checked(found, f"the entry point {name!r} of {self._group}")

    def __iter__(self) -> Iterator[str]:
        return iter([*self._known, *self._points])

    def __len__(self) -> int:
        return len(self._known) + len(self._points)

    def from_file(self, path: str, folder: Path = Path()) -> tuple[T, str]:
        """Return the one value of this kind in a Python file, and the file's absolute path.

        A relative path starts in the working folder, or in `folder` if the file is found there only.

        Raises:
            AttritionError: the file is not there, does not run, or holds none or several.
        """
        given = Path(path).expanduser()
        found = folder / given if not is_there(given) and is_there(folder / given) else given
        if not found.is_file():
            raise AttritionError(f"There is no file {path!r} with a {self._kind}. Known {self._kind}s: {', '.join(self)}.")
        # Classes are found again by the name of their module: a file of the same name must not be taken for this one.
        content = hashlib.sha256(str(found.absolute()).encode() + found.read_bytes()).hexdigest()[:12]
        name = f"attrition_of_user_{found.stem}_{content}"
        module = sys.modules.get(name) or self._module(name, found)
        values = [value for name, value in vars(module).items() if isinstance(value, self._type) and not name.startswith("_")]
        if len(values) != 1:
            many = "no" if not values else f"{len(values)} values that are a"
            raise AttritionError(f"{found} holds {many} {self._type.__name__} at its top level. Give it exactly one.")
        return self._checked(values[0], str(found)), str(found.absolute())

    def _module(self, name: str, found: Path) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, found)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            raise AttritionError(f"{found} does not run: {type(error).__name__}: {error}") from error
        return module

    def _checked(self, value: object, where: str) -> T:
        if not isinstance(value, self._type):
            raise AttritionError(f"{where} is a {type(value).__name__}, not a {self._type.__name__}.")
        return value  # type: ignore[return-value]
