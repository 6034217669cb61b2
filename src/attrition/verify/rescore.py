"""Some stages of a results folder scored again from their weights on the study's own test utterances."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attrition.corpus.cache import cache_folder
from attrition.engine.environment import deterministic, environment
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared, prepare
from attrition.problem.counts import Counts
from attrition.store.evaluations import together_of
from attrition.store.folder import read_results_study
from attrition.store.restore import made_model
from attrition.store.stages import Store
from attrition.streams import numpy_stream
from attrition.study.keys import evaluation_key
from attrition.study.plan import Job
from attrition.study.watcher import Watcher
from attrition.training.predict import evaluate_each


@dataclass(frozen=True)
class Rescored:
    """A stage that was scored again; `differences` name the languages whose counts came out otherwise."""

    job: Job
    evaluation: str
    differences: tuple[str, ...]


class CannotRescoreError(AttritionError):
    """Why no stage can be scored again here."""


def rescore(
    store: Store,
    sample: int,
    seed: int,
    watcher: Watcher,
    pack: Path | None = None,
    when_prepared: Callable[[Prepared], None] | None = None,
) -> Iterator[tuple[Rescored, str | None]]:
    """Score up to `sample` stages again, drawn by `seed`; each comes with a note where it was made by other software.

    Args:
        store: of the results folder; only read.
        sample: how many stages at most.
        seed: of the draw.
        watcher: told how far reading and encoding are.
        pack: where the study was packed, if corpus and encoder are to come from there.
        when_prepared: called with the study once it is made ready, before any stage is scored.

    Raises:
        CannotRescoreError: the corpus, the encoder or the device that the results were made with are not at hand.
    """
    recorded = _recorded(store.folder)
    prepared = _prepared(store.folder, str(recorded.get("device", "cpu")), watcher, pack)
    if when_prepared is not None:
        when_prepared(prepared)
    candidates = _candidates(store, prepared)
    if not candidates:
        raise CannotRescoreError(_why_none(store, prepared))
    chosen = numpy_stream("verify", seed).permutation(len(candidates))[:sample]
    for index in sorted(chosen.tolist()):
        job, evaluation = candidates[index]
        watcher.scoring(job.label)
        made_with = store.about("evaluations", evaluation).get("made_with") or recorded
        with _threads(made_with.get("threads")), deterministic(bool(made_with.get("deterministic"))):
            here = environment(prepared.device)
            trains, flat = made_model(store, prepared.model, job)
            weights = prepared.model.weights(trains, flat.to(prepared.device))
            sets, counts = prepared.scored_on.sets, dict[str, Counts]()
            for together in together_of(store.about("evaluations", evaluation)):
                counts |= evaluate_each(prepared.model, weights, {language: sets[language] for language in together})
        stored = store.load_evaluation(evaluation).counts
        differing = tuple(what for language in stored if (what := _difference(language, stored[language], counts[language])))
        yield Rescored(job, evaluation, differing), _other_software(made_with, here)


def _recorded(folder: Path) -> Mapping[str, Any]:
    """What the folder says of the machine that its numbers come from."""
    try:
        recorded = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _prepared(folder: Path, device: str, watcher: Watcher, pack: Path | None) -> Prepared:
    """The study of a results folder made ready again, on the kind of device that its counts come from."""
    there = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if device not in ("cpu", there):
        raise CannotRescoreError(f"the counts were made on {device}, which is not here, and another device rounds otherwise")
    try:
        study = read_results_study(folder)
        machine = dataclasses.replace(study.machine, device="cpu" if device == "cpu" else "cuda")
        return prepare(dataclasses.replace(study, machine=machine), watcher, cache_folder(), pack)
    except (AttritionError, OSError) as error:
        raise CannotRescoreError(f"the study cannot be made ready here: {error}") from error


def _candidates(store: Store, prepared: Prepared) -> list[tuple[Job, str]]:
    """The stages of this study whose weights and counts are there and whole."""
    found = []
    for key, job in sorted(prepared.plan.jobs.items()):
        evaluation = evaluation_key(job.key, prepared.scored_on.of(job))
        there = store.has("stages", key) and store.has("evaluations", evaluation)
        if there and not store.problem("stages", key) and not store.problem("evaluations", evaluation):
            scored_on = prepared.scored_on
            together = together_of(store.about("evaluations", evaluation))
            if all(each.items() <= scored_on.keys.items() for each in together):
                found.append((job, evaluation))
    return found


def _why_none(store: Store, prepared: Prepared) -> str:
    keys = [key for key in store.keys("stages") if not store.problem("stages", key)]
    if not keys:
        return "there is no stage whose weights are whole"
    if all(store.about("stages", key)["model"]["fingerprint"] != prepared.pretrained.fingerprint for key in keys):
        return f"the encoder {prepared.pretrained.name!r} that is here is not the one that these stages were trained from"
    if not any(store.has("stages", key) for key in prepared.plan.jobs):
        return "the utterances or settings that are here are not those that these stages were trained with"
    return "no stage of this study has counts on the test utterances that are here"


def _difference(language: str, stored: Counts, again: Counts) -> str | None:
    pairs = [(getattr(stored, name), getattr(again, name)) for name in ("tp", "fp", "fn", "by_slot")]
    if stored.errors is not None:
        pairs.append((stored.errors, again.errors))
    if all(np.array_equal(left, right) for left, right in pairs):
        return None
    if len(stored.tp) != len(again.tp):
        return f"{language}: {len(again.tp)} utterances, {len(stored.tp)} are stored"
    differing = int(np.any([left != right for left, right in pairs[:3]], axis=0).sum())
    return f"{language}: F1 {again.f1!r}, {stored.f1!r} is stored ({differing} of {len(stored.tp)} utterances differ)"


def _other_software(made_with: Mapping[str, Any], here: Mapping[str, Any]) -> str | None:
    """What differs between there and here that may change rounding, or None."""
    there, now = ({**each.get("versions", {}), **each, "versions": None} for each in (made_with, here))
    differing = [f"{name} {there[name]} (here {now[name]})" for name in now if name in there and there[name] != now[name]]
    return f"made with {', '.join(differing)}" if differing else None


@contextmanager
def _threads(number: object) -> Iterator[None]:
    """So many threads for CPU work as when the counts were made: with others, sums may be rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(number if isinstance(number, int) and number > 0 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
