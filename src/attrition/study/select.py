"""Some runs of a study, chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from attrition.names import unknown
from attrition.study.plan import RunPlan, StudyPlan


def select_runs(plan: StudyPlan, patterns: Sequence[str], where: str = "--only") -> StudyPlan:
    """Return the plan of the runs that match at least one pattern, in the sequence of the plan; no pattern selects all runs.

    A pattern is compared with a run's label ("METHOD/ORDER/sSEED"), the name of its method, and its key. Upper and lower case
    are the same; `*` and `?` stand for any characters.

    Raises:
        AttritionError: a pattern matches no run; `where` it was given is named.
    """
    if not patterns:
        return plan
    for pattern in patterns:
        if not any(_matches(run, pattern) for run in plan.runs):
            raise unknown(pattern, [run.label for run in plan.runs], kind="run", where=where)
    return _plan_of([run for run in plan.runs if any(_matches(run, pattern) for pattern in patterns)], plan)


def runs_of_study(plan: StudyPlan, patterns: Sequence[str]) -> StudyPlan:
    """Return the plan of the runs that a study's `only` names, in the sequence of its patterns; no pattern takes all runs.

    Raises:
        AttritionError: a pattern matches no run.
    """
    selected = select_runs(plan, patterns, where="only")
    rank = {run.key: next((n for n, each in enumerate(patterns) if _matches(run, each)), 0) for run in selected.runs}
    return _plan_of(sorted(selected.runs, key=lambda run: rank[run.key]), plan)


def _plan_of(runs: Sequence[RunPlan], plan: StudyPlan) -> StudyPlan:
    """The plan of some runs of a larger plan. A run lists its stages parents first, and so does the plan."""
    return StudyPlan(tuple(runs), {job.key: plan.jobs[job.key] for run in runs for job in run.jobs})


def _matches(run: RunPlan, pattern: str) -> bool:
    # A method may be called "mine [red]": brackets are no set of letters here.
    wanted = pattern.strip().casefold().replace("[", "[[]")
    return any(fnmatchcase(name.casefold(), wanted) for name in (run.label, run.method.name, run.key))
