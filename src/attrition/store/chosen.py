"""Chooses finished runs of results folders by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attrition.names import AttritionError, unknown
from attrition.study.select import matches


@dataclass(frozen=True)
class Chosen:
    """The chosen runs: keys, and the names of their methods. None stands for all."""

    runs: frozenset[str] | None = None
    methods: frozenset[str] | None = None

    @classmethod
    def of(cls, folders: Sequence[Path], only: Sequence[str]) -> Chosen:
        """Return the finished runs whose name ("METHOD/ORDER/sSEED"), method or key matches a pattern; all without patterns.

        Raises:
            AttritionError: a pattern matches no finished run, or a run's spec.json is missing or damaged.
        """
        if not only:
            return cls()
        names: dict[str, tuple[str, str]] = {}
        for folder in folders:
            for matrix in cls().matrices(folder):
                names[matrix.parent.name] = _names(matrix.parent / "spec.json")
        for pattern in only:
            if not any(matches((*given, key), pattern) for key, given in names.items()):
                known = dict.fromkeys(name for given in names.values() for name in given)
                raise unknown(pattern, known, kind="finished run or method", where="--only")
        runs = {key for key, given in names.items() if any(matches((*given, key), pattern) for pattern in only)}
        return cls(frozenset(runs), frozenset(names[key][0] for key in runs))

    def matrices(self, folder: Path) -> list[Path]:
        """Return the matrix.csv of each chosen run of a folder."""
        found = sorted((folder / "runs").glob("[!.]*/matrix.csv"))
        return [path for path in found if self.runs is None or path.parent.name in self.runs]


def _names(path: Path) -> tuple[str, str]:
    """Return a run's method and its name."""
    try:
        spec = json.loads(path.read_text(encoding="utf-8"))
        return str(spec["name"]), f"{spec['name']}/{spec['order']['name']}/s{spec['seed']}"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AttritionError(
            f"{path} is missing or damaged, so --only cannot tell its run. `attrition verify {path.parents[2]}` "
            "says what to do."
        ) from error
