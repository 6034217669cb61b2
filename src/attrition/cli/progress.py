"""Shows a study's progress: a line of text above bars in a terminal, else a line every few seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType

from rich.console import RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
from rich.progress import Task as Bar
from rich.text import Text

from attrition.cli.console import err, tell
from attrition.names import counted
from attrition.study.plan import Job, RunPlan, StudyPlan
from attrition.study.watcher import Watcher
from attrition.training.train import Epoch

LINE_EVERY_SECONDS = 15.0


class SpeedColumn(ProgressColumn):
    """Utterances per second from the start to the last report, for bars that count utterances.

    rich's own speed is that of the last reports. Several workers report together, so it can be a thousand times too high.
    """

    def render(self, task: Bar) -> Text:
        seconds = _seconds_to_last_report(task)
        known = task.fields.get("utterances") and seconds
        return Text(f"{_done_now(task) / seconds:,.0f} utt./s" if known else "")


class LeftColumn(ProgressColumn):
    """The time left at the mean speed from the start to the last report."""

    max_refresh = 0.5

    def render(self, task: Bar) -> Text:
        seconds = _seconds_to_last_report(task)
        if not (task.total and seconds and task.elapsed):
            return Text("-:--:-- left", style="progress.remaining")
        end = seconds * (1 + task.remaining / _done_now(task)) if task.remaining else 0.0
        return Text(f"{timedelta(seconds=max(0, math.ceil(end - task.elapsed)))} left", style="progress.remaining")


def _seconds_to_last_report(task: Bar) -> float:
    """Return 0 if nothing was reported."""
    return task.fields.get("reported", task.elapsed or 0.0) if _done_now(task) else 0.0


def _done_now(task: Bar) -> float:
    """Return what was done since the start, without what was done in earlier runs."""
    return task.completed - float(task.fields.get("earlier", 0.0))


class _Bars(Progress):
    """Bars below a line of text, which wraps in a narrow terminal."""

    said = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.said:
            yield Text(self.said, overflow="fold")
        yield self.make_tasks_table(self.tasks)


class TerminalWatcher(Watcher):
    """Shows the stage, the language, the speed, the time left and the last score; prints each message once.

    `score` is the name of the score.
    """

    def __init__(self, score: str = "F1") -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=12),
            TextColumn("{task.percentage:>3.0f}%"),
            SpeedColumn(),
            LeftColumn(),
        )
        self._bars = _Bars(*columns, console=err, transient=True, disable=err.quiet)
        self._encoding = self._bars.add_task("Encoding", total=None, visible=False)
        self._training = self._bars.add_task("Training", total=None, visible=False)
        self._score = score
        self._stage = self._last_score = ""
        self._labels: dict[str, str] = {}
        self._said: set[str] = set()
        self._done = self._work = 0
        self._began = self._last_line = time.monotonic()
        self._done_at_start = 0
        self._any_started = False

    def __enter__(self) -> TerminalWatcher:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def reading(self, what: str, done: int, total: int) -> None:
        self._bars.update(self._encoding, description=escape(what), completed=done, total=total or None, visible=True)

    def encoding(self, num_languages: int) -> None:
        self._bars.reset(self._encoding, description="Encoding languages", total=num_languages, visible=True)

    def encoded(self, language: str) -> None:
        self._bars.advance(self._encoding)

    def packing(self, what: str, done: int, total: int) -> None:
        self.reading(what, done, total)

    def planned(self, plan: StudyPlan, work: int, done: int) -> None:
        self._bars.update(self._encoding, visible=False)
        of = len(plan.jobs)
        self._labels = {key: f"stage {n} of {of}, {job.label}" for n, (key, job) in enumerate(plan.jobs.items(), start=1)}
        self._work, self._done, self._done_at_start = work, done, done
        self._began = time.monotonic()
        shared = plan.num_stages - len(plan.jobs)
        saved = f", {shared} of them shared" if shared else ""
        stored = f"; {done / work:.0%} done in earlier runs" if done else ""
        self.noted(f"{counted(len(plan.runs), 'run')} of {counted(plan.num_stages, 'stage')}{saved}{stored}.")
        self._reset_training()

    def started(self, job: Job) -> None:
        if not self._any_started:  # the start of the workers is no training time
            self._any_started, self._began = True, time.monotonic()
            self._reset_training()
        self._stage, self._last_score = self._labels.get(job.key, job.label), ""
        self._show()

    def resumed(self, job: Job, step: int) -> None:
        self.noted(f"{job.label} continues after step {step:,}.")
        self.started(job)

    def scoring(self, label: str) -> None:
        self._bars.said = f"Scoring {label}"

    def trained(self, num_utterances: int) -> None:
        elapsed = self._bars.tasks[self._training].elapsed
        self._bars.update(self._training, advance=num_utterances, reported=elapsed)
        self._done += num_utterances
        self._line()

    def epoch_ended(self, key: str, epoch: Epoch) -> None:
        self._stage = self._labels.get(key, self._stage)  # with several workers, not the stage that started last
        known = not math.isnan(epoch.dev_f1)
        self._last_score = f"; epoch {epoch.epoch}" + (f", dev {self._score} {100 * epoch.dev_f1:.1f}" if known else "")
        self._show()
        self._line()

    def _line(self) -> None:
        """Without a terminal, print the progress of training every few seconds."""
        now = time.monotonic()
        if err.is_terminal or now - self._last_line < LINE_EVERY_SECONDS:
            return
        self._last_line = now
        done, seconds = self._done - self._done_at_start, now - self._began
        left = seconds * (self._work - self._done) / done if done else math.nan
        share = self._done / max(1, self._work)
        speed = f"{done / seconds:,.0f} utterances/s, {left / 60:.1f} min left"
        err.print(f"{share:4.0%}, {speed}: {escape(self._stage + self._last_score)}", soft_wrap=True)

    def _show(self) -> None:
        self._bars.said = f"Training {self._stage}{self._last_score}"

    def finished(self, job: Job, unused: int) -> None:
        if unused > 0:  # less to do, and nothing done: the speed stays that of training
            self._work -= unused
            self._bars.update(self._training, total=max(self._work, 1))

    def _reset_training(self) -> None:
        earlier = self._done_at_start
        total = max(self._work, 1)
        self._bars.reset(self._training, total=total, completed=earlier, visible=True, utterances=True, earlier=earlier)

    def run_finished(self, run: RunPlan) -> None:
        self._last_line = time.monotonic()

    def noted(self, message: str) -> None:
        if self._first(message):
            err.print(escape(message), style="dim", soft_wrap=True)

    def warned(self, message: str) -> None:
        if self._first(message):
            tell(f"[bold yellow]Warning:[/] {escape(message)}")

    def _first(self, message: str) -> bool:
        """Return True if a message was not printed before."""
        new = message not in self._said
        self._said.add(message)
        return new
