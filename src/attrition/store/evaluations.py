"""What each stage's model is scored on, and which of it was scored before."""

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
"""Languages, and what names the utterances that each is scored on."""


@dataclass(frozen=True, eq=False)
class ScoredOn:
    """The utterances that a study is scored on, as its settings `evaluate` and `evaluate_on` have them.

    `sets` are the utterances by language, `drawn_from` the number of all there are, of languages of which a sample is scored.
    `keys` name the utterances of each language, whatever other languages the study has.
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
        """All utterances of the split, or the sample that the study asks for: the same for all stages.

        Args:
            study: as read.
            encoded: its utterances, ids of the vocabulary in use.
            whole_encoded: the same, ids of the model's whole vocabulary: the vocabulary in use, and so its ids, change when
                the study gets another language. By default `encoded`.

        Which are drawn depends on `corpus.sizes.seed` and the ids: the same ids in all languages, and a larger sample holds a
        smaller one.

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
            if len(each) > size:  # otherwise it is no sample
                chosen = np.argsort(ranks(each.utterance_ids, salt), kind="stable")[:size]
                sets[language], drawn_from[language] = each.select(np.sort(chosen)), len(each)
        return _named(size, split, sets, drawn_from, whole_encoded)

    def of(self, job: Made, *, before: bool = False) -> Tests:
        """What the model of a stage is scored on, or the untrained one `before` it; nothing, where no language is to be."""
        if self.evaluate != "seen":
            return self.keys
        if before:
            return {}
        learned = {language_of_portion(name, self.keys) for stage in job.chain for name in stage}
        return {language: key for language, key in self.keys.items() if language in learned}

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
    """Counts that are stored already, the seconds they took, and which languages were scored `together`, in sequence.

    A batch holds utterances of several languages, and sums over padded ones may be rounded otherwise: to score a stage again
    to the last count, the same languages must be scored together. A language in several of `together` is that of the last.
    """

    counts: Mapping[str, Counts]
    seconds: float
    together: tuple[Tests, ...]


def evaluations_by_stage(store: Store) -> dict[tuple[str, bool], tuple[str, ...]]:
    """Return the keys of the stored evaluations by stage and by whether they are of the model before it."""
    found: dict[tuple[str, bool], tuple[str, ...]] = {}
    for key in store.keys("evaluations"):
        with suppress(AttritionError):  # what is not needed need not be whole
            about = store.about("evaluations", key)
            place = (str(about.get("stage")), bool(about.get("before")))
            found[place] = (*found.get(place, ()), key)
    return found


def reusable(store: Store, keys: Sequence[str], wanted: Tests) -> Reused:
    """Return the counts that other settings of `evaluate`, or the study with other languages, left of the same utterances.

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
        # In each language the last of `together` counts: what was scored elsewhere already must not come again.
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
    """Which languages of a stored evaluation were scored together; all, where it says nothing."""
    together: Sequence[Tests] = about.get("together") or [about["tests"]]
    return tuple(together)
