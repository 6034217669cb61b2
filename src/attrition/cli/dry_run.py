"""`attrition run --dry-run`: the stages of a study, and their cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from rich.console import JustifyMethod
from rich.markup import escape
from rich.table import Table

from attrition.cli.console import counting, out, show
from attrition.cli.durations import in_words
from attrition.cli.progress import TerminalWatcher
from attrition.corpus.cache import cache_folder
from attrition.engine.estimate import Estimate, estimate, refuse_too_large, steps_of
from attrition.engine.executors.choice import chains, choose
from attrition.engine.makespan import makespan
from attrition.engine.measure import SECONDS, measure
from attrition.engine.schedule import Schedule
from attrition.engine.side_by_side import in_words as side_by_side
from attrition.engine.side_by_side import populations
from attrition.names import counted
from attrition.prepare.prepare import Prepared, prepare
from attrition.store.folder import in_precision_of
from attrition.store.stages import Store
from attrition.study.plan import Job, StudyPlan
from attrition.study.select import select_runs
from attrition.study.spec import Study

CLUSTER = (10, 100)
"""Numbers of cluster workers in the plan."""

Known = tuple[frozenset[str], frozenset[str]]
"""Keys of the stored stages and evaluations."""

_COLUMNS: tuple[tuple[str, JustifyMethod], ...] = (
    ("Run", "left"),
    ("order", "left"),
    ("seed", "right"),
    ("stages", "right"),
    ("own", "right"),
    ("time", "right"),
    ("", "left"),
)


def show_plan(study: Study, folder: Path, pack: Path | None = None, only: Sequence[str] = ()) -> None:
    """Print runs, stages, sharing and an estimate of time, memory and disk. Stages stored in `folder` cost nothing.

    With `pack`, corpus and encoder are read from the pack. `only` selects runs.
    """
    with TerminalWatcher() as watcher:
        prepared = prepare(in_precision_of(folder, study), watcher, cache_folder(), pack)
    prepared = dataclasses.replace(prepared, plan=select_runs(prepared.plan, only))
    plan = prepared.plan
    store = Store(folder)
    stored, scored = frozenset(store.keys("stages")) & plan.jobs.keys(), frozenset(store.keys("evaluations"))
    pending = [job for key, job in plan.jobs.items() if key not in stored]
    refuse_too_large(prepared)
    with counting("Measuring") as progress:
        rates = measure(prepared, folder, pending, progress)
    cost = estimate(prepared, rates, stored, scored)
    show(_table(study.name, plan, cost))
    out.print(
        f"{plan.num_stages} stages, {len(plan.jobs)} to train: {plan.num_stages - len(plan.jobs)} are shared between runs."
    )
    if stored:
        out.print(f"{len(stored)} of them are already in {escape(str(folder))}.", soft_wrap=True)
    languages, portions = study.languages, (*study.languages, *study.portions)
    train = sum(len(prepared.encoded[name, "train"]) for name in portions)
    out.print(
        f"{counted(len(languages), 'language')}, {counted(train, 'training utterance')} in all; "
        f"{len(prepared.vocabulary):,} of {prepared.vocabulary.full_size:,} sub-tokens in use."
    )
    out.print(prepared.scored_on.statement)
    if said := side_by_side(prepared):
        out.print(said, soft_wrap=True, highlight=False)
    steps = sum(steps_of(prepared, job) for job in pending)
    groups = [tuple(job.key for job in each) for each in populations(prepared, pending)]
    out.print(f"{counted(steps, 'training step')} to make, in {counted(len(groups), 'population')}.")
    out.print(
        f"About [bold]{in_words(cost.seconds)}[/] on this machine, {cost.memory_bytes / 1e9:.1f} GB of memory for parameters, "
        f"{cost.disk_bytes / 1e9:.1f} GB of disk."
    )
    if chains(prepared) > 1 and pending:
        _show_executors(prepared, folder, pending, cost, (stored, scored))
    speeds = [f"{speed:,.0f} utterances/s of training ({label})" for label, speed in cost.training.items()]
    speeds.append(f"{cost.scoring:,.0f} of scoring")
    out.print(
        f"Measured just now, beside what else runs here: {', '.join(speeds)}; products in {prepared.precision}. The time "
        "assumes that no learner stops early. It leaves out reading the corpus and drawing the report.",
        style="dim",
        soft_wrap=True,
    )


def _show_executors(prepared: Prepared, folder: Path, pending: Sequence[Job], cost: Estimate, known: Known) -> None:
    """Print the time of the stages on each executor, with the real schedule."""
    groups = [tuple(job.key for job in each) for each in populations(prepared, pending)]
    parents = {key: job.parent for key, job in prepared.plan.jobs.items()}

    def length(cost: Estimate, workers: int, *, chains: bool = False) -> float:
        schedule = Schedule(groups, parents, cost=cost.training_of)
        return makespan(schedule, cost.training_of, cost.scoring_of, workers, chains=chains)

    rows = [("local", "1", in_words(cost.seconds))]
    asked = dataclasses.replace(prepared.study.machine, executor="processes", workers="auto")
    several = choose(dataclasses.replace(prepared, study=dataclasses.replace(prepared.study, machine=asked)))
    if several.workers > 1:
        threads = dataclasses.replace(asked, threads=several.threads)
        there = dataclasses.replace(prepared, study=dataclasses.replace(prepared.study, machine=threads))
        with counting("Measuring") as progress:
            own = estimate(there, measure(there, folder, pending, progress, seconds=SECONDS / 2), *known)
        each = f"{several.workers} of {counted(several.threads or 0, 'thread')}"
        rows.append(("processes", each, in_words(length(own, several.workers))))
    for workers in CLUSTER:
        both = (length(cost, workers), length(cost, workers, chains=True))
        rows.append(("ray, slurm", f"{workers} like this machine", " to ".join(dict.fromkeys(map(in_words, sorted(both))))))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("machine.executor", "workers", "time"):
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    out.print(table)
    out.print("The times of several workers assume that they do not slow each other down, and leave out queues.", style="dim")


def _table(name: str, plan: StudyPlan, cost: Estimate) -> Table:
    """Return the runs of a study, with their stages and times."""
    table = Table(
        title=f"{escape(name)}: {counted(len(plan.runs), 'run')}",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for title, justify in _COLUMNS:
        table.add_column(title, justify=justify)
    seen: set[str] = set()
    for run in plan.runs:
        own = [job.key for job in run.jobs if job.key not in seen]
        seen |= set(own)
        first = ", ".join(run.order[:4]) + (", ..." if len(run.order) > 4 else "")
        names = (escape(run.method.name), escape(run.order_name))
        numbers = (str(run.seed), str(len(run.jobs)), str(len(own)), in_words(cost.by_run[run.key]))
        table.add_row(*names, *numbers, escape(first))
    return table
