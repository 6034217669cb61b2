"""A small world of donors and receivers that writes results folders as a finished study does, without a model.

A language's score moves towards its ceiling when it is trained. Training another language gives it something (more when they
share a script) and takes something away (more when the trained language is destructive and the script is another).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from attrition.analysis.evidence import RunEvidence
from attrition.analysis.utterances import Utterances
from attrition.languages import LANGUAGES
from attrition.metrics.matrix import RMatrix
from attrition.results.counts import RunCounts

Array = npt.NDArray[np.float64]

PAPER_1 = """
    en-US ru-RU id-ID vi-VN fa-IR th-TH ja-JP de-DE ro-RO hu-HU fr-FR fi-FI ko-KR es-ES pt-PT nb-NO el-GR zh-CN da-DK pl-PL
    he-IL it-IT nl-NL ar-SA tr-TR hi-IN zh-TW ta-IN sv-SE sl-SL ca-ES ka-GE lv-LV ms-MY bn-BD ml-IN az-AZ ur-PK hy-AM sq-AL
    te-IN kn-IN is-IS tl-PH mn-MN my-MM sw-KE km-KH af-ZA am-ET cy-GB jv-ID
"""
NON_LATIN = """
    ru-RU fa-IR th-TH ja-JP ko-KR el-GR zh-CN he-IL ar-SA hi-IN zh-TW ta-IN ka-GE bn-BD ml-IN ur-PK hy-AM te-IN kn-IN mn-MN
    my-MM km-KH am-ET
"""
DESTRUCTIVE = {"zh-CN": 0.22, "zh-TW": 0.2, "ja-JP": 0.18, "th-TH": 0.14, "km-KH": 0.1}


@dataclass(frozen=True)
class FakeMethod:
    """What the world needs to know of a method: how strongly it learns, gives and takes, and who shares it."""

    name: str
    rank: int | None = None
    shared_by: str = "all"
    joint: bool = False
    ceiling: float = 0.75
    takes: float = 1.0

    @property
    def kind(self) -> str:
        """The method of the paper that it is, whatever it is called."""
        alone = self.shared_by == "language"
        full, lora = {
            (True, False): ("MULTI", "MULTI LoRA"),
            (False, True): ("MONO", "NON-SHARED LoRA"),
            (False, False): ("VANILLA", "SHARED LoRA") if self.shared_by == "all" else ("", "GROUPED LoRA"),
        }.get((self.joint, alone), ("", ""))
        return lora if self.rank else full


METHODS = {
    "MULTI": FakeMethod("MULTI", joint=True, ceiling=0.76),
    "MULTI LoRA": FakeMethod("MULTI LoRA", rank=32, joint=True, ceiling=0.75),
    "VANILLA": FakeMethod("VANILLA", ceiling=0.76),
    "SHARED LoRA": FakeMethod("SHARED LoRA", rank=32, ceiling=0.73, takes=1.7),
    "NON-SHARED LoRA": FakeMethod("NON-SHARED LoRA", rank=32, shared_by="language", ceiling=0.72),
    "MONO": FakeMethod("MONO", shared_by="language", ceiling=0.73),
}


def scores(method: FakeMethod, order: Sequence[str], seed: int) -> tuple[list[list[str]], Array | None, Array]:
    """The languages trained per stage, the row before training, and R (stages x languages in the order given)."""
    random = np.random.default_rng([seed, len(method.name), method.rank or 0])
    latin = np.array([language not in NON_LATIN.split() for language in order])
    ceiling_L = method.ceiling + np.where(latin, 0.03, -0.03) + random.normal(0, 0.01, len(order))
    if method.joint:
        return [list(order)], None, ceiling_L[None, :]
    if method.shared_by == "language":
        learned_SL = np.tri(len(order), dtype=bool)
        return [[language] for language in order], None, np.where(learned_SL, ceiling_L[None, :], np.nan)
    now_L = np.full(len(order), 0.02)
    rows = []
    for position, language in enumerate(order):
        related_L = np.where(latin == latin[position], 1.0, 0.5)
        gives_L = 0.25 * related_L * np.clip(ceiling_L - 0.12 - now_L, 0, None)
        takes_L = DESTRUCTIVE.get(language, 0.01) * method.takes * np.where(latin, 0.5, 1.0) * now_L
        now_L = np.clip(now_L + gives_L - takes_L + random.normal(0, 0.004, len(order)), 0, 1)
        now_L[position] = ceiling_L[position]
        rows.append(now_L.copy())
    return [[language] for language in order], np.full(len(order), 0.02), np.array(rows)


def write_run(
    study: Path,
    method: FakeMethod,
    order_name: str,
    order: Sequence[str],
    *,
    seed: int = 0,
    model: str = "tiny:fake",
    warnings: Sequence[str] = (),
    study_name: str = "simulated",
    generated: bool = True,
    corpus: str = "phrasebook",
    cuts: Mapping[str, str] | None = None,
    learning_rate: float = 1e-4,
    train: int = 100,
) -> Path:
    """One finished run's folder, as the runner writes it."""
    trained, before_L, scores_SL = scores(method, order, seed)
    key = re.sub(r"[^a-z0-9]+", "-", f"{method.name}-{method.rank or 'full'}-{order_name}-{seed}-{model}".lower())
    folder = study / "runs" / key
    folder.mkdir(parents=True)
    trains: dict[str, Any] = {"kind": "lora", "rank": method.rank, "alpha": method.rank, "dropout": 0.1, "targets": ["query"]}
    spec = {
        "format": 2,
        "run": key,
        "study": study_name,
        "name": method.name,
        "method": {
            "name": method.name,
            "kind": method.kind,
            "trains": trains if method.rank else {"kind": "full"},
            "shared_by": method.shared_by,
            "joint": method.joint,
            "order_matters": not method.joint and method.shared_by != "language",
        },
        "order": {"name": order_name, "languages": list(order)},
        "seed": seed,
        "model": {"name": model},
        "corpus": {
            "name": corpus,
            "revision": "1",
            "generated": generated,
            "licence": "Apache-2.0",
            "citation": "A. Author. A corpus. 2026.",
            "cuts": dict(cuts or {}),
        },
        "training": {"epochs": 5, "batch_size": 32, "learning_rate": learning_rate},
        "encoding": {"labels": "bio", "cut": "blanks"},
        "sizes": {"train": train, "dev": 20, "test": 30},
        "conventions": {"cbt": "last_row"},
        "parameters": {"trainable": 1_000_000, "stored": 2_000_000},
        "warnings": list(warnings),
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    with (folder / "matrix.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["trained", *order])
        if before_L is not None:
            writer.writerow(["", *map(repr, before_L.tolist())])
        for languages, row in zip(trained, scores_SL.tolist(), strict=True):
            writer.writerow(["+".join(languages), *("" if value != value else repr(value) for value in row)])
    if method.shared_by == "language":
        own = np.nan_to_num(scores_SL[-1])
        transfer_SL = np.where(np.eye(len(order), dtype=bool), own, 0.6 * own)
        rows = [[name, *map(repr, row)] for name, row in zip(order, transfer_SL.tolist(), strict=True)]
        with (folder / "transfer.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["trained", *order], *rows])
    steps = [(i, "+".join(names), epoch) for i, names in enumerate(trained, start=1) for epoch in range(1, 4)]
    history = pd.DataFrame(steps, columns=["stage", "trained", "epoch"])
    history["train_loss"] = 1.0 / history["epoch"]
    history["dev_f1"] = 0.2 + 0.15 * history["epoch"]
    history["seconds"] = 1.5
    history["best"] = history["epoch"] == 3
    history.to_csv(folder / "history.csv", index=False)
    (folder / "times.json").write_text(json.dumps({"data": 2.0, "training": 30.0, "evaluation": 12.0, "other": 1.5}))
    return folder


def write_study(
    study: Path,
    *,
    num_languages: int = 4,
    methods: Sequence[str | FakeMethod] = ("MULTI", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA"),
    num_orders: int = 1,
    models: Sequence[str] = ("tiny:fake",),
    order_name: str = "order",
    **run_settings: Any,
) -> Path:
    """A finished study of the first languages of the paper's first order; further orders are shuffled ones."""
    languages = PAPER_1.split()[:num_languages]
    for number in range(num_orders):
        order = languages if number == 0 else list(np.random.default_rng(number).permutation(languages))
        if number and order == languages:  # by chance
            order.reverse()
        for method in methods:
            for model in models:
                chosen = METHODS[method] if isinstance(method, str) else method
                write_run(study, chosen, f"{order_name}-{number + 1}", order, model=model, **run_settings)
    (study / "study.toml").write_text('[study]\nname = "simulated"\n', encoding="utf-8")
    (study / "environment.json").write_text(json.dumps({"python": "3.11", "machine": {"cpu": "simulated", "cores": 2}}))
    return study


@dataclass(frozen=True)
class Measured:
    """Runs scored on a test set, the counts behind them, and their R over the population of utterances."""

    runs: tuple[RunEvidence, ...]
    utterances: Utterances
    truth: tuple[RMatrix, ...]


def measured(
    seed: int, *, num_languages: int = 10, num_orders: int = 4, num_utterances: int = 200, sd: float = 1.0, resamples: int = 200
) -> Measured:
    """Runs whose changes D are known: donor, receiver, pair and stage effects, an error of standard deviation `sd` (points).

    An utterance has one span. It is found where its difficulty, and a tenth of chance at each stage, is below the score.
    """
    random = np.random.default_rng(seed)
    L, languages = num_languages, tuple(LANGUAGES)[:num_languages]
    effects = random.normal(0, 0.8, (L, 1)) + random.normal(0, 0.5, L) + random.normal(0, 0.4, (L, L)) - 0.5
    base_L = random.uniform(0.45, 0.85, L)
    hard_LU = 0.55 * random.normal(size=num_utterances) + 0.84 * random.normal(size=(L, num_utterances))
    runs, counts, truth = [], {}, []
    for number in range(num_orders):
        order = random.permutation(L)
        changes = effects[order] + random.normal(0, 0.4, (L, 1)) + random.normal(0, sd, (L, L))
        changes[0] = 0
        scores_SL = np.clip(base_L + np.cumsum(changes, axis=0) / 100, 0.02, 0.98)
        latent = np.sqrt(0.9) * hard_LU + np.sqrt(0.1) * random.normal(size=(L, L, num_utterances))
        tp = (latent < ndtri(scores_SL)[:, :, None]).astype(np.int64)
        found = RunCounts(tp_SLU=tp, fp_SLU=1 - tp, fn_SLU=1 - tp, measured_SL=np.ones((L, L), dtype=bool))
        trained = tuple((languages[place],) for place in order)
        R = RMatrix(found.f1_SL, languages, trained)
        runs.append(RunEvidence(matrix=R, kind="VANILLA", seed=number))
        counts[R] = partial(_itself, found)
        truth.append(RMatrix(scores_SL, languages, trained))
    return Measured(tuple(runs), Utterances(counts, num_resamples=resamples), tuple(truth))


def _itself(counts: RunCounts) -> RunCounts:
    return counts
