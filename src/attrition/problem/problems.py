"""Problems in one table.

A user's own problem is a `Problem` in a Python file: `problem = "my_problem.py"` in a study file.
"""

from __future__ import annotations

from pathlib import Path

from attrition.files import sha256_of
from attrition.names import AttritionError, look_up
from attrition.problem.base import Problem
from attrition.problem.intents import INTENTS
from attrition.problem.slots import SLOTS
from attrition.registry import Registry, is_file_of_a_user

DEFAULT = SLOTS.name
_OWN = {each.name: each for each in (SLOTS, INTENTS)}

PROBLEMS = Registry[Problem]("problem", "attrition.problems", _OWN, Problem)
"""All problems by name, including those of installed packages."""


def problem(name: str, folder: Path = Path(), *, where: str = "") -> tuple[Problem, str]:
    """Return the problem called `name`, or of a Python file; and its full name: the file's absolute path, or `name`.

    Args:
        name: as in a study.
        folder: the base of a relative path if the working folder has no such file.
        where: the start of error messages.

    Raises:
        AttritionError: there is no such problem, or the file does not hold exactly one.

    >>> problem("intents")[0].score
    'accuracy'
    """
    if is_file_of_a_user(name):
        try:
            return PROBLEMS.from_file(name, folder)
        except AttritionError as error:
            raise AttritionError(f"{where}: problem: {error}" if where else str(error)) from error
    return look_up(name, PROBLEMS, kind="problem", where=where), name


def identity(name: str) -> str:
    """Return the identity of a problem in the keys of stages: its name, or the SHA-256 of its file. "" for slots.

    An edited file is another problem, so stages of the earlier version are not used.

    >>> identity("slots"), identity("intents")
    ('', 'intents')
    """
    if name == DEFAULT:
        return ""
    return sha256_of(Path(name)) if is_file_of_a_user(name) else name


def may_be_cached(name: str) -> bool:
    """Return True if encoded utterances may be cached: for built-in problems, whose encoding is known."""
    return name in _OWN
