"""Checkpoints: a population in training as it is between two steps, so that an interruption costs little.

    checkpoints/<population>-<number>/    state.safetensors, state.json

A checkpoint belongs to a whole population and not to a learner, although a learner's streams and batches are its own: one
matrix product over several learners is rounded otherwise than one over others. Only the same learners side by side give the
same bits as an uninterrupted training. So a population also goes on with a member whose stage is stored already, if it was in
the checkpoint, until the step at which that member left. Where memory ran out and some of its members wait, that is kept too.

A new checkpoint is whole before the one before it is removed.
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
"""Of what is in a checkpoint: 1 had moments for each group of parameters, and learners whose epochs ended one by one."""

SHARE = 0.02
"""Of the time of a run, checkpoints that are only due to the clock take this much at most."""

_PLAIN = ("name", "step", "epoch", "best_f1", "best_epoch", "diverged", "seconds", "turn", "pieces", "shortage")


def population_key(jobs: Sequence[str], vocabulary: Vocabulary, device: str, trains: Any) -> str:
    """The name of a population: its jobs in their order, and what else its tensors and streams are shaped by.

    `device` is a kind of device: "cpu" or "cuda".
    """
    kept = vocabulary.kept.tolist() if trains.adapter is None else None
    return key_of({"population": list(jobs), "vocabulary": kept, "device": device})


def newest(store: Store, name: str) -> str | None:
    """Return the key of the newest whole checkpoint of a population, by the population's name; None if there is none."""
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
    """Remove the checkpoints of which all stages are stored: a worker was killed before it could."""
    for key in store.checkpoints():
        whole = store.problem("checkpoints", key) is None
        if whole and all(store.has("stages", name) for name in store.about("checkpoints", key)["learners"]):
            store.discard("checkpoints", key)


class CheckpointKeeper:
    """Keeps a population when it is due, and ends its training when a stop was asked for."""

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
        """A keeper for a training that begins now.

        Args:
            store: where to.
            population: all jobs that began together.
            key: the name of the population.
            seconds: between checkpoints; None for none.
            shares: seconds spent, which are kept too.
            requests: whether to stop.
            number: of the checkpoint with which the training goes on; 0 if it begins.
            now: the clock.
        """
        self._store, self._population, self._key, self._seconds = store, population, key, seconds
        self._shares, self._requests, self._number, self._now = shares, requests, number, now
        self._due = now() + (seconds or 0.0)

    def wants_state(self, *, leaving: bool) -> bool:
        """Whether a checkpoint is due; see `attrition.training.train.Keeper`.

        One is due when the clock says so or a stop was asked for; and before the first learner leaves others behind, since a
        population that began again without it would round otherwise.
        """
        if self._seconds is None:
            self._requests.check()
            return False
        return self._requests.asked or (leaving and self._number == 0) or self._now() >= self._due

    def keep(self, learners: Sequence[LearnerState]) -> None:
        """Write a checkpoint, and remove the one before it; then stop, if that was asked for."""
        began, self._number = self._now(), self._number + 1
        about = {"population": [job.key for job in self._population], "learners": [learner.name for learner in learners]}
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
        """Remove what was kept: all stages of the population are stored."""
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
    """The learners of a checkpoint, where they stood."""
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
        best_f1=float(details["best_f1"]),  # JSON has but a word for what is no number
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
    """A checkpoint that fits: all jobs of its population, and those still in it with the steps they have made."""

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
    """The newest whole checkpoint of every population that is still to be trained; all others are removed.

    Args:
        store: where they lie.
        jobs: all of the study.
        vocabulary: of the study.
        device: the kind that trains.
        most: how many learners may train side by side; None where the machine decides.
        warned: told of each that is damaged, or that does not fit the study as it is now.

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
        elif (resumable := _fitting(store, key, jobs, vocabulary, device, most, warned)) is not None:
            found[name] = resumable
        else:
            store.discard("checkpoints", key)
    for name, problems in damaged.items():
        goes_on = "the checkpoint before it" if name in found else "the beginning of the stages that it was of"
        for problem in problems:
            warned(f"{problem} This checkpoint was removed; training goes on from {goes_on}.")
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
    names, members = about["learners"], about["population"]
    details = store.checkpoint_details(key)
    if all(store.has("stages", name) for name in names):
        return None  # interrupted between the last stage and the removal of the checkpoint
    reason = None
    if details.get("format", 1) != FORMAT:
        reason = "another version of attrition wrote it, in another form"
    elif not all(name in jobs for name in members):
        reason = "its stages are not all of this study as it is now"
    elif population_key(members, vocabulary, device, jobs[members[0]].choice.method.trains) != key.rpartition("-")[0]:
        reason = "languages or device have changed since"
    elif most is not None and (together := max(Counter(each["turn"] for each in details["learners"]).values())) > most:
        reason = f"it is of {together} learners side by side, and machine.population is less now"
    if reason is not None:
        warned(
            f"The checkpoint {store.folder / 'checkpoints' / key} does not fit: {reason}. It was removed, and what it was of "
            "is trained from the beginning of the stage."
        )
        return None
    steps = tuple(each["step"] for each in details["learners"])
    return Resumable(tuple(jobs[name] for name in members), tuple(jobs[name] for name in names), steps)
