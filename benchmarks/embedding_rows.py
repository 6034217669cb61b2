"""Full fine-tuning with the word embeddings that a stage reads, against the whole table: `python -m benchmarks.embedding_rows`.

Random weights of multilingual-E5-small, 30,000 sub-tokens in use, utterances of the lengths of MASSIVE over 2,500 of them.
Batches of 8. The sides take turns in one process with one thread; the result is their ratio.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from attrition.corpus import release
from attrition.corpus.words import label_set
from attrition.encoder.vocabulary import Vocabulary
from attrition.methods import Full
from attrition.training import train as training
from attrition.training.model import build_model
from attrition.training.settings import TrainingSettings
from benchmarks import common, gpu, ours

SETTINGS = TrainingSettings(epochs=1, batch_size=8, learning_rate=1e-4, head_learning_rate=1e-3, keep="last")


def run(name: str, in_use: int, read: int, steps: int, repeats: int) -> dict[str, Any]:
    """Return the seconds of each pass on both sides, and how many times as long the whole table takes."""
    pretrained = gpu.random_encoder(name)
    kept = np.unique(np.linspace(0, pretrained.vocabulary_size - 1, in_use).astype(np.int64))
    labels = label_set(release.SLOTS, "bio")
    model = build_model(pretrained, Vocabulary(kept, pretrained.vocabulary_size), labels)
    utterances = gpu.random_utterances(SETTINGS.batch_size * steps, Vocabulary(kept[:read], read), len(labels))
    start = model.start(Full(), "rows")

    def side(whole_table: bool) -> common.Prepare:
        def timed() -> None:
            keep_all = mock.patch.object(training, "rows_in_use", return_value=None)
            if whole_table:
                keep_all.start()
            try:
                ours.train(model, Full(), [utterances], [start.clone], SETTINGS)
            finally:
                mock.patch.stopall()

        def prepare() -> Callable[[], object]:
            return timed

        return prepare

    seconds = common.interleave({"rows_read": side(False), "whole_table": side(True)}, repeats)
    medians = {each: statistics.median(taken) / steps for each, taken in seconds.items()}
    return {
        "rows_ratio": medians["whole_table"] / medians["rows_read"],
        "seconds_a_step": medians,
        "seconds": seconds,
        "rows": {"in_use": in_use, "read": len(np.unique(utterances.ids))},
    }


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embedding_rows", description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a tiny model: for tests")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "embedding_rows.json")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    toy = ("tiny:xlm-roberta", 200, 50, 2, 1)
    result = run(*toy) if given.toy else run("intfloat/multilingual-e5-small", 30_000, 2500, 15, 5)
    result |= common.facts(common.command_of("embedding_rows", arguments))
    common.write_result(given.out, result)
    common.console.print(f"The whole table takes {result['rows_ratio']:.2f} times as long: {result['seconds_a_step']}.")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
