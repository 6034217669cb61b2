"""What a run took: history.csv and times.json, from the histories of its stages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from attrition.store.stages import StoredHistory


def history_csv(trained: Iterable[Sequence[str]], stages: Sequence[StoredHistory]) -> str:
    """Return a CSV text with one line for each epoch of each stage; `trained`: the languages of each stage."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stage", "trained", "epoch", "train_loss", "dev_f1", "seconds", "best"])
    for number, (languages, stored) in enumerate(zip(trained, stages, strict=True), start=1):
        for epoch in stored.history:
            dev_f1 = "" if epoch.dev_f1 != epoch.dev_f1 else repr(epoch.dev_f1)
            best = str(epoch.epoch == stored.kept_epoch).lower()
            measured = [repr(epoch.train_loss), dev_f1, f"{epoch.seconds:.3f}", best]
            writer.writerow([number, "+".join(languages), epoch.epoch, *measured])
    return text.getvalue()


def times(stages: Sequence[StoredHistory], scoring: Iterable[float]) -> dict[str, float]:
    """Return seconds by purpose over a run's stages, including shared stages; `scoring`: the seconds of each evaluation."""
    total = {"data": 0.0, "training": 0.0, "evaluation": sum(scoring), "other": 0.0}
    for stage in stages:
        for purpose, seconds in stage.seconds.items():
            total[purpose] += seconds
    return total
