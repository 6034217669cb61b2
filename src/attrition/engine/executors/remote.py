"""The code of a worker process: it prepares the study once, then runs units."""

from __future__ import annotations

import dataclasses
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from attrition.corpus.cache import cache_folder
from attrition.engine.environment import deterministic
from attrition.engine.executors import Outcome
from attrition.engine.executors.shared import with_shared
from attrition.engine.progress import Pulse
from attrition.engine.schedule import Unit
from attrition.engine.work import Worker
from attrition.files import writing
from attrition.names import AttritionError, counted
from attrition.prepare.prepare import num_threads, prepare
from attrition.store.stages import Store
from attrition.study.spec import read_study
from attrition.study.standalone import STUDY_FILE
from attrition.study.stop import Stopped, StopRequests, TimeUp
from attrition.study.watcher import Watcher


@dataclass(frozen=True)
class Setup:
    """The settings of a worker.

    Attributes:
        folder: of the results, with the driver's study file.
        executor: its name, for messages.
        device: as in `machine.device`.
        threads: of the worker; None for all available cores.
        pack: folder of the packed study, or None.
        shared: folder of `write_shared`, or None.
        seconds: time limit of the worker since its process started, or None. Training is saved before it ends.
        place: where it runs besides host and process, for messages.
    """

    folder: str
    executor: str
    device: str
    threads: int | None = None
    pack: str | None = None
    shared: str | None = None
    seconds: float | None = None
    place: str = ""


class _Warnings(Watcher):
    """Collects warnings for the user."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def warned(self, message: str) -> None:
        self.messages.append(message)


class _Session:
    """A study prepared in this process."""

    def __init__(self, setup: Setup) -> None:
        folder = Path(setup.folder)
        self.requests = StopRequests(None if setup.seconds is None else setup.seconds - process_seconds())
        self.warnings = _Warnings()
        torch.set_num_threads(num_threads(setup.threads))
        study = read_study(folder / STUDY_FILE)
        machine = dataclasses.replace(study.machine, device=setup.device, threads=setup.threads)
        pack = None if setup.pack is None else Path(setup.pack)
        prepared = prepare(dataclasses.replace(study, machine=machine), Watcher(), cache_folder(), pack)
        if setup.shared is not None:
            prepared = with_shared(prepared, Path(setup.shared))
        self.pulse = Pulse(folder, setup.executor, self.warnings, setup.place)
        self.deterministic, self.keys = machine.deterministic, prepared.plan.jobs.keys()
        self.worker = Worker(prepared, prepared.plan, Store(folder), self.pulse, self.requests)


_session = cache(_Session)


def process_seconds() -> float:
    """Return the seconds since this process started, including imports; 0 if the system does not report them."""
    with suppress(OSError, AttributeError):
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def work(setup: Setup, unit: Unit) -> Outcome:
    """Run a unit. SIGINT, SIGTERM and the time limit save the training and stop.

    Raises:
        AttritionError: the work cannot be done, also not by another worker.
    """
    session = _session(setup)
    if unknown := [key for key in unit.keys if key not in session.keys]:
        raise AttritionError(
            f"A worker does not have {counted(len(unknown), 'stage')} in its plan, such as {unknown[0]}: its corpus, encoder "
            "or version of attrition differs from the driver's. Use the same on all machines."
        )
    session.warnings.messages.clear()
    stopped, died = False, ""
    with session.requests, deterministic(session.deterministic), writing(Path(setup.folder)):
        session.pulse.begin(unit)
        try:
            for _ in session.worker.work(unit):
                pass
        except Stopped as error:
            stopped = True
            if isinstance(error, TimeUp) and not session.pulse.unit_read:
                died = f"The time limit of a worker ({setup.seconds:,.0f} s) was over before its first training step."
        finally:
            session.pulse.end()
    return Outcome(unit, tuple(session.warnings.messages), stopped and not died, died)
