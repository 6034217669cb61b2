"""Exports a stored stage as a model for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attrition.encoder.pretrained import Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.export.card import model_card
from attrition.export.formats import base_on_hub, export_model, token_classifier
from attrition.export.onnx import OnnxFile, require_onnx, write_onnx
from attrition.files import refuse_full, write_whole
from attrition.languages.portions import language_of_portion
from attrition.methods import Full, LoRA, Trains
from attrition.methods.merging import MERGING, Merging
from attrition.names import AttritionError, look_up, nearest, unknown
from attrition.store.restore import restored
from attrition.store.stages import KEPT, Store, StoredEvaluation
from attrition.study.keys import slug
from attrition.training.merged import merge, merged_adapter
from attrition.training.model import Model, build_model

_SENTENCE = "wake me up at nine am on friday and play the news"


@dataclass(frozen=True)
class _Chosen:
    """The model to export: its stored stages, how they are merged (None for a single stage), and its run and step if a
    finished run has it."""

    keys: tuple[str, ...]
    how: Merging | None = None
    languages: tuple[str, ...] = ()
    spec: dict[str, Any] | None = None
    step: int = 0


def export_stage(results: Path, stage: str, folder: Path, *, name: str = "", onnx: bool = False) -> OnnxFile | None:
    """Write the model of a stage, with its card: a PEFT adapter for LoRA, a full transformers checkpoint otherwise.

    A run that merges its learners exports the merged model. A weighted mean of adapters becomes one adapter, whose rank is the
    sum of their ranks, if this is below the encoder's width. Any other merge becomes a full checkpoint.

    Args:
        results: a results folder.
        stage: a stage's key, or `<run>:<locale>` for the model of a run after it learned a locale.
        folder: a new or empty folder.
        name: the model's name in its card, such as a repository; by default the folder's name.
        onnx: True to write `model.onnx` too, and return its measurements.

    Raises:
        AttritionError: there is no such stage, its encoder is missing or has changed, `folder` is not empty, or the ONNX export
            failed.
    """
    if onnx:
        require_onnx()
    store = Store(results)
    chosen = _find(store, stage)
    refuse_full(folder, "model")
    about = store.about("stages", chosen.keys[0])
    if "problem" in about:
        raise AttritionError(
            f"The stage {chosen.keys[0]} learned {about['problem']!r}. Only models of slot filling can be exported, as token "
            "classifiers."
        )
    trains = _trains(about["trains"])
    try:
        pretrained = load_pretrained(about["model"]["name"])
    except AttritionError as error:
        # A run from a pack works without the encoder; an export needs the encoder's tokeniser and whole vocabulary.
        raise AttritionError(f"An export needs the complete encoder of the stage. {error}") from error
    if pretrained.encoder_fingerprint != about["model"].get("encoder", about["model"]["fingerprint"]):
        raise AttritionError(
            f"The stage {chosen.keys[0]} was trained from {pretrained.name!r}, which has changed since. Restore that version."
        )
    # An adapter does not depend on the vocabulary: one row is enough.
    kept = [store.load_tensors(key)[KEPT] for key in chosen.keys] if trains.adapter is None else [np.zeros(1, np.int64)]
    vocabulary = Vocabulary(np.unique(np.concatenate(kept)), pretrained.vocabulary_size)
    model = build_model(pretrained, vocabulary, tuple(about["labels"]))
    trains, flat_P, decay = _model_of(store, chosen, model, trains)
    first = labels_first(pretrained, model.labels)
    export_model(folder, model, trains, flat_P, decay=decay, first=first)
    file = None
    if onnx:
        module = token_classifier(model, trains, flat_P, decay=decay, first=first)
        file = write_onnx(folder / "model.onnx", module, pretrained.tokenizer.encode(_SENTENCE).ids)
    card = model_card(
        name or folder.name,
        spec=chosen.spec,
        step=chosen.step,
        evaluation=_evaluation(store, chosen.spec, chosen.step),
        base=base_on_hub(pretrained) or (str((folder / "base").absolute()) if trains.adapter else ""),
        adapter=trains.adapter is not None,
        num_labels=len(model.labels),
        notes=f"## ONNX\n\n{file.statement}" if file else "",
    )
    write_whole(folder / "README.md", str(card))
    return file


def _model_of(store: Store, chosen: _Chosen, model: Model, trains: Trains) -> tuple[Trains, Tensor, float]:
    """Return the trained part of the exported model, its parameters [P], and the decay of the other word embeddings."""
    flats = [restored(store, model, trains, key) for key in chosen.keys]
    decays = [store.load_history(key).decay for key in chosen.keys]
    if chosen.how is None:
        return trains, flats[0], decays[0]
    if trains.adapter is not None:
        adapter = merged_adapter(model, trains.adapter, flats, chosen.languages, chosen.how)
        if adapter is not None:
            return *adapter, 1.0
    # A row without gradient is the base's row times its decay: merge these factors as single numbers.
    merged_decay = 1 + float(chosen.how.merge([torch.tensor([decay - 1]) for decay in decays], chosen.languages))
    return Full(), merge(model, trains, flats, chosen.languages, chosen.how), merged_decay


def _evaluation(store: Store, spec: dict[str, Any] | None, step: int) -> StoredEvaluation | None:
    key = spec["steps"][step]["evaluation"] if spec else ""
    return store.load_evaluation(key) if key and store.has("evaluations", key) else None


def labels_first(pretrained: Pretrained, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of a checkpoint's own classifier in its order, if the study has all of them; else ()."""
    own = () if pretrained.head is None else pretrained.head.labels
    return own if set(own) <= set(labels) else ()


def _find(store: Store, stage: str) -> _Chosen:
    """Return the model for a stage's key, or for `<run>:<locale>`."""
    keys = store.keys("stages")
    if not keys:
        raise AttritionError(f"{store.folder} has no stages. Give the folder that `attrition run` wrote.")
    runs = {path.parent.name: path for path in sorted((store.folder / "runs").glob("*/spec.json"))}
    run, colon, language = stage.rpartition(":")
    if colon:
        path = look_up(run, runs, kind="run")
        try:
            spec = json.loads(path.read_text(encoding="utf-8"))
            known = (*spec["languages"], *spec.get("watch", ()))
            served = {each: row["reads"][language_of_portion(each, known)] for row in spec["rows"] for each in row["trained"]}
            if language in served:
                return _step_of(spec, served[language])
        except (IndexError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, AttritionError):
                raise
            raise AttritionError(f"{path} is damaged. The same `attrition run` writes it again.") from error
        raise unknown(language, served, kind="language", where=run)
    for path in runs.values():
        with suppress(ValueError, KeyError, TypeError):  # a damaged run is not needed
            spec = json.loads(path.read_text(encoding="utf-8"))
            for number, step in enumerate(spec["steps"]):
                if step["key"] == stage:
                    return _step_of(spec, number)
    if stage in runs:
        raise AttritionError(f"{stage!r} names a run. Say after which language: {stage}:<locale>.")
    if stage not in keys:
        guess = next((run for run in runs if run.startswith(slug(stage) + "-")), None) or nearest(stage, runs)
        example = f", for example {guess}:<locale>" if guess else ""
        raise AttritionError(f"There is no stage {stage!r} in {store.folder}. Write <run>:<locale>{example}, or a stage's key.")
    return _Chosen((stage,))


def _step_of(spec: dict[str, Any], number: int) -> _Chosen:
    steps = spec["steps"]
    step = steps[number]
    if "inputs" not in step:
        return _Chosen((str(step["key"]),), spec=spec, step=number)
    inputs = [steps[each] for each in step["inputs"]]
    settings = {name: value for name, value in step["how"].items() if name != "name"}
    how = look_up(step["how"]["name"], MERGING, kind="way to merge that can be exported")(**settings)
    return _Chosen(
        tuple(each["key"] for each in inputs),
        how,
        tuple(language_of_portion(each["languages"][0], spec["languages"]) for each in inputs),
        spec,
        number,
    )


def _trains(about: dict[str, Any]) -> Trains:
    given = {name: value for name, value in about.items() if name != "kind"}
    return LoRA(**{**given, "targets": tuple(given["targets"])}) if about["kind"] == "lora" else Full()
