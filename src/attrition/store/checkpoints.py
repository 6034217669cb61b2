"""Writes and reads checkpoints: the state of a population (learners that train side by side) between two steps.

    checkpoints/<population>-<number>/    state.safetensors, state.json

A checkpoint holds the whole population, because one matrix product serves all its learners and its rounding depends on which
learners it includes. To get the same bits as without an interruption, the same learners must train side by side. A learner
of the checkpoint whose stage is already stored therefore trains again until the step at which it left. Learners that wait
because memory ran out are saved too.

The previous checkpoint is removed after the new one is complete.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from attrition.encoder.vocabulary import Vocabulary
from attrition.store.stages import Checkpoint, DamagedError, Store, epochs_of
from attrition.study.keys import key_of
from attrition.study.plan import Job
from attrition.study.stop import StopRequests
from attrition.training.clock import Shares
from attrition.training.learner import LearnerState
from attrition.training.optimizer import Moments

FORMAT = 3
"""Version of the content of a checkpoint; other versions are not read."""

SHARE = 0.02
"""Largest share of the running time for periodic checkpoints."""

_PLAIN = ("name", "step", "epoch", "best_f1", "best_epoch", "diverged", "seconds", "turn", "pieces", "shortage")


def population_key(jobs: Sequence[str], vocabulary: Vocabulary, device: str, trains: Any) -> str:
    """Return the name of a population: a hash of its jobs in order, its vocabulary and its device.

    `device` is "cpu" or "cuda".
    """
    kept = vocabulary.kept.tolist() if trains.adapter is None else None
    return key_of({"population": list(jobs), "vocabulary": kept, "device": device})


def newest(store: Store, name: str) -> str | None:
    """Return the key of the newest intact checkpoint of the population `name`; None if there is none."""
    keys = (key for key in reversed(store.checkpoints()) if key.rpartition("-")[0] == name)
    return next((key for key in keys if store.problem("checkpoints", key) is None), None)


def of_stages(store: Store, keys: Collection[str]) -> tuple[str, ...]:
    """Return the keys of all checkpoints that stages with these keys are in."""
    found = []
    for key in store.checkpoints():
        with suppress(DamagedError):  # or a worker has removed it since
            if not set(keys).isdisjoint(store.about("checkpoints", key)["learners"]):
                found.append(key)
    return tuple(found)


def forget_finished(store: Store) -> None:
    """Remove checkpoints whose stages are all stored; a killed worker leaves them behind."""
    for key in store.checkpoints():
        whole = store.problem("checkpoints", key) is None
        if whole and all(store.has("stages", name) for name in store.about("checkpoints", key)["learners"]):
            store.discard("checkpoints", key)


class CheckpointKeeper:
    """Writes a checkpoint when one is due, and stops training on request."""

    def __init__(
        self,
        store: Store,
        population: Sequence[Job],
        key: str,
        seconds: float | None,
        shares: Shares,
        requests: StopRequests,
        *,
        number: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock for the first checkpoint.

        Args:
            store: where checkpoints go.
            population: all jobs that started together.
            key: the name of the population.
            seconds: between checkpoints; None writes none.
            shares: seconds spent; saved too.
            requests: whether to stop.
            number: of the checkpoint from which training resumes; 0 for a new training.
            now: the clock.
        """
        self._store, self._population, self._key, self._seconds = store, population, key, seconds
        self._shares, self._requests, self._number, self._now = shares, requests, number, now
        self._due = now() + (seconds or 0.0)

    def wants_state(self, *, leaving: bool) -> bool:
        """Return whether a checkpoint is due; see `attrition.training.train.Keeper`.

        One is due by the clock, when a stop was requested, and before the first learner leaves: a population that restarts
        without that learner gives other rounding.
        """
        if self._seconds is None:
            self._requests.check()
            return False
        return self._requests.asked or (leaving and self._number == 0) or self._now() >= self._due

    def keep(self, learners: Sequence[LearnerState]) -> None:
        """Write a checkpoint and remove the previous one; then raise if a stop was requested."""
        began, self._number = self._now(), self._number + 1
        about = {
            "population": [job.key for job in self._population],
            "learners": [learner.name for learner in learners],
            "steps": [learner.step for learner in learners],
        }
        tensors: dict[str, NDArray[Any]] = {}
        for row, learner in enumerate(learners):
            tensors |= {f"{row}.{name}": array for name, array in _arrays(learner).items()}
        described = [_details(learner) for learner in learners]
        details = {"format": FORMAT, "learners": described, "seconds": self._shares.so_far()}
        key = f"{self._key}-{self._number:06d}"
        self._store.save_checkpoint(key, about, tensors, details)
        for older in self._store.checkpoints():
            if older.startswith(self._key) and older < key:
                self._store.discard("checkpoints", older)
        assert self._seconds is not None
        now = self._now()
        self._due = now + max(self._seconds, (now - began) / SHARE)
        self._requests.check()

    def forget(self) -> None:
        """Remove the checkpoints of the population, after all its stages are stored."""
        for key in self._store.checkpoints():
            if key.startswith(self._key):
                self._store.discard("checkpoints", key)


def _details(learner: LearnerState) -> dict[str, Any]:
    plain = {name: getattr(learner, name) for name in _PLAIN}
    return {**plain, "history": [epoch._asdict() for epoch in learner.history]}


def _arrays(learner: LearnerState) -> dict[str, NDArray[Any]]:
    tensors = {"flat": learner.flat_P, "losses": learner.losses_N, "masks": learner.masks}
    if learner.best_P is not None:
        tensors["best"] = learner.best_P
    if learner.moments is not None:
        tensors |= {"first": learner.moments.first_P, "second": learner.moments.second_P}
    tensors |= {f"hook.{name}": tensor for name, tensor in learner.hooks.items()}
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def states_of(checkpoint: Checkpoint) -> tuple[LearnerState, ...]:
    """Return the states of the learners of a checkpoint."""
    return tuple(_state(checkpoint, row, details) for row, details in enumerate(checkpoint.details["learners"]))


def _state(checkpoint: Checkpoint, row: int, details: Mapping[str, Any]) -> LearnerState:
    tensors = {
        name.partition(".")[2]: torch.from_numpy(array)
        for name, array in checkpoint.tensors.items()
        if name.startswith(f"{row}.")
    }
    return LearnerState(
        name=details["name"],
        step=details["step"],
        epoch=details["epoch"],
        history=epochs_of(details["history"]),
        best_f1=float(details["best_f1"]),  # JSON holds NaN and infinity as strings
        best_epoch=details["best_epoch"],
        diverged=details["diverged"],
        seconds=details["seconds"],
        losses_N=tensors["losses"],
        masks=tensors["masks"],
        flat_P=tensors["flat"],
        best_P=tensors.get("best"),
        moments=Moments(tensors["first"], tensors["second"]) if "first" in tensors else None,
        turn=details["turn"],
        pieces=details["pieces"],
        shortage=details["shortage"],
        hooks={name.removeprefix("hook."): tensor for name, tensor in tensors.items() if name.startswith("hook.")},
    )


@dataclass(frozen=True)
class Resumable:
    """A usable checkpoint: all jobs of its population, the jobs still in training, and the steps each has made."""

    population: tuple[Job, ...]
    learners: tuple[Job, ...]
    steps: tuple[int, ...]


def find_resumable(
    store: Store,
    jobs: Mapping[str, Job],
    vocabulary: Vocabulary,
    device: str,
    most: int | None,
    warned: Callable[[str], None],
) -> list[Resumable]:
    """Return the newest usable checkpoint of every unfinished population; remove the others.

    A checkpoint of stages that are not in the study stays: it is used again when their settings return.

    Args:
        store: where the checkpoints are.
        jobs: all jobs of the study.
        vocabulary: of the study.
        device: "cpu" or "cuda".
        most: learners that may train side by side; None if the machine decides.
        warned: called for each checkpoint that is damaged or does not match the study.

    Raises:
        AttritionError: one was written by a newer version.
    """
    found: dict[str, Resumable] = {}
    damaged: dict[str, list[str]] = {}
    for key in reversed(store.checkpoints()):
        name = key.rpartition("-")[0]
        if name in found:
            store.discard("checkpoints", key)
        elif problem := store.problem("checkpoints", key):
            if not store.has("checkpoints", key):
                continue  # a job that outlived its driver is at work: it has written a newer one
            damaged.setdefault(name, []).append(problem)
            store.discard("checkpoints", key)
        elif not jobs.keys() >= set(store.about("checkpoints", key)["population"]):
            warned(
                f"The checkpoint {store.folder / 'checkpoints' / key} belongs to stages that are not in this study. It stays: "
                "with their settings, training resumes from it. You may delete it."
            )
        elif (resumable := _fitting(store, key, jobs, vocabulary, device, most, warned)) is not None:
            found[name] = resumable
        else:
            store.discard("checkpoints", key)
    for name, problems in damaged.items():
        start = "the checkpoint before it" if name in found else "the start of its stages"
        for problem in problems:
            warned(f"{problem} This checkpoint was removed; training resumes from {start}.")
    return list(found.values())


def _fitting(
    store: Store,
    key: str,
    jobs: Mapping[str, Job],
    vocabulary: Vocabulary,
    device: str,
    most: int | None,
    warned: Callable[[str], None],
) -> Resumable | None:
    about = store.about("checkpoints", key)
    names, population = about["learners"], about["population"]
    details = store.checkpoint_details(key)
    if all(store.has("stages", name) for name in names):
        return None  # interrupted between the last stage and the removal of the checkpoint
    reason = None
    if details.get("format", 1) != FORMAT:
        reason = "another version of attrition wrote it"
    elif population_key(population, vocabulary, device, jobs[population[0]].choice.method.trains) != key.rpartition("-")[0]:
        reason = "the languages or the device have changed"
    elif most is not None and (together := max(Counter(each["turn"] for each in details["learners"]).values())) > most:
        reason = f"it holds {together} learners side by side, more than machine.population"
    if reason is not None:
        warned(
            f"The checkpoint {store.folder / 'checkpoints' / key} cannot be used: {reason}. It was removed, and its "
            "stages are trained from the start."
        )
        return None
    steps = tuple(each["step"] for each in details["learners"])
    return Resumable(tuple(jobs[name] for name in population), tuple(jobs[name] for name in names), steps)
