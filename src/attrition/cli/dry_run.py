"""`attrition run --dry-run`: what a study would do, and what it would cost."""

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
from attrition.engine.estimate import Estimate, estimate, refuse_too_large
from attrition.engine.measure import measure
from attrition.engine.side_by_side import in_words as side_by_side
from attrition.names import counted
from attrition.prepare.prepare import prepare
from attrition.store.folder import in_precision_of
from attrition.store.stages import Store
from attrition.study.plan import StudyPlan
from attrition.study.select import select_runs
from attrition.study.spec import Study

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
    """Print runs, stages, sharing and an estimate of time, memory and disk; stages that lie in `folder` cost nothing.

    With `pack`, corpus and encoder are read from there. `only` selects runs.
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
    languages = study.languages
    train = sum(len(prepared.encoded[language, "train"]) for language in languages)
    out.print(
        f"{counted(len(languages), 'language')}, {counted(train, 'training utterance')} in all; "
        f"{len(prepared.vocabulary):,} of {prepared.vocabulary.full_size:,} sub-tokens in use."
    )
    out.print(prepared.scored_on.statement)
    if said := side_by_side(prepared):
        out.print(said, soft_wrap=True, highlight=False)
    out.print(
        f"About [bold]{in_words(cost.seconds)}[/] on this machine, {cost.memory_bytes / 1e9:.1f} GB of memory for parameters, "
        f"{cost.disk_bytes / 1e9:.1f} GB of disk."
    )
    speeds = [f"{speed:,.0f} utterances/s of training ({label})" for label, speed in cost.training.items()]
    speeds.append(f"{cost.scoring:,.0f} of scoring")
    out.print(
        f"Measured just now, beside what else runs here: {', '.join(speeds)}; products in {prepared.precision}. The time "
        "assumes that no learner stops early. It leaves out reading the corpus and drawing the report.",
        style="dim",
        soft_wrap=True,
    )


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
