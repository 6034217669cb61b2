"""Chooses the executor of a study's `machine.executor` and its number of workers."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from attrition.engine.estimate import memory_bytes, parameter_bytes
from attrition.engine.executors import Executor
from attrition.engine.executors.local import Local
from attrition.engine.executors.remote import Setup
from attrition.names import AttritionError, counted
from attrition.prepare.prepare import Prepared, num_threads
from attrition.study.spec import Study

PROGRAM_BYTES = 800_000_000
"""Memory of a worker process without parameters (measured; see docs/scale.md)."""

MANY = 1000
"""Default number of units submitted to a cluster at a time; its scheduler queues them."""


@dataclass(frozen=True)
class Choice:
    """An executor's name, its workers and the threads of each; None for one per core."""

    name: Literal["local", "processes", "ray", "slurm"]
    workers: int
    threads: int | None


def choose(prepared: Prepared) -> Choice:
    """Return the executor of a study, for the free memory and cores at this time.

    "auto" chooses processes on a CPU if at least two stages can be trained at a time: two learners with a thread each are
    faster than one with two threads. A GPU has one worker, because a population uses all of its memory.

    Raises:
        AttritionError: the study's number of workers does not fit into memory.
    """
    machine = prepared.study.machine
    if machine.executor in ("ray", "slurm"):
        return Choice(machine.executor, MANY if machine.workers == "auto" else machine.workers, machine.threads)
    cores, name = num_threads(None), machine.executor
    on_gpu = prepared.device.type == "cuda"
    most = torch.cuda.device_count() if on_gpu else max(1, cores // (machine.threads or 1))
    workers = min(most, chains(prepared)) if machine.workers == "auto" else machine.workers
    if name != "local" and not on_gpu:
        fit = workers_that_fit(prepared)
        if machine.workers != "auto" and workers > fit:
            raise AttritionError(
                f"machine.workers = {workers}, but there is memory for {fit}. Lower it, or remove it to use as many as fit."
            )
        workers = max(1, min(workers, fit))
    if name == "auto":
        name = "processes" if workers > 1 else "local"
    if name == "local":
        return Choice("local", 1, machine.threads)
    return Choice("processes", workers, machine.threads or max(1, cores // workers))


def chains(prepared: Prepared) -> int:
    """Return the largest number of stages that can be trained at a time: none of them depends on another."""
    jobs = prepared.plan.jobs.values()
    parents = {job.parent for job in jobs}
    return sum(job.key not in parents for job in jobs)


def workers_that_fit(prepared: Prepared) -> int:
    """Return the number of workers that fit into memory beside the driver; they share the encoder."""
    base = sum(tensor.numel() * tensor.element_size() for tensor in prepared.model.base.values())
    each = PROGRAM_BYTES + parameter_bytes(prepared) - base
    free = available_bytes()
    return 1_000_000 if free is None else max(0, (free - base) // each)


def available_bytes() -> int | None:
    """Return the free memory of this machine in bytes; None if it is unknown."""
    path = Path("/proc/meminfo")
    if path.is_file():
        lines = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").splitlines() if ":" in line)
        if "MemAvailable" in lines:
            return int(lines["MemAvailable"].split()[0]) * 1024
    return memory_bytes(torch.device("cpu"))


def executor_of(prepared: Prepared, local: Local, folder: Path, pack: Path | None) -> Executor:
    """Return the executor of a study; `local` is the executor in this process."""
    chosen, machine = choose(prepared), prepared.study.machine
    if chosen.name == "local":
        return local
    setup = Setup(
        folder=str(folder.absolute()),
        executor=chosen.name,
        device=machine.device if chosen.name == "processes" else _cluster_device(prepared.study),
        threads=chosen.threads,
        pack=None if pack is None else str(pack.absolute()),
    )
    if chosen.name == "processes":
        from attrition.engine.executors.processes import Processes

        return Processes(prepared, setup, chosen.workers)
    if chosen.name == "ray":
        from attrition.engine.executors.ray import Ray

        return Ray(machine.ray, setup, chosen.workers)
    from attrition.engine.executors.slurm import Slurm

    return Slurm(machine.slurm, setup, chosen.workers)


def _cluster_device(study: Study) -> str:
    """Return the device of a cluster's workers, which may differ from the driver's device."""
    machine = study.machine
    gpus = machine.ray.gpus if machine.executor == "ray" else machine.slurm.gpus
    return "cuda" if gpus else "cpu"


def refuse_unfit(study: Study) -> None:
    """Refuse, before anything is prepared, an executor that cannot be used.

    Raises:
        AttritionError: its package is missing, or a setting depends on the machine that trains.
    """
    name, package = study.machine.executor, {"ray": "ray", "slurm": "submitit"}.get(study.machine.executor)
    if package is None:
        return
    if importlib.util.find_spec(package) is None:
        raise AttritionError(f'machine.executor = "{name}" needs an extra: pip install "attrition[{name}]"')
    if study.model.precision == "auto":
        raise AttritionError(
            f'machine.executor = "{name}": other machines train, so model.precision = "auto" is not possible. '
            'Set it to "float32" or "bfloat16".'
        )


def said_of(prepared: Prepared) -> str:
    """Return a sentence that says where stages are trained; "" for this process."""
    chosen = choose(prepared)
    if chosen.name == "local":
        return ""
    if chosen.name == "processes":
        processes = "1 process" if chosen.workers == 1 else f"{chosen.workers} processes"
        each, named = counted(chosen.threads or 0, "thread"), prepared.study.machine.executor
        return f'Stages train in {processes} with {each} each (machine.executor = "{named}").'
    return f'Stages train elsewhere, up to {chosen.workers:,} at a time (machine.executor = "{chosen.name}").'
