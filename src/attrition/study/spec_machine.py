"""The settings of a study that say where and how the work is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from attrition.names import AttritionError

MOST_THREADS = 1024
SHORTEST_WALLTIME = 5
"""Minutes: of fewer, hardly any would be left for training."""

ExecutorName = Literal["local", "processes", "auto", "ray", "slurm"]


@dataclass(frozen=True, kw_only=True)
class RaySettings:
    """How Ray trains: `address` is the cluster ("auto" for the one that this machine belongs to; by default one is started
    here for the time of the study). A stage takes so many `cpus` and `gpus`; it goes to another node at most `retries` times
    when a node is lost, and -1 is for ever.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or self.retries < -1:
            raise AttritionError("machine.ray: cpus and gpus are numbers of at least 0, retries a whole number of at least -1.")


@dataclass(frozen=True, kw_only=True)
class SlurmSettings:
    """What SLURM jobs ask for: `walltime` in minutes; `partition` and `account` by name, or the cluster's own defaults; `gpus`,
    `cpus` and `memory_gb` of a job. `options` are further options of `sbatch` without the dashes, as {constraint = "a100"}.
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
    """How the work is done; nothing here decides a number beyond rounding.

    `device` is "auto", "cpu" or "cuda"; `threads` is that of CPU work (all cores by default); `population` is how many
    learners at most train side by side; "auto" is one at a time on a CPU, and on a GPU as many as its free memory holds. With
    `deterministic` torch takes only algorithms that give the same bits every time, and stops where it has none: slower on a
    GPU, where sums are otherwise added up in whatever sequence threads finish; on a CPU the bits are the same without it.
    `compile` has torch compile the encoder's layers for training, which takes a C++ compiler and a minute or more at the first
    step, and rounds otherwise in the last digits. It is meant for GPUs: on a CPU training becomes slower.
    `checkpoint_seconds` is how much work an interruption may cost at most: so often the training under way is written to disk
    (but never for more than a fiftieth of the time); "none" for not at all.

    `executor` is where stages are trained: "local", in this process; "processes", in several on this machine; "auto", in
    several where the plan can use them, else in this one; "ray" or "slurm", on a cluster. `workers` is how many stages are
    trained at a time: "auto" is as many as this machine's cores and memory allow, or as the cluster takes. Each of several
    processes has `threads` threads, or its share of the cores.

    `tracker` is an experiment tracker that is told of finished stages and runs: "wandb" or "trackio".
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
