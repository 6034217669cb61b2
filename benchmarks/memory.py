"""Peak memory of full fine-tuning: each side in a process of its own, which measures itself.

`python -m benchmarks.memory SIDE FOLDER` is what `benchmarks.cpu` starts; FOLDER holds what `write_job` wrote. Nothing is
subtracted: interpreter and libraries count on both sides. Theirs reads a checkpoint with `from_pretrained`, as users do.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attrition.corpus.encoded import Encoded
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import Vocabulary
from attrition.methods import Full
from attrition.training.model import build_model
from attrition.training.settings import TrainingSettings
from benchmarks import common, ours
from benchmarks.workload import Workload

SIDES = ("ours", "trainer")


def write_job(
    folder: Path, work: Workload, settings: TrainingSettings, threads: int, start: Mapping[str, Any], precision: str = "float32"
) -> None:
    """Write what both processes read: the utterances with ids of the whole vocabulary, and the model as a checkpoint.

    Args:
        folder: exists.
        work: utterances and model.
        settings: of the training.
        threads: for both.
        start: the classifier's tensors by name.
        precision: of our side's products.
    """
    from benchmarks import baseline

    np.savez(folder / "train.npz", **work.train.arrays(), kept=work.vocabulary.kept)  # type: ignore[arg-type]
    job: dict[str, Any] = {"model": work.pretrained.name, "labels": work.labels, "threads": threads, "precision": precision}
    job["settings"] = dataclasses.asdict(settings)
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    module: Any = baseline.classifier(work.pretrained, work.labels)
    baseline.set_full(module, work.pretrained, start)
    with quiet_transformers():
        module.save_pretrained(folder / "checkpoint")
        baseline.padder(work.pretrained).save_pretrained(folder / "checkpoint")


def run_side(side: str, folder: Path) -> dict[str, Any]:
    """Train one epoch and say how much memory the process has needed at most, in bytes; `loaded_bytes` before training."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with np.load(folder / "train.npz") as arrays:
        fields = {name: arrays[name] for name in arrays.files}
    kept = fields.pop("kept")
    train, settings, labels = Encoded(**fields), TrainingSettings(**job["settings"]), tuple(job["labels"])
    common.set_threads(job["threads"])
    imported = common.resident_memory()
    if side == "ours":
        pretrained = load_pretrained(job["model"])
        vocabulary = Vocabulary(kept, pretrained.vocabulary_size)
        train = dataclasses.replace(train, ids=vocabulary.compact(train.ids).astype(np.int32))
        model = build_model(pretrained, vocabulary, labels, precision=job["precision"])
        loaded = common.resident_memory()
        (finished,) = ours.train(model, Full(), [train], [partial(model.start, Full(), "benchmark")], settings)
        loss = finished.history[-1].train_loss
    else:
        from transformers import AutoModelForTokenClassification, AutoTokenizer

        from benchmarks import baseline

        with quiet_transformers():
            module = AutoModelForTokenClassification.from_pretrained(folder / "checkpoint")
            tokenizer = AutoTokenizer.from_pretrained(folder / "checkpoint")
        loaded = common.resident_memory()
        trainer = baseline.make_trainer(module, tokenizer, labels, baseline.features(train), settings, folder / "trainer")
        loss = trainer.train().training_loss
    return {
        "peak_bytes": common.peak_memory(),
        "loaded_bytes": loaded,
        "imported_bytes": imported,
        "train_loss": float(loss),
    }


def main(arguments: list[str]) -> None:
    """One side's process."""
    side, folder = arguments
    assert side in SIDES, side
    common.answer(run_side(side, Path(folder)))


if __name__ == "__main__":
    main(sys.argv[1:])
