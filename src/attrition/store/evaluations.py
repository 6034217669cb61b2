"""Chooses the utterances that each stage is scored on, and finds stored scores to reuse."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from attrition.corpus.base import Split
from attrition.corpus.dataset import content_key, ranks
from attrition.corpus.encoded import Encoded
from attrition.languages.portions import language_of_portion
from attrition.names import AttritionError
from attrition.problem.counts import Counts
from attrition.store.stages import DamagedError, Store
from attrition.streams import numpy_stream
from attrition.study.plan import Made
from attrition.study.spec import Evaluate, EvaluateOn, Study

Tests = Mapping[str, str]
"""Languages, each with the key of its test utterances."""


@dataclass(frozen=True, eq=False)
class ScoredOn:
    """The utterances that a study is scored on, chosen by its settings `evaluate` and `evaluate_on`.

    `sets` are the utterances by language. `drawn_from` is the number of all utterances, for languages scored on a sample.
    `keys` are hashes of the utterances of each language; they do not depend on the other languages.
    """

    evaluate: Evaluate
    split: EvaluateOn
    sets: Mapping[str, Encoded]
    drawn_from: Mapping[str, int]
    keys: Tests

    @staticmethod
    def choose(
        study: Study,
        encoded: Mapping[tuple[str, Split], Encoded],
        whole_encoded: Mapping[tuple[str, Split], Encoded] | None = None,
    ) -> ScoredOn:
        """Return all utterances of the split, or the sample that the study asks for; the same for all stages.

        Args:
            study: as read.
            encoded: its utterances, ids of the vocabulary in use.
            whole_encoded: the same, with ids of the model's whole vocabulary: these do not change when the study gets
                another language. By default `encoded`.

        The draw depends on `corpus.sizes.seed` and the utterance ids. All languages get the same ids, and a larger sample
        contains a smaller one.

        Raises:
            AttritionError: a language has fewer utterances than the sample.
        """
        split = study.evaluate_on
        whole = {language: encoded[language, split] for language in study.scored}
        size = study.evaluate
        if isinstance(size, str):
            return _named(size, split, whole, {}, whole_encoded)
        salt = int(numpy_stream("evaluate", study.corpus.sizes.seed).integers(2**63))
        sets, drawn_from = dict(whole), {}
        for language, each in whole.items():
            if len(each) < size:
                raise AttritionError(
                    f'evaluate = {size}, but {language} has only {len(each)} {split} utterances. Ask for fewer, or for "all".'
                )
            if len(each) > size:  # equal sizes: not a sample
                chosen = np.argsort(ranks(each.utterance_ids, salt), kind="stable")[:size]
                sets[language], drawn_from[language] = each.select(np.sort(chosen)), len(each)
        return _named(size, split, sets, drawn_from, whole_encoded)

    def of(self, job: Made, *, before: bool = False) -> Tests:
        """Return the tests of a stage's model, or of the untrained model `before` it; may be empty."""
        if self.evaluate != "seen":
            return self.keys
        if before:
            return {}
        learned = {language_of_portion(name, self.keys) for stage in job.chain for name in stage}
        return {language: key for language, key in self.keys.items() if language in learned}

    @property
    def statement(self) -> str:
        """Return the settings in sentences."""
        if self.split == "dev":
            return f"{self._statement} These are not test utterances: choose settings by these scores, and report others."
        return self._statement

    @property
    def _statement(self) -> str:
        if self.evaluate == "seen":
            on_dev = " Dev utterances are scored." if self.split == "dev" else ""
            return (
                "Each stage is scored only on the languages that its learner has learned so far. CFT, FWT, pairwise MFT and "
                "transfer to later languages are not measured. Forgetting counts from a language's own stage. Donors and "
                f"receivers are those among the learned languages.{on_dev}"
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
        """Return the settings, and the largest standard error of a cell, as a fraction and in a sentence."""
        largest = max((each for each in errors if not math.isnan(each)), default=None)
        stands_for = f"all {self.split} utterances" if self.drawn_from else "more utterances like these"
        said = "that is not known" if largest is None else f"of at most {100 * largest:.2f} points of F1"
        error = f"As an estimate for {stands_for}, each cell has a standard error {said}."
        return {"statement": self.statement, "f1_error": largest, "stands_for": stands_for, "error": error}


def _named(
    evaluate: Evaluate,
    split: EvaluateOn,
    sets: Mapping[str, Encoded],
    drawn_from: Mapping[str, int],
    whole_encoded: Mapping[tuple[str, Split], Encoded] | None,
) -> ScoredOn:
    if whole_encoded is None:
        return ScoredOn(evaluate, split, sets, drawn_from, {language: content_key(each) for language, each in sets.items()})
    keys = {}
    for language, each in sets.items():
        whole = whole_encoded[language, split]
        chosen = np.flatnonzero(np.isin(whole.utterance_ids, each.utterance_ids)) if language in drawn_from else None
        keys[language] = content_key(whole if chosen is None else whole.select(chosen))
    return ScoredOn(evaluate, split, sets, drawn_from, keys)


@dataclass(frozen=True, eq=False)
class Reused:
    """Stored counts, the seconds they took, and the languages that were scored `together`, in sequence.

    A batch holds utterances of several languages, and the batch affects rounding. To get exactly the same counts again, score
    the same languages together. If a language occurs in several of `together`, the last one counts.
    """

    counts: Mapping[str, Counts]
    seconds: float
    together: tuple[Tests, ...]


def evaluations_by_stage(store: Store) -> dict[tuple[str, bool], tuple[str, ...]]:
    """Return the keys of the stored evaluations by stage and `before`."""
    found: dict[tuple[str, bool], tuple[str, ...]] = {}
    for key in store.keys("evaluations"):
        with suppress(AttritionError):  # a damaged evaluation is not needed here
            about = store.about("evaluations", key)
            place = (str(about.get("stage")), bool(about.get("before")))
            found[place] = (*found.get(place, ()), key)
    return found


def reusable(store: Store, keys: Sequence[str], wanted: Tests) -> Reused:
    """Return stored counts of the same utterances, from other settings of `evaluate` or other languages of the study.

    Args:
        store: of the results folder.
        keys: of the evaluations of the same model.
        wanted: the tests whose counts are needed.
    """
    counts: dict[str, Counts] = {}
    together: list[Tests] = []
    seconds, covered = 0.0, set[str]()
    left: list[tuple[list[str], str, tuple[Tests, ...]]] = []
    for key in keys:
        with suppress(AttritionError):
            about = store.about("evaluations", key)
            tests = about["tests"]
            useful = [language for language, name in wanted.items() if tests.get(language) == name]
            left.append((useful, key, tuple(together_of(about))))
    for useful, key, scored in sorted(left, key=lambda each: len(each[0]), reverse=True):
        # The last of `together` counts for each language, so a language must not come twice.
        languages = {language for each in scored for language in each}
        if not useful or languages & covered:
            continue
        with suppress(DamagedError):
            found = store.load_evaluation(key)
            counts |= {language: found.counts[language] for language in useful}
            seconds, covered = seconds + found.seconds, covered | languages
            together += scored
    return Reused(counts, seconds, tuple(together))


def together_of(about: Mapping[str, Any]) -> tuple[Tests, ...]:
    """Return the languages of a stored evaluation that were scored together; all of them if it does not say."""
    together: Sequence[Tests] = about.get("together") or [about["tests"]]
    return tuple(together)
