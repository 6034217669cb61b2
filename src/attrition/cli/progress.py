"""Progress of a study: bars in a terminal, lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.markup import escape

from attrition.cli.console import bars, err, tell
from attrition.names import counted
from attrition.run.study import Job, RunPlan, StudyPlan
from attrition.run.watcher import Watcher
from attrition.training.train import Epoch, Task

LINE_EVERY_SECONDS = 15.0


class TerminalWatcher(Watcher):
    """Show bars for encoding and training, with warnings above. Without a terminal, print a line from time to time."""

    def __init__(self) -> None:
        self._bars = bars()
        self._encoding = self._bars.add_task("Encoding languages", total=None, visible=False)
        self._training = self._bars.add_task("Training", total=None, visible=False)
        self._label = ""
        self._done = self._work = 0
        self._began = self._last_line = time.monotonic()
        self._done_at_start = 0

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
        self._work, self._done, self._done_at_start = work, done, done
        self._began = time.monotonic()
        shared = plan.num_stages - len(plan.jobs)
        saved = f", {shared} of them shared" if shared else ""
        stored = f"; {done / work:.0%} already done" if done else ""
        err.print(f"{counted(len(plan.runs), 'run')} of {counted(plan.num_stages, 'stage')}{saved}{stored}.", style="dim")
        self._bars.reset(self._training, total=max(work - done, 1), visible=True)

    def started(self, job: Job) -> None:
        self._label = job.label
        self._bars.update(self._training, description=escape(f"Training {job.label}"))

    def resumed(self, job: Job, step: int) -> None:
        err.print(f"{escape(job.label)} resumes after step {step:,}.", style="dim")
        self.started(job)

    def scoring(self, label: str) -> None:
        self._bars.update(self._training, description=escape(f"Scoring {label}"))

    def trained(self, num_utterances: int) -> None:
        self._bars.advance(self._training, num_utterances)
        self._done += num_utterances

    def epoch_ended(self, task: Task, epoch: Epoch) -> None:
        now = time.monotonic()
        if err.is_terminal or now - self._last_line < LINE_EVERY_SECONDS:
            return
        self._last_line = now
        share = (self._done - self._done_at_start) / max(1, self._work - self._done_at_start)
        left = (now - self._began) * (1 - share) / share if share else float("nan")
        f1 = "" if epoch.dev_f1 != epoch.dev_f1 else f", dev F1 {100 * epoch.dev_f1:.1f}"
        err.print(f"{share:4.0%}, {left / 60:.1f} min left: {escape(self._label)}, epoch {epoch.epoch}{f1}")

    def finished(self, job: Job, unused: int) -> None:
        if unused > 0:
            self._bars.advance(self._training, unused)
            self._done += unused

    def run_finished(self, run: RunPlan) -> None:
        self._last_line = time.monotonic()

    def noted(self, message: str) -> None:
        err.print(escape(message), style="dim")

    def warned(self, message: str) -> None:
        tell(f"[bold yellow]Warning:[/] {escape(message)}")
