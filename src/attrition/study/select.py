"""Selects runs of a study by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from attrition.names import unknown
from attrition.study.plan import RunPlan, StudyPlan, plan_of


def select_runs(plan: StudyPlan, patterns: Sequence[str], where: str = "--only") -> StudyPlan:
    """Return the plan of the runs that match at least one pattern, in plan order; no pattern selects all runs.

    A pattern matches a run's label ("METHOD/ORDER/sSEED"), the name of its method, or its key. Case is ignored; `*` and `?`
    are wildcards.

    Raises:
        AttritionError: a pattern matches no run; the message names `where`.
    """
    if not patterns:
        return plan
    for pattern in patterns:
        if not any(_matches(run, pattern) for run in plan.runs):
            known = dict.fromkeys([run.method.name for run in plan.runs] + [run.label for run in plan.runs])
            raise unknown(pattern, known, kind="run or method", where=where)
    return plan_of([run for run in plan.runs if any(_matches(run, pattern) for pattern in patterns)])


def runs_of_study(plan: StudyPlan, patterns: Sequence[str]) -> StudyPlan:
    """Return the plan of the runs that a study's `only` names, in the sequence of its patterns; no pattern takes all runs.

    Raises:
        AttritionError: a pattern matches no run.
    """
    selected = select_runs(plan, patterns, where="only")
    rank = {run.key: next((n for n, each in enumerate(patterns) if _matches(run, each)), 0) for run in selected.runs}
    return plan_of(sorted(selected.runs, key=lambda run: rank[run.key]))


def _matches(run: RunPlan, pattern: str) -> bool:
    return matches((run.label, run.method.name, run.key), pattern)


def matches(names: Iterable[str], pattern: str) -> bool:
    """Return whether one of a run's names matches a pattern.

    >>> matches(["VANILLA/paper-1/s0", "VANILLA"], "vanilla/*"), matches(["MULTI"], "MONO")
    (True, False)
    """
    # A method may be called "mine [red]": escape brackets, which fnmatch reads as a set of letters.
    wanted = pattern.strip().casefold().replace("[", "[[]")
    return any(fnmatchcase(name.casefold(), wanted) for name in names)
