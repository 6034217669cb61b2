"""A stored stage as a model that other programs load."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from attrition.encoder.pretrained import Pretrained
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.export.card import model_card
from attrition.export.formats import base_on_hub, export_model, token_classifier
from attrition.export.onnx import OnnxFile, require_onnx, write_onnx
from attrition.files import write_whole
from attrition.methods import Full, LoRA, Trains
from attrition.names import AttritionError, look_up, unknown
from attrition.store.restore import HOOK
from attrition.store.stages import KEPT, Store, StoredEvaluation
from attrition.training.model import build_model

_SENTENCE = "wake me up at nine am on friday and play the news"


def export_stage(results: Path, stage: str, folder: Path, *, name: str = "", onnx: bool = False) -> OnnxFile | None:
    """Write the model of a stage: a PEFT adapter for LoRA, a whole transformers checkpoint for full training; with its card.

    Args:
        results: a results folder.
        stage: a stage's key, or `<run>:<locale>` for the model of a run after it learned a locale.
        folder: made; must not exist, or be empty.
        name: of the model in its card, such as a repository's; by default that of the folder.
        onnx: write `model.onnx` too, and return what was measured of it.

    Raises:
        AttritionError: there is no such stage, its encoder is not here or has changed, `folder` is not empty, or ONNX cannot
            be written.
    """
    if onnx:
        require_onnx()
    store = Store(results)
    key = _find(store, stage)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AttritionError(f"{folder} exists already. Choose another folder for the model.")
    about = store.about("stages", key)
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in store.load_tensors(key).items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(HOOK)}
    if "problem" in about:
        raise AttritionError(
            f"The stage {key} learned {about['problem']!r}. Only models of slot filling can be exported, as token classifiers."
        )
    trains = _trains(about["trains"])
    try:
        pretrained = load_pretrained(about["model"]["name"])
    except AttritionError as error:
        # A run from a pack needs no encoder beside it; a model for others needs its tokeniser and its whole vocabulary.
        raise AttritionError(f"An export takes the encoder that the stage was trained from, whole. {error}") from error
    if pretrained.encoder_fingerprint != about["model"].get("encoder", about["model"]["fingerprint"]):
        raise AttritionError(f"The stage {key} was trained from another {pretrained.name!r} than the one that is here now.")
    # An adapter knows nothing of the vocabulary: one row of it will do.
    kept = tensors.pop(KEPT).numpy() if trains.adapter is None else np.zeros(1, np.int64)
    model = build_model(pretrained, Vocabulary(kept, pretrained.vocabulary_size), tuple(about["labels"]))
    flat_P = model.layout(trains).pack(tensors)
    decay, first = store.load_history(key).decay, labels_first(pretrained, model.labels)
    export_model(folder, model, trains, flat_P, decay=decay, first=first)
    file = None
    if onnx:
        module = token_classifier(model, trains, flat_P, decay=decay, first=first)
        file = write_onnx(folder / "model.onnx", module, pretrained.tokenizer.encode(_SENTENCE).ids)
    spec, step = _run_of(store, key)
    card = model_card(
        name or folder.name,
        spec=spec,
        step=step,
        evaluation=_evaluation(store, spec, step),
        base=base_on_hub(pretrained) or (str((folder / "base").absolute()) if trains.adapter else ""),
        adapter=trains.adapter is not None,
        num_labels=len(model.labels),
        notes=f"## ONNX\n\n{file.statement}" if file else "",
    )
    write_whole(folder / "README.md", str(card))
    return file


def _run_of(store: Store, key: str) -> tuple[dict[str, Any] | None, int]:
    """The spec.json of the first run that has this stage, and the number of its step; None without such a run."""
    for path in sorted((store.folder / "runs").glob("*/spec.json")):
        with suppress(ValueError, KeyError, TypeError):  # a damaged run is not needed
            spec = json.loads(path.read_text(encoding="utf-8"))
            for number, step in enumerate(spec["steps"]):
                if step["key"] == key:
                    return spec, number
    return None, 0


def _evaluation(store: Store, spec: dict[str, Any] | None, step: int) -> StoredEvaluation | None:
    key = spec["steps"][step]["evaluation"] if spec else ""
    return store.load_evaluation(key) if key and store.has("evaluations", key) else None


def labels_first(pretrained: Pretrained, labels: Sequence[str]) -> tuple[str, ...]:
    """Return the classes of a checkpoint's own classifier in its order, if a study has them all; else nothing."""
    own = () if pretrained.head is None else pretrained.head.labels
    return own if set(own) <= set(labels) else ()


def _find(store: Store, stage: str) -> str:
    """The key of a stage named in either way."""
    keys = store.keys("stages")
    if not keys:
        raise AttritionError(f"{store.folder} has no stages. Give the folder that `attrition run` wrote.")
    if stage in keys:
        return stage
    run, colon, language = stage.rpartition(":")
    if not colon:
        raise AttritionError(f"There is no stage {stage!r} in {store.folder}. Write <run>:<locale>, or a stage's key.")
    runs = {path.parent.name: path for path in (store.folder / "runs").glob("*/spec.json")}
    path = look_up(run, runs, kind="run")
    try:
        steps = json.loads(path.read_text(encoding="utf-8"))["steps"]
        key_of = {each: str(found["key"]) for found in steps for each in found.get("languages", ())}
        merged = any("inputs" in found for found in steps)
    except (ValueError, KeyError, TypeError) as error:
        raise AttritionError(f"{path} is damaged. The same `attrition run` writes it again.") from error
    if language not in key_of:
        raise unknown(language, key_of, kind="language", where=run)
    if merged:
        raise AttritionError(
            f"{run} serves its languages by merged models, which cannot be exported yet. The adapter of {language} alone is "
            f"the stage {key_of[language]}: give this key instead."
        )
    return key_of[language]


def _trains(about: dict[str, Any]) -> Trains:
    given = {name: value for name, value in about.items() if name != "kind"}
    return LoRA(**{**given, "targets": tuple(given["targets"])}) if about["kind"] == "lora" else Full()
