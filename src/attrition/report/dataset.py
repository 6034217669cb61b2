"""A study's results as a data set: Parquet tables, and a card (README.md) that lists them for the Hub and `datasets`.

The tables have numbers, and names of languages and labels. They contain no corpus text and no path of this machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from huggingface_hub import DatasetCard, DatasetCardData

from attrition.files import refuse_full, write_whole
from attrition.names import counted
from attrition.reading import parse_toml
from attrition.results.counts import StoredCounts, run_counts
from attrition.results.covariates import read_covariates
from attrition.results.read import Results, Run, read_results
from attrition.results.serving import in_rows
from attrition.results.tables import table_of

TABLES: Mapping[str, str] = {
    "scores": "R in long form: one row for each run, stage and language. Stage 0 is before training. `score` is 0 to 1.",
    "runs": "One row for each run: method, order of the languages, seed, model, and all settings as JSON.",
    "metrics": "One row for each run and metric, in the units of R.",
    "counts": "True positives, false positives and false negatives of each test utterance (lists, in one sequence), by stage.",
    "labels": "The same counts by label, summed over utterances; for spans also errors by type.",
    "history": "One row for each epoch: training loss, score on dev, seconds.",
    "times": "Seconds of each part of a run.",
    "covariates": "Covariates of languages.",
    "pair_covariates": "Covariates of pairs: the language trained, and the language whose score may change.",
}
"""The tables by name, with their contents. Empty tables are left out."""

_LICENCES = {"CC BY 4.0": "cc-by-4.0", "CC BY-NC 4.0": "cc-by-nc-4.0", "CC BY-SA 4.0": "cc-by-sa-4.0", "CC0 1.0": "cc0-1.0"}
_KEYS = ["run", "stage", "language"]
_LOAD = """\
import pandas as pd

folder = "{place}"
scores = pd.read_parquet(f"{{folder}}/scores.parquet")
R = scores[scores.run == scores.run[0]].pivot(index="stage", columns="language", values="score")
"""
_LOAD_DATASETS = """\
from datasets import load_dataset

scores = load_dataset("{place}", "scores", split="train")
"""


def export_dataset(results: Path, folder: Path, *, repo: str = "") -> tuple[str, ...]:
    """Write a results folder as a data set with a card, and return the names of its tables.

    Args:
        results: a results folder or an archive.
        folder: a new or empty folder.
        repo: the data set's name on the Hub, if it is uploaded. The card then loads it from the Hub.

    Raises:
        AttritionError: there is no finished run, a file is malformed, or `folder` is not empty.
    """
    refuse_full(folder, "data set")
    found = read_results(results)
    tables = {name: table for name, table in tables_of(found) if len(table)}
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    write_whole(folder / "README.md", str(dataset_card(found, tables, repo=repo, folder=folder.name)))
    return tuple(tables)


def tables_of(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the tables of a study by name, as in TABLES; the column `run` has the run's name."""
    runs = results.runs
    errors = _joined(_in_rows(run, "scores.parquet") for run in runs)
    scores = results.to_frame()
    if len(errors):
        scores = scores.merge(errors[[*_KEYS, "f1_error", "num_utterances"]], how="left", on=_KEYS)
    yield "scores", scores
    yield "runs", pd.DataFrame(_about(run) for run in runs)
    yield "metrics", _long(runs, "metric", "value", lambda run: run.metrics)
    stored: dict[Path, StoredCounts] = {}
    yield "counts", _joined(_counts(run, stored) for run in runs)
    yield "labels", _joined(_in_rows(run, "slots.parquet") for run in runs)
    yield "history", _joined(_of_run(run, run.history) for run in runs)
    yield "times", _long(runs, "part", "seconds", lambda run: run.times)
    own = read_covariates(results.folder)
    language, pair = (own.language, own.pair) if own else ({}, {})
    yield (
        "covariates",
        pd.DataFrame(
            {"language": key, "name": name, "value": value} for name, given in language.items() for key, value in given.items()
        ),
    )
    yield (
        "pair_covariates",
        pd.DataFrame(
            {"trained": trained, "changed": changed, "name": name, "value": value}
            for name, given in pair.items()
            for (trained, changed), value in given.items()
        ),
    )


def dataset_card(results: Results, tables: Mapping[str, pd.DataFrame], *, repo: str, folder: str) -> DatasetCard:
    """Return the card: front matter with the data files, the study, its settings, and code to load the tables.

    Args:
        results: of the study.
        tables: the written tables.
        repo: the data set's name on the Hub; "" if it is not uploaded.
        folder: name of the local folder.
    """
    corpora = {(spec.corpus.name, spec.corpus.revision, spec.corpus.licence, spec.corpus.citation) for spec in _specs(results)}
    licences = {licence for _, _, licence, _ in corpora}
    data = DatasetCardData(
        pretty_name=results.name,
        language=list(dict.fromkeys(each.split("-")[0] for each in results.languages)),
        license=_LICENCES.get(licences.pop(), "unknown") if len(licences) == 1 else "unknown",
        tags=["attrition", "continual-learning", "multilingual", "results"],
        configs=[
            {"config_name": name, "data_files": f"{name}.parquet", **({"default": True} if name == "scores" else {})}
            for name in tables
        ],
    )
    study = _public(parse_toml(results.study_toml, "study.toml"))
    study.pop("machine", None)
    study.get("corpus", {}).pop("path", None)
    place = {"pandas": f"hf://datasets/{repo}" if repo else folder, "datasets": repo or folder}
    described = "\n".join(f"| `{name}` | {len(table):,} | {TABLES[name]} |" for name, table in tables.items())
    models = ", ".join(sorted({_public(spec.model.name) for spec in _specs(results)}))
    made = (
        f"{counted(len(results.runs), 'run')}, {counted(len(results.languages), 'language')} ({', '.join(results.languages)})"
    )
    parts = [
        f"# {results.name}",
        str(study.get("description", "")),
        f"Results of a study made with attrition: {made}. R[i, j] is the {results.score} on language j after stage i. "
        f"Models: {models}.",
        f"## Load it\n\n```python\n{_LOAD.format(place=place['pandas'])}```\n\nWith the package `datasets`:\n\n"
        f"```python\n{_LOAD_DATASETS.format(place=place['datasets'])}```",
        f"## Tables\n\n| table | rows | content |\n|---|---:|---|\n{described}\n\n`run` names the run in every table.",
        f"## Settings\n\n```toml\n{tomli_w.dumps(study)}```",
        "## Data\n\n" + "\n\n".join(_corpus_text(*each) for each in sorted(corpora)),
        "## Licence\n\nThe tables hold no text of the corpus. `license` above is the licence of the corpus. If you publish "
        "these numbers under another one, change it.",
    ]
    return DatasetCard(f"---\n{data.to_yaml()}\n---\n\n" + "\n\n".join(part for part in parts if part) + "\n")


def _specs(results: Results) -> list[Any]:
    return [run.spec for run in results.runs]


def _corpus_text(name: str, revision: str, licence: str, citation: str) -> str:
    return f"{_public(name)}, {revision or 'no revision'}. Licence: {licence or 'not known'}. {citation}".rstrip()


def _about(run: Run) -> dict[str, str | int]:
    spec = run.spec
    return {
        "run": run.label,
        "key": run.key,
        "method": spec.method.name,
        "order": spec.order.name,
        "languages": ", ".join(spec.order.languages),
        "seed": spec.seed,
        "model": _public(spec.model.name),
        "settings": json.dumps(_public(dict(run.settings)), ensure_ascii=False),
    }


def _counts(run: Run, stored: dict[Path, StoredCounts]) -> pd.DataFrame:
    folder = run.folder.parent.parent
    found = run_counts(run, stored.setdefault(folder, StoredCounts(folder)))
    rows: list[dict[str, Any]] = []
    for first, part in ((0, found.before if found else None), (1, found)):
        if part is None:
            continue
        for stage, at in np.argwhere(part.measured_SL).tolist():
            cell = {name: array[stage, at] for name, array in (("tp", part.tp_SLU), ("fp", part.fp_SLU), ("fn", part.fn_SLU))}
            rows.append({"stage": first + stage, "language": run.matrix.languages[at], **cell})
    return _of_run(run, pd.DataFrame(rows))


def _in_rows(run: Run, name: str) -> pd.DataFrame:
    """Return a table of a run by row of R (see `in_rows`), without rows if it is missing or they are not known."""
    table = table_of(run, name)
    found = None if table is None else in_rows(table, run)
    return pd.DataFrame() if found is None else _of_run(run, found)


def _of_run(run: Run, table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(run=run.label)[["run", *table.columns]]


def _long(runs: Sequence[Run], key: str, value: str, numbers: Callable[[Run], Mapping[str, float]]) -> pd.DataFrame:
    return pd.DataFrame({"run": run.label, key: name, value: number} for run in runs for name, number in numbers(run).items())


def _joined(tables: Iterator[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _public(value: Any) -> Any:
    """Return a setting without folders of this machine: the last part of an absolute path.

    >>> _public({"model": "hub:/home/me/tagger", "rank": 8})
    {'model': 'hub:tagger', 'rank': 8}
    """
    if isinstance(value, dict):
        return {key: _public(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_public(each) for each in value]
    if not isinstance(value, str):
        return value
    before, colon, path = value.rpartition(":") if value.startswith("hub:") else ("", "", value)
    return f"{before}{colon}{PurePath(path).name}" if path.startswith(("/", "~")) else value
