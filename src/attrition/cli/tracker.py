"""Sends a study to an experiment tracker: wandb or trackio, which have the same interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from importlib import import_module
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

from attrition.metrics import summary
from attrition.metrics.matrix import RMatrix
from attrition.problem.problems import DEFAULT, problem
from attrition.store.stages import Store
from attrition.study.keys import slug
from attrition.study.plan import Job, RunPlan
from attrition.study.spec import Study
from attrition.study.watcher import Watcher

LONGEST_WAIT = 60.0
"""Seconds to wait for the tracker at the end of a study."""


@contextmanager
def watching(study: Study, folder: Path, watcher: Watcher | None = None) -> Iterator[Watcher]:
    """Yield the watcher of a study: the given one or the terminal's, with the study's tracker if it has one."""
    score = "F1" if study.problem == DEFAULT else problem(study.problem)[0].score
    with ExitStack() as ends:
        if watcher is None:
            from attrition.cli.progress import TerminalWatcher

            watcher = ends.enter_context(TerminalWatcher(score))
        if study.machine.tracker != "none":
            watcher = Tracker(study.machine.tracker, slug(study.name), folder, watcher, score)
            ends.callback(watcher.close)
        yield watcher


class Tracker(Watcher):
    """Logs each finished stage and run as a run of a tracker, and forwards all calls to another watcher.

    A separate thread calls the tracker, which may wait for a network or a password. After its first failure it is not called
    again. It logs only stages and runs that finish during this call.

    Args:
        name: the module of the tracker.
        project: the study's name in the tracker.
        folder: the results folder.
        inner: the other watcher.
        score: the name of the score.
    """

    def __init__(self, name: str, project: str, folder: Path, inner: Watcher, score: str = "F1") -> None:
        for told in vars(Watcher).keys() - vars(Tracker).keys():
            if not told.startswith("_"):
                setattr(self, told, getattr(inner, told))
        self._name, self._project, self._folder, self._inner, self._score = name, project, folder, inner, score
        self._failure, self._is_off = "", False
        self._new: set[str] = set()
        self._calls: SimpleQueue[Callable[[Any], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._make_calls, name=name, daemon=True)
        self._thread.start()

    def finished(self, job: Job, unused: int) -> None:
        self._inner.finished(job, unused)
        self._new.add(job.key)
        self._send(partial(self._log_stage, job))

    def run_finished(self, run: RunPlan) -> None:
        self._inner.run_finished(run)
        if any(job.key in self._new for job in run.jobs):
            self._send(partial(self._log_run, run))

    def close(self, seconds: float = LONGEST_WAIT) -> None:
        """Wait until everything is sent, at most this number of seconds."""
        self._calls.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._failure = f"no answer within {seconds:g} seconds"
        self._look()

    def _send(self, call: Callable[[Any], None]) -> None:
        self._look()
        if not self._is_off:
            self._calls.put(call)

    def _look(self) -> None:
        """Warn of a failure, once. Only the study's thread calls the other watcher."""
        if self._failure and not self._is_off:
            self._is_off = True
            self._inner.warned(
                f'machine.tracker = "{self._name}" does not work: {self._failure}. The study continues without it. '
                'Install trackers with pip install "attrition[trackers]", and log in to wandb first, or set WANDB_MODE=offline.'
            )

    def _make_calls(self) -> None:
        try:
            tracker = import_module(self._name)
            for call in iter(self._calls.get, None):
                call(tracker)
        except BaseException as error:  # noqa: BLE001 - whatever a tracker does, an exit included, must not reach the study
            self._failure = f"{type(error).__name__}: {error}".rstrip(".")

    def _log(self, tracker: Any, name: str, group: str, config: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
        tracker.init(project=self._project, name=name, group=group, config=dict(config))
        try:
            for row in rows:
                # Leave out NaN: trackers draw it as zero or as a gap.
                tracker.log({key: each for key, each in row.items() if not (isinstance(each, float) and math.isnan(each))})
        finally:
            tracker.finish()

    def _log_stage(self, job: Job, tracker: Any) -> None:
        history = Store(self._folder).load_history(job.key)
        method = job.choice.method.name
        config = {"stage": len(job.chain), "languages": list(job.languages), "method": method, "key": job.key}
        rows = [epoch._asdict() for epoch in history.history]
        name = f"{job.label} {job.key[:6]}"  # stages of other orders and seeds have the same label
        self._log(tracker, name, method, {**config, "training": asdict(job.choice.training)}, rows)

    def _log_run(self, run: RunPlan, tracker: Any) -> None:
        import vl_convert

        from attrition.report.export import PIXELS_PER_POINT, drawn
        from attrition.report.heat_maps import maps_of

        R = RMatrix.from_csv(self._folder / "runs" / run.key / "matrix.csv")
        config = {"method": run.method.name, "order": list(run.order), "seed": run.seed, "key": run.key}
        row: dict[str, Any] = {**summary(R), "R": tracker.Table(dataframe=R.to_frame().reset_index())}
        with TemporaryDirectory() as folder:
            for stem, svg in drawn(maps_of({"": R}, self._score)).items():
                path = Path(folder) / f"{stem}.png"
                path.write_bytes(vl_convert.svg_to_png(svg, scale=PIXELS_PER_POINT))
                row[f"figure {stem}"] = tracker.Image(str(path))
            self._log(tracker, run.label, run.method.name, config, [row])
