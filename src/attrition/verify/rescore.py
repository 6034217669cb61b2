"""Scores stages of a results folder again from their weights, on the study's test utterances."""

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
    """A stage that was scored again; `differences` describes the languages whose counts differ."""

    job: Job
    evaluation: str
    differences: tuple[str, ...]


class CannotRescoreError(AttritionError):
    """Raised when no stage can be scored again here; the message says why."""


def rescore(
    store: Store,
    sample: int,
    seed: int,
    watcher: Watcher,
    pack: Path | None = None,
    when_prepared: Callable[[Prepared], None] | None = None,
) -> Iterator[tuple[Rescored, str | None]]:
    """Score up to `sample` random stages again; yield each with a note if other software made it.

    Args:
        store: of the results folder.
        sample: largest number of stages.
        seed: of the draw.
        watcher: receives progress.
        pack: a pack of the study, if corpus and encoder should come from it.
        when_prepared: called with the prepared study, before any stage is scored.

    Raises:
        CannotRescoreError: the corpus, the encoder or the device of the results is not available.
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
    """Return the recorded environment of a results folder."""
    try:
        recorded = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _prepared(folder: Path, device: str, watcher: Watcher, pack: Path | None) -> Prepared:
    """Return the prepared study of a results folder, on the kind of device that made its counts."""
    there = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    if device not in ("cpu", there):
        raise CannotRescoreError(f"the counts were made on {device}, which is not here; another device gives other rounding")
    try:
        study = read_results_study(folder)
        machine = dataclasses.replace(study.machine, device="cpu" if device == "cpu" else "cuda")
        return prepare(dataclasses.replace(study, machine=machine), watcher, cache_folder(), pack)
    except (AttritionError, OSError) as error:
        raise CannotRescoreError(f"the study cannot be prepared here: {error}") from error


def _candidates(store: Store, prepared: Prepared) -> list[tuple[Job, str]]:
    """Return the stages of this study with intact weights and counts."""
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
        return "no stage has intact weights"
    if all(store.about("stages", key)["model"]["fingerprint"] != prepared.pretrained.fingerprint for key in keys):
        return f"the encoder {prepared.pretrained.name!r} here is not the one that these stages were trained from"
    if not any(store.has("stages", key) for key in prepared.plan.jobs):
        return "the utterances or settings here are not those that these stages were trained with"
    return "no stage of this study has counts on the test utterances here"


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
    """Return the differences in software or machine that may change rounding, or None."""
    there, now = ({**each.get("versions", {}), **each, "versions": None} for each in (made_with, here))
    differing = [f"{name} {there[name]} (here {now[name]})" for name in now if name in there and there[name] != now[name]]
    return f"made with {', '.join(differing)}" if differing else None


@contextmanager
def _threads(number: object) -> Iterator[None]:
    """Context manager: use the number of CPU threads that made the counts, because it affects rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(number if isinstance(number, int) and number > 0 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
