"""The settings of a study for device, memory, executor and cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from attrition.names import AttritionError

MOST_THREADS = 1024
SHORTEST_WALLTIME = 5
"""In minutes. A job needs several minutes to start."""

ExecutorName = Literal["local", "processes", "auto", "ray", "slurm"]


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """Settings of the executor "ray".

    `address` is the cluster; "auto" is this machine's cluster. By default a local cluster runs during the study. `cpus` and
    `gpus` are for one stage. `retries` limits how often a stage restarts after its node is lost; -1: no limit.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or self.retries < -1:
            raise AttritionError("machine.ray: give cpus and gpus of at least 0, and a whole number of retries of at least -1.")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """Settings of the executor "slurm".

    `walltime` is in minutes. `partition` and `account` default to the cluster's defaults. `gpus`, `cpus` and `memory_gb` are
    for one job. `options` are further options of `sbatch` without dashes, such as {constraint = "a100"}.
    """

    walltime: int = 240
    partition: str | None = None
    account: str | None = None
    gpus: int = 0
    cpus: int = 1
    memory_gb: float | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.walltime < SHORTEST_WALLTIME:
            raise AttritionError(
                f"machine.slurm.walltime = {self.walltime} is not allowed: give at least {SHORTEST_WALLTIME} minutes."
            )
        if self.gpus < 0 or self.cpus < 1:
            raise AttritionError("machine.slurm: give at least 1 cpus, and 0 or more gpus.")


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """Settings of the machine. They change results only by rounding.

    Attributes:
        device: "auto", "cpu" or "cuda".
        threads: CPU threads of a process; by default all cores, or the process's share of them.
        population: largest number of learners that train side by side. "auto": 1 on a CPU, as many as fit in memory on a GPU.
        deterministic: True to use only deterministic algorithms of torch, and to stop if there is none. Slower on a GPU; a
            CPU is deterministic without it.
        compile: True to compile the encoder's layers. It needs a C++ compiler, takes a minute or more at the first step, and
            changes the last digits. Use it on GPUs only: CPU training becomes slower.
        checkpoint_seconds: seconds between checkpoints; writing them takes at most 2% of the time. "none" writes none.
        executor: trains the stages: "local" in this process, "processes" in several on this machine, "auto" one of these two,
            "ray" or "slurm" on a cluster.
        workers: stages trained at a time. "auto": as many as cores and memory allow, or as the cluster takes.
        tracker: experiment tracker that receives finished stages and runs: "wandb" or "trackio".
    """

    device: str = "auto"
    threads: int | None = None
    population: int | Literal["auto"] = "auto"
    deterministic: bool = False
    compile: bool = False
    checkpoint_seconds: float | Literal["none"] = 60.0
    executor: ExecutorName = "local"
    workers: int | Literal["auto"] = "auto"
    tracker: Literal["none", "wandb", "trackio"] = "none"
    ray: RaySettings = field(default_factory=RaySettings)
    slurm: SlurmSettings = field(default_factory=SlurmSettings)

    def __post_init__(self) -> None:
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise AttritionError(f"machine.threads = {self.threads} is not allowed: give a number from 1 to {MOST_THREADS}.")
        if self.population != "auto" and self.population < 1:
            given = f"machine.population = {self.population}"
            raise AttritionError(f'{given} is not allowed: give a whole number of at least 1, or "auto".')
        if self.workers != "auto" and self.workers < 1:
            given = f"machine.workers = {self.workers}"
            raise AttritionError(f'{given} is not allowed: give a whole number of at least 1, or "auto".')
        if self.checkpoint_seconds != "none" and self.checkpoint_seconds < 0:
            given = f"machine.checkpoint_seconds = {self.checkpoint_seconds:g}"
            raise AttritionError(f'{given} is not allowed: give a number of at least 0, or "none".')
