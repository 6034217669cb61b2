"""Adds a language, or new data of one, to a deployed tagger: trains several ways, chooses on dev, gates on test, exports."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.corpus.cache import cache_folder
from attrition.corpus.registry import Request, open_corpus
from attrition.encoder.sources import load_pretrained
from attrition.engine.run import run_study
from attrition.export.formats import export_model
from attrition.export.stage import labels_first
from attrition.files import write_whole
from attrition.gate.checks import Settings
from attrition.gate.outputs import as_json
from attrition.gate.page import to_html
from attrition.gate.release import Release, gate_files
from attrition.names import AttritionError, unknown
from attrition.prepare.prepare import Prepared, prepare
from attrition.report.export import drawn, write_figures, write_tables
from attrition.ship.candidates import Candidate, candidates, choose, methods_of, weights_of
from attrition.ship.gold import gold_rows
from attrition.ship.system import open_system
from attrition.ship.trade import trade_figure, trade_table
from attrition.store.folder import in_precision_of
from attrition.store.restore import restored
from attrition.store.stages import Store
from attrition.study.spec import Study, apply_change, build_study
from attrition.study.stop import TimeUp
from attrition.study.watcher import Watcher

MODEL, RUNS = "model", "runs"


@dataclass(frozen=True, kw_only=True)
class Addition:
    """A language, its data, and the model to add it to.

    Args:
        language: the new language, or the language with new data.
        checkpoint: a `transformers` folder with a token classification model, or its name on the Hub.
        data: path of the corpus: train, dev and test of the language, dev and test of the others.
        corpus: a name from `attrition list corpora`.
        guards: the languages that must not lose F1; () means all others with dev and test utterances.
        margin: points of F1 that a language may lose.
        share: fraction of a batch's utterances that are replayed.
        rank: of the adapter.
        adapter: True to try an adapter too. A routed adapter needs the language of each input.
        seconds: the time limit of training; None for no limit.
        changes: other settings of the study, such as `training.epochs=3`.
    """

    language: str
    checkpoint: str
    data: Path | None
    corpus: str = "columns"
    guards: tuple[str, ...] = ()
    margin: float = 1.0
    share: float = 0.5
    rank: int = 16
    adapter: bool = True
    seconds: float | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Added:
    """The result: all candidates, the chosen one, the gate's answer on test utterances, and the model's folder."""

    candidates: tuple[Candidate, ...]
    chosen: Candidate
    release: Release
    folder: Path
    note: str = ""


def add(addition: Addition, out: Path, watcher: Watcher | None = None) -> Added:
    """Train, choose, export and gate, and return the result. Interrupted training resumes.

    Args:
        addition: the language, data and model.
        out: folder for `model` (checkpoint or adapter), `trade.*`, `gate.html`, `gate.json` and `runs` (the study's results).
        watcher: called during training and prediction.

    Raises:
        AttritionError: a setting or the data are wrong or missing, or no training finished in time.
    """
    if (out / MODEL).exists():
        raise AttritionError(f"{out / MODEL} exists already. Choose another --out, or remove it.")
    study, watcher = study_of(addition), watcher or Watcher()
    note = ""
    try:
        run_study(study, out / RUNS, watcher, seconds=addition.seconds)
    except TimeUp:
        note = "The time limit ended training early: the choice is among the finished ways."
    prepared = prepare(in_precision_of(out / RUNS, study), watcher, cache_folder())
    store = Store(out / RUNS)
    jobs = [job for job in prepared.plan.jobs.values() if store.has("stages", job.key)]
    if not jobs:
        raise AttritionError("No training finished within the time limit. Run the same command with more time to resume.")
    found = candidates(prepared, store, jobs)
    chosen = choose(found, addition.margin)
    _export(prepared, store, chosen, out / MODEL)
    write_figures(drawn([trade_figure(found, chosen, addition.margin)]), out)
    write_tables([trade_table(found, chosen)], out)
    release = _gate(addition, prepared, chosen, out, watcher)
    return Added(candidates=tuple(found), chosen=chosen, release=release, folder=out, note=note)


def study_of(addition: Addition) -> Study:
    """Return the study that trains every way: one stage on the language, scored on the guards too.

    Raises:
        AttritionError: a language is not in the data, or a change is not allowed.
    """
    corpus = open_corpus(addition.corpus, Request(path=addition.data))
    language = addition.language
    for each in (language, *addition.guards):
        if each not in corpus.languages:
            raise unknown(each, corpus.languages, kind=f"language of {addition.data or addition.corpus}")
    if missing := [split for split in ("train", "dev", "test") if split not in corpus.splits(language)]:
        raise AttritionError(f"{language!r} has no {missing[0]} utterances in {addition.data or addition.corpus}. Add them.")
    able = [each for each in corpus.languages if each != language and {"dev", "test"} <= set(corpus.splits(each))]
    guards = list(addition.guards or able)
    if not guards:
        raise AttritionError("No other language has dev and test utterances, so nothing guards against a loss. Add them.")
    if lacking := [each for each in guards if each not in able]:
        raise AttritionError(f"The guard {lacking[0]!r} needs dev and test utterances, and must not be the new language.")
    where: dict[str, Any] = {} if addition.data is None else {"path": str(addition.data)}
    raw: dict[str, Any] = {
        "name": f"add {language}",
        "languages": [language],
        "watch": guards,
        "evaluate_on": "dev",
        "methods": methods_of(share=addition.share, size=100 * len(guards), rank=addition.rank, adapter=addition.adapter),
        "corpus": {"name": addition.corpus, **where},
        "model": {"name": f"hub:{_located(addition.checkpoint)}", "grow": True, "learned": guards},
        # The classifier is trained already: the high learning rate of a new classifier would undo this.
        "training": {"learning_rate": 5e-5, "head_learning_rate": 5e-4, "lora": {"learning_rate": 5e-4}},
    }
    for change in addition.changes:
        apply_change(raw, change)
    return build_study(raw, where="add")


def _located(checkpoint: str) -> str:
    """Return a folder's absolute path, which an adapter stores as its base; a name on the Hub unchanged."""
    name = checkpoint.removeprefix("hub:")
    return str(Path(name).expanduser().absolute()) if Path(name).expanduser().is_dir() else name


def _export(prepared: Prepared, store: Store, chosen: Candidate, folder: Path) -> None:
    trains, model = chosen.job.choice.method.trains, prepared.model
    # The classifier as loaded: the study's classifier has its classes in the study's order.
    first = labels_first(load_pretrained(prepared.study.model.name), model.labels)
    if trains.adapter is not None:
        export_model(folder, model, trains, restored(store, model, trains, chosen.job.key), first=first)
        return
    decay = 1 - chosen.weight + chosen.weight * store.load_history(chosen.job.key).decay
    export_model(folder, model, trains, weights_of(prepared, store, chosen.job, chosen.weight), decay=decay, first=first)


def _gate(addition: Addition, prepared: Prepared, chosen: Candidate, out: Path, watcher: Watcher) -> Release:
    study = prepared.study
    corpus = open_corpus(addition.corpus, Request(path=addition.data, languages=study.scored, sizes=study.corpus.sizes))
    used = {language: set(prepared.encoded[language, "test"].utterance_ids.tolist()) for language in study.scored}
    rows = gold_rows(corpus, study.scored, path=str(addition.data or addition.corpus), cuts=prepared.corpus.cuts)
    checkpoint = study.model.name.removeprefix("hub:")
    old, new = (open_system(each, watcher.reading, prepared.device) for each in (checkpoint, str(out / MODEL)))
    serves = (addition.language,) if chosen.routed else ()
    settings = Settings(margin=addition.margin)
    release = gate_files(old, new, [row for row in rows if row.id in used[row.language]], settings, serves=serves)
    write_whole(out / "gate.json", json.dumps(as_json(release), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    write_whole(out / "gate.html", to_html(release))
    return release
