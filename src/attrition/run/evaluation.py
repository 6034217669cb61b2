"""What each stage's model is scored on, and which of it was scored before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from attrition.corpus.base import Split
from attrition.corpus.dataset import content_key, ranks
from attrition.corpus.encoded import Encoded
from attrition.names import AttritionError
from attrition.run.keys import evaluation_key
from attrition.run.spec import Evaluate, EvaluateOn, Study
from attrition.run.store import DamagedError, Store
from attrition.run.study import Job
from attrition.streams import numpy_stream
from attrition.training.score import Counts

Tests = Mapping[str, str]
"""Languages, and what names the utterances that each is scored on."""


@dataclass(frozen=True, eq=False)
class ScoredOn:
    """The utterances that a study is scored on, as its settings `evaluate` and `evaluate_on` have them.

    `sets` are the utterances by language, `drawn_from` the number of all there are, of languages of which a sample is scored.
    """

    evaluate: Evaluate
    split: EvaluateOn
    sets: Mapping[str, Encoded]
    drawn_from: Mapping[str, int]

    @staticmethod
    def choose(study: Study, encoded: Mapping[tuple[str, Split], Encoded]) -> ScoredOn:
        """All utterances of the split, or the sample that the study asks for: the same for all stages.

        Which are drawn depends on `corpus.sizes.seed` and the ids: the same ids in all languages, and a larger sample holds a
        smaller one.

        Raises:
            AttritionError: a language has fewer utterances than the sample.
        """
        split = study.evaluate_on
        whole = {language: encoded[language, split] for language in study.languages}
        size = study.evaluate
        if isinstance(size, str):
            return ScoredOn(size, split, whole, {})
        salt = int(numpy_stream("evaluate", study.corpus.sizes.seed).integers(2**63))
        sets, drawn_from = dict(whole), {}
        for language, each in whole.items():
            if len(each) < size:
                raise AttritionError(
                    f'evaluate = {size}, but {language} has only {len(each)} {split} utterances. Ask for fewer, or for "all".'
                )
            if len(each) > size:  # otherwise it is no sample
                chosen = np.argsort(ranks(each.utterance_ids, salt), kind="stable")[:size]
                sets[language], drawn_from[language] = each.select(np.sort(chosen)), len(each)
        return ScoredOn(size, split, sets, drawn_from)

    @cached_property
    def keys(self) -> Tests:
        """What names the utterances of each language."""
        return {language: content_key(each) for language, each in self.sets.items()}

    def of(self, job: Job, *, before: bool = False) -> Tests:
        """What the model of a stage is scored on, or the untrained one `before` it; nothing, where no language is to be."""
        if self.evaluate != "seen":
            return self.keys
        return {} if before else {language: key for language, key in self.keys.items() if language in _learned(job)}

    def narrower_and_wider(self, job: Job) -> tuple[Tests, ...]:
        """What the same model is scored on under other settings, with the same utterances."""
        return ({language: key for language, key in self.keys.items() if language in _learned(job)}, self.keys)

    @property
    def statement(self) -> str:
        """The settings in sentences."""
        if self.split == "dev":
            return f"{self._statement} These are not test utterances: choose settings by these scores, and report others."
        return self._statement

    @property
    def _statement(self) -> str:
        if self.evaluate == "seen":
            on_dev = " Dev utterances are scored." if self.split == "dev" else ""
            return (
                "After a stage only the languages are scored that its learner has been trained on so far. Not measured are "
                "CFT, FWT, pairwise MFT and what a language gives to those to come; forgetting counts from a language's "
                f"own stage, and donors and receivers are those among the languages learned.{on_dev}"
            )
        sizes = sorted(set(self.drawn_from.values()))
        if not sizes:
            return f"Every stage is scored on all {self.split} utterances of all languages."
        of = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        return (
            f"Every stage is scored on {self.evaluate:,} of the {of} {self.split} utterances of each language, drawn at random "
            "once."
        )

    def about(self, errors: Iterable[float]) -> dict[str, Any]:
        """What the settings mean, and the largest standard error of a cell, as a fraction and in a sentence."""
        largest = max((each for each in errors if not math.isnan(each)), default=None)
        stands_for = f"all {self.split} utterances" if self.drawn_from else "more utterances like these"
        said = "that is not known" if largest is None else f"of at most {100 * largest:.2f} points of F1"
        error = f"As an estimate for {stands_for}, each cell has a standard error {said}."
        return {"statement": self.statement, "f1_error": largest, "stands_for": stands_for, "error": error}


def _learned(job: Job) -> frozenset[str]:
    """The languages that a stage's learner has been trained on by its end."""
    return frozenset(language for stage in job.chain for language in stage)


@dataclass(frozen=True, eq=False)
class Reused:
    """Counts that are stored already, the seconds they took, and which languages were scored `together`, in sequence.

    A batch holds utterances of several languages, and sums over padded ones may be rounded otherwise: to score a stage again
    to the last count, the same languages must be scored together. A language in several of `together` is that of the last.
    """

    counts: Mapping[str, Counts]
    seconds: float
    together: tuple[Tests, ...]


def reusable(store: Store, job: Job, scored_on: ScoredOn, *, before: bool) -> Reused:
    """What another setting of `evaluate` has left of a stage's scores on the same utterances."""
    wanted = scored_on.of(job, before=before)
    for tests in scored_on.narrower_and_wider(job):
        key = evaluation_key(job.key, tests, before=before)
        if tests == wanted or not store.has("evaluations", key):
            continue
        try:
            found, together = store.load_evaluation(key), together_of(store.about("evaluations", key))
        except DamagedError:
            continue  # what is not needed need not be whole
        counts = {language: each for language, each in found.counts.items() if language in wanted}
        return Reused(counts, found.seconds, together)
    return Reused({}, 0.0, ())


def together_of(about: Mapping[str, Any]) -> tuple[Tests, ...]:
    """Which languages of a stored evaluation were scored together; all, where it says nothing."""
    together: Sequence[Tests] = about.get("together") or [about["tests"]]
    return tuple(together)
