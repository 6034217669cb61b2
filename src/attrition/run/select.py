"""Some runs of a study, chosen by name."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from attrition.names import unknown
from attrition.run.study import RunPlan, StudyPlan


def select_runs(plan: StudyPlan, patterns: Sequence[str]) -> StudyPlan:
    """Return the plan of the runs that match at least one pattern, in the study's own sequence; no pattern selects all runs.

    A pattern is compared with a run's label ("METHOD/ORDER/sSEED"), the name of its method, and its key. Upper and lower case
    are the same; `*` and `?` stand for any characters.

    Raises:
        AttritionError: a pattern matches no run.
    """
    if not patterns:
        return plan
    for pattern in patterns:
        if not any(_matches(run, pattern) for run in plan.runs):
            raise unknown(pattern, [run.label for run in plan.runs], kind="run", where="--only")
    runs = tuple(run for run in plan.runs if any(_matches(run, pattern) for pattern in patterns))
    keys = {job.key for run in runs for job in run.jobs}
    return StudyPlan(runs, {key: job for key, job in plan.jobs.items() if key in keys})


def _matches(run: RunPlan, pattern: str) -> bool:
    # A method may be called "mine [red]": brackets are no set of letters here.
    wanted = pattern.strip().casefold().replace("[", "[[]")
    return any(fnmatchcase(name.casefold(), wanted) for name in (run.label, run.method.name, run.key))
