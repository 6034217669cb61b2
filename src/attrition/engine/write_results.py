"""Writes the files of a finished run: R, scores, metrics, history, times and all settings."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from attrition.encoder.lora import ALL_LINEAR
from attrition.encoder.params import PAPER_TARGETS, account, config_from
from attrition.engine.environment import in_words
from attrition.engine.run_warnings import warnings_of
from attrition.files import write_whole
from attrition.methods import Merge, Row, Steps, Train, Trains
from attrition.methods.steps import Step
from attrition.metrics import Conventions, summary
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.prepare.prepare import Prepared
from attrition.problem.counts import macro_f1
from attrition.problem.slots import SLOTS
from attrition.results.packed_counts import ERROR_COLUMNS
from attrition.store.evaluations import ScoredOn
from attrition.store.stages import StoredEvaluation, StoredHistory
from attrition.store.times import history_csv, times
from attrition.study.keys import evaluation_key
from attrition.study.plan import Made, RunPlan
from attrition.study.tables import plain

FORMAT = 2


def r_matrix(
    steps: Steps, languages: Sequence[str], evaluations: Sequence[StoredEvaluation], before: StoredEvaluation | None
) -> RMatrix:
    """Return R of a run: in each row, the F1 on each language of the model that serves it after that step.

    A language without a model yet, or not scored, is NaN.

    Args:
        steps: of the run.
        languages: the columns.
        evaluations: for each step the counts of its model.
        before: those of the untrained model, if all languages share one.
    """
    rows = [
        [_f1(evaluations[row.reads[each]] if each in row.reads else None, each) for each in languages] for row in steps.rows
    ]
    before_L = None if before is None else np.array([_f1(before, each) for each in languages])
    return RMatrix(np.array(rows), tuple(languages), tuple(row.trained for row in steps.rows), before_L)


def _f1(evaluation: StoredEvaluation | None, language: str) -> float:
    """Return F1 on a language, NaN if not measured."""
    return evaluation.counts[language].f1 if evaluation and language in evaluation.counts else math.nan


def has_before(run: RunPlan, scored_on: ScoredOn) -> bool:
    """Return whether R has a row before training: all languages share one model, and it is scored untrained."""
    return run.steps.shared and bool(scored_on.of(run.jobs[0], before=True))


def transfer_matrix(steps: Steps, languages: Sequence[str], evaluations: Sequence[StoredEvaluation]) -> RMatrix | None:
    """Return the scores of each training's own model on every language; None if R holds them, or they were not measured."""
    own = [each for step, each in zip(steps.steps, evaluations, strict=True) if isinstance(step, Train)]
    if steps.shared or steps.joint or any(set(languages) - set(each.counts) for each in own):
        return None
    scores = [[evaluation.counts[each].f1 for each in languages] for evaluation in own]
    return RMatrix(np.array(scores), tuple(languages), tuple(step.languages for step in steps.trainings))


def _measured(
    steps: Steps, evaluations: Sequence[StoredEvaluation], before: StoredEvaluation | None
) -> list[tuple[int, str, StoredEvaluation]]:
    """Yield number, languages trained and counts of every training; stage 0 is before training."""
    first = [(0, "", before)] if before else []
    trainings = [(index, step) for index, step in enumerate(steps.steps) if isinstance(step, Train)]
    shown = [(step, evaluations[steps.shown(index)]) for index, step in trainings]
    return [*first, *((number, "+".join(step.languages), each) for number, (step, each) in enumerate(shown, 1))]


def score_rows(
    steps: Steps,
    languages: Sequence[str],
    evaluations: Sequence[StoredEvaluation],
    before: StoredEvaluation | None,
    *,
    macro: bool = False,
) -> pd.DataFrame:
    """Return scores, standard errors and counts of every stage on every scored language; stage 0 is before training.

    `macro` adds a column `macro_f1`, see `attrition.problem.counts.macro_f1`.
    """
    rows: list[dict[str, Any]] = []
    for index, trained, evaluation in _measured(steps, evaluations, before):
        for language in _scored(languages, evaluation):
            counts = evaluation.counts[language]
            precision, recall, f1 = counts.scores
            tp, fp, fn = (int(each.sum(dtype=np.int64)) for each in (counts.tp, counts.fp, counts.fn))
            rows.append(
                {"stage": index, "trained": trained, "language": language, "f1": f1, "precision": precision, "recall": recall}
                | {"tp": tp, "fp": fp, "fn": fn, "num_utterances": len(counts.tp)}
                | {"f1_error": counts.f1_error(evaluation.drawn_from.get(language))}
                | ({"macro_f1": macro_f1(counts.by_slot)} if macro else {})
            )
    return pd.DataFrame(rows)


def _scored(languages: Sequence[str], evaluation: StoredEvaluation) -> list[str]:
    return [language for language in languages if language in evaluation.counts]


def slot_rows(
    steps: Steps,
    languages: Sequence[str],
    slots: Sequence[str],
    evaluations: Sequence[StoredEvaluation],
    before: StoredEvaluation | None,
) -> pd.DataFrame:
    """Return counts of every stage on every scored language by slot; `slots` in the order of `Counts.by_slot`.

    For other classes, such as intents, the column `slot` holds these. Errors on spans have a column for each type, see
    `attrition.problem.spans`.
    """
    rows: list[dict[str, Any]] = []
    for index, trained, evaluation in _measured(steps, evaluations, before):
        for language in _scored(languages, evaluation):
            counts = evaluation.counts[language]
            about = {"stage": index, "trained": trained, "language": language}
            for number, (slot, own) in enumerate(zip(slots, counts.by_slot.tolist(), strict=True)):
                row = about | {"slot": slot} | dict(zip(("tp", "fp", "fn"), own, strict=True))
                if counts.errors is not None:
                    row |= dict(zip(ERROR_COLUMNS, counts.errors[number].tolist(), strict=True))
                rows.append(row)
    return pd.DataFrame(rows)


def spec_json(
    run: RunPlan, prepared: Prepared, scores: pd.DataFrame, warnings: Sequence[str], made_with: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return everything that determines the numbers of a run; `made_with`: the environment of each stage."""
    study, corpus, method, scored_on = prepared.study, prepared.corpus, run.method, prepared.scored_on
    first, problem = run.jobs[0], prepared.problem
    before = evaluation_key(first.key, scored_on.of(first, before=True), before=True) if has_before(run, scored_on) else None
    return {
        "format": FORMAT,
        "run": run.key,
        "study": study.name,
        "problem": {"name": problem.name, "score": problem.score, "macro_f1": problem.macro},
        **({} if problem is SLOTS else {"counted": list(problem.counter(prepared.labels).names)}),
        "name": method.name,
        "method": {
            "name": method.name,
            "kind": method.of,
            "trains": {"kind": method.trains.kind, **dataclasses.asdict(method.trains)},
            "shared_by": method.shared_by,
            "joint": run.steps.joint,
            "order_matters": run.steps.order_matters,
            "hooks": {hook.name: hook.model_dump() for hook in method.hooks},
        },
        "languages": list(study.languages),
        **({"watch": list(study.watch)} if study.watch else {}),
        "order": {"name": run.order_name, "languages": list(run.order)},
        "seed": run.seed,
        "model": {
            "name": prepared.pretrained.name,
            "fingerprint": prepared.pretrained.fingerprint,
            "note": prepared.pretrained.note,
            "precision": prepared.precision,
            "vocabulary": {"used": len(prepared.vocabulary), "whole": prepared.vocabulary.full_size},
        },
        "corpus": {
            "name": corpus.name,
            "revision": corpus.revision,
            "generated": corpus.generated,
            "licence": corpus.licence,
            "citation": corpus.citation,
            "fingerprint": corpus.fingerprint,
            "cuts": dict(corpus.cuts),
            **({"portions": {name: dict(each) for name, each in corpus.portions.items()}} if corpus.portions else {}),
        },
        **({"own_languages": plain(study.own)} if study.own else {}),
        "training": dataclasses.asdict(run.choice.training),
        "encoding": dataclasses.asdict(prepared.encoding),
        "sizes": dataclasses.asdict(study.corpus.sizes),
        "conventions": {
            "score": prepared.problem.definition,
            "unmeasured": "NaN, an empty cell",
            **Conventions().as_dict(),
        },
        "evaluate": scored_on.evaluate,
        "evaluate_on": scored_on.split,
        "scored": scored_on.about(scores.loc[scores["stage"] > 0, "f1_error"]),
        "parameters": _parameters(run, prepared),
        "steps": [_step(step, made, scored_on) for step, made in zip(run.steps.steps, run.made, strict=True)],
        "rows": [{"trained": list(row.trained), "reads": dict(row.reads)} for row in run.steps.rows],
        "before": before,
        "made_with": sorted({in_words(each) if each else "unknown" for each in made_with}),
        "warnings": list(warnings),
    }


def _step(step: Step, made: Made, scored_on: ScoredOn) -> dict[str, Any]:
    """Return a step as spec.json stores it; `steps_of` reads it back."""
    about: dict[str, Any] = {"key": made.key, "evaluation": evaluation_key(made.key, scored_on.of(made))}
    if isinstance(step, Train):
        return {**about, "learner": step.learner, "languages": list(step.languages), "start": step.start}
    return {**about, "inputs": list(step.inputs), "how": {"name": step.how.name, **step.how.model_dump()}}


def steps_of(spec: Mapping[str, Any]) -> Steps:
    """Return the steps and rows in a run's spec.json."""
    steps: list[Step] = []
    for each in spec["steps"]:
        if "inputs" in each:
            steps.append(Merge(inputs=tuple(each["inputs"]), how=each["how"]))
        else:
            steps.append(Train(learner=each["learner"], languages=tuple(each["languages"]), start=each["start"]))
    return Steps(tuple(steps), tuple(Row(tuple(each["trained"]), each["reads"]) for each in spec["rows"]))


def _parameters(run: RunPlan, prepared: Prepared) -> dict[str, int]:
    """Return the number of parameters of all learners.

    `trainable` and `stored` count as in the paper's Table 1 (with the pooler, without classifiers), if `encoder.params` knows
    the architecture. `trained` is the real number: with classifiers, without the pooler, which slot filling does not use.
    """
    trains, pretrained = run.method.trains, prepared.pretrained
    adapter = trains.adapter
    learners = len({step.learner for step in run.steps.trainings})
    trained = learners * _trained(prepared, trains)
    try:
        config = config_from(pretrained.config.to_dict(), name=pretrained.name)
    except AttritionError:
        encoder = sum(tensor.numel() for tensor in pretrained.weights.values())
        encoder += pretrained.vocabulary_size * pretrained.hidden_size
        frozen = 0 if adapter is None else encoder
        return {"trainable": trained, "stored": trained + frozen, "trained": trained}
    if adapter is not None:
        targets = PAPER_TARGETS if ALL_LINEAR in adapter.targets else adapter.targets
        counted = account(config, "lora", adapter.rank, targets, num_learners=learners)
    else:
        counted = account(config, num_learners=learners)
    return {"trainable": counted.trainable, "stored": counted.stored, "trained": trained}


def _trained(prepared: Prepared, trains: Trains) -> int:
    """Return the number of parameters that one learner trains, including embeddings of dropped sub-tokens."""
    own = sum(math.prod(shape) for shape in prepared.shapes(trains).values())
    if trains.adapter is not None:
        return own
    return own + (prepared.pretrained.vocabulary_size - len(prepared.vocabulary)) * prepared.pretrained.hidden_size


@dataclass(frozen=True, eq=False)
class RunTables:
    """All numbers in the files of a run, computed from stored counts and histories only."""

    matrix: RMatrix
    transfer: RMatrix | None
    scores: pd.DataFrame
    slots: pd.DataFrame
    metrics: Mapping[str, float | None]
    history: str
    times: Mapping[str, float]

    @staticmethod
    def of(
        steps: Steps,
        languages: Sequence[str],
        slots: Sequence[str],
        stages: Sequence[StoredHistory],
        evaluations: Sequence[StoredEvaluation],
        before: StoredEvaluation | None,
        *,
        macro: bool = False,
    ) -> RunTables:
        """Return the tables of a run.

        Args:
            steps: of the run.
            languages: the columns.
            slots: their names, in the order of `Counts.by_slot`.
            stages: the history of each training.
            evaluations: the scores of each step's model.
            before: the scores of the untrained model, if all languages share one.
            macro: whether to add macro F1.
        """
        R = r_matrix(steps, languages, evaluations, before)
        return RunTables(
            matrix=R,
            transfer=transfer_matrix(steps, languages, evaluations),
            scores=score_rows(steps, languages, evaluations, before, macro=macro),
            slots=slot_rows(steps, languages, slots, evaluations, before),
            metrics={name: None if np.isnan(value) else value for name, value in summary(R).items()},
            history=history_csv([step.languages for step in steps.trainings], stages),
            times=times(stages, [each.seconds for each in evaluations]),
        )


def write_run(
    folder: Path,
    run: RunPlan,
    prepared: Prepared,
    stages: Sequence[StoredHistory],
    evaluations: Sequence[StoredEvaluation],
    before: StoredEvaluation | None,
    made_with: Sequence[Mapping[str, Any]],
) -> list[str]:
    """Write a finished run's files, `matrix.csv` last, and return the warnings.

    Raises:
        OSError: the disk refuses a file. Each file is then unchanged or complete.
    """
    target = folder / "runs" / run.key
    names, macro = prepared.problem.counter(prepared.labels).names, prepared.problem.macro
    tables = RunTables.of(run.steps, prepared.study.scored, names, stages, evaluations, before, macro=macro)
    warnings = [*prepared.warnings, *warnings_of(run.steps, tables.matrix, stages, prepared.problem)]
    _json(target / "spec.json", spec_json(run, prepared, tables.scores, warnings, made_with))
    _parquet(target / "scores.parquet", tables.scores)
    _parquet(target / "slots.parquet", tables.slots)
    _json(target / "metrics.json", tables.metrics)
    write_whole(target / "history.csv", tables.history)
    _json(target / "times.json", tables.times)
    if tables.transfer is None:
        (target / "transfer.csv").unlink(missing_ok=True)  # of another `evaluate`
    else:
        write_whole(target / "transfer.csv", tables.transfer.to_csv())
    write_whole(target / "matrix.csv", tables.matrix.to_csv())
    return warnings


def _json(path: Path, value: Mapping[str, Any]) -> None:
    write_whole(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _parquet(path: Path, frame: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    write_whole(path, buffer.getvalue())
