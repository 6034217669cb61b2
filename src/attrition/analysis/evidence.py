"""The runs behind a conclusion, and their independent replicates (see `results.replicates`).

Shape letters: O replicates, L languages.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from attrition.analysis.quantities import Values
from attrition.languages import NONE_OF_ONES_OWN, OwnLanguages
from attrition.metrics.matrix import RMatrix
from attrition.metrics.means import mean_measured
from attrition.metrics.several import Floats, languages_of, one_per_order
from attrition.results.covariates import Covariates, read_covariates
from attrition.results.read import Results
from attrition.results.replicates import distinct, per_replicate, replicate_of
from attrition.results.spec import Series, Settings, Setup

if TYPE_CHECKING:
    from attrition.analysis.utterances import Utterances

T = TypeVar("T")

UNKNOWN_SETUP = Setup()

FEWEST_ORDERS = 5
"""The smallest number of orders for a verdict on anything that depends on the order of languages."""

SEQUENTIAL = ("VANILLA", "SHARED LoRA")
"""The methods for claims about languages: the first of them with runs is used."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RunEvidence:
    """One run: R, and the settings that distinguish it.

    `kind` is the paper's name of its method ("" for others); `shared_by` is what the languages of one learner share;
    `stages` identifies its trained stages, if known.
    """

    matrix: RMatrix
    kind: str = ""
    shared_by: str = "all"
    rank: int | None = None
    setup: Setup = UNKNOWN_SETUP
    training: Settings = ()
    seed: int = 0
    order_matters: bool = True
    stages: frozenset[str] = frozenset()

    @property
    def replicate(self) -> Hashable:
        """The key of this run's replicate among the runs of its method."""
        return replicate_of(self.matrix, self.seed, order_matters=self.order_matters)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All runs. `generated`: the corpus is not real language; `utterances`: the stored counts, if any.

    `covariates` of languages and pairs come from the results folders, by set-up, because sub-tokens depend on the model. `own`
    is the content of the user's file of languages; `score` is the name of the score.
    """

    runs: tuple[RunEvidence, ...]
    generated: bool = False
    utterances: Utterances | None = None
    covariates: Mapping[Setup, Covariates] = field(default_factory=dict)
    own: OwnLanguages = field(default_factory=lambda: NONE_OF_ONES_OWN)
    score: str = "F1"

    @cached_property
    def _main(self) -> Setup:
        return _most_replicated(self.runs, lambda run: run.setup) or UNKNOWN_SETUP

    def of(
        self,
        kind: str,
        *,
        rank: int | None = None,
        setup: Setup | None = None,
        shared_by: str | None = None,
    ) -> tuple[RunEvidence, ...]:
        """Return runs of a method that differ only in order and seed.

        Without a wish for the set-up, the rank or the grouping, those with the most replicates are taken; so is the training.
        """
        alike = [run for run in self.runs if run.kind == kind and run.setup == (self._main if setup is None else setup)]
        alike = [run for run in alike if rank in (None, run.rank) and shared_by in (None, run.shared_by)]
        chosen = _most_replicated(alike, _settings)
        return tuple(run for run in alike if _settings(run) == chosen)

    def by_rank(
        self, kind: str, *, setup: Setup | None = None, shared_by: str | None = None
    ) -> dict[int, tuple[RunEvidence, ...]]:
        """Return runs of a method at each rank, in ascending order: the same set-up and the same training.

        Only `alpha` may differ, because it is often a multiple of the rank.
        """
        wanted = self._main if setup is None else setup
        alike = [run for run in self.runs if run.kind == kind and run.setup == wanted and run.rank is not None]
        alike = [run for run in alike if shared_by in (None, run.shared_by)]
        by_training: dict[Hashable, dict[int, list[RunEvidence]]] = {}
        for run in sorted(alike, key=lambda run: run.rank or 0):
            training = tuple((name, value) for name, value in run.training if name != "lora.alpha")
            by_training.setdefault(training, {}).setdefault(run.rank or 0, []).append(run)

        def weight(ranks: Mapping[int, Sequence[RunEvidence]]) -> tuple[int, int]:
            return len(ranks), sum(len({run.replicate for run in runs}) for runs in ranks.values())

        chosen = max(by_training.values(), key=weight, default={})
        best = {rank: _most_replicated(runs, _settings) for rank, runs in chosen.items()}
        return {rank: tuple(run for run in runs if _settings(run) == best[rank]) for rank, runs in chosen.items()}

    def sequential(self, setup: Setup | None = None) -> tuple[RunEvidence, ...]:
        """Return the sequential runs of VANILLA, else of SHARED LoRA, else of unnamed methods."""
        found = [self.of(kind, setup=setup) for kind in SEQUENTIAL]
        return next((runs for runs in found if runs), self.of("", setup=setup))

    @property
    def series(self) -> tuple[tuple[RunEvidence, ...], ...]:
        """The runs, those together that differ only in order and seed."""
        found: dict[Hashable, list[RunEvidence]] = {}
        for run in self.runs:
            found.setdefault((run.kind, run.setup, _settings(run)), []).append(run)
        return tuple(map(tuple, found.values()))

    @property
    def setups(self) -> tuple[Setup, ...]:
        """Every set-up among the runs."""
        return tuple(dict.fromkeys(run.setup for run in self.runs))


def _settings(run: RunEvidence) -> Hashable:
    return (run.rank, run.shared_by, run.training)


def _most_replicated(runs: Iterable[RunEvidence], key: Callable[[RunEvidence], T]) -> T | None:
    """Return the key of the runs with the most replicates; None without runs.

    The largest number of replicates of one series decides, then the number of all replicates, then that of runs.
    """
    found: dict[T, dict[Hashable, list[Hashable]]] = {}
    for run in runs:
        found.setdefault(key(run), {}).setdefault((run.kind, _settings(run)), []).append(run.replicate)

    def weight(each: T) -> tuple[int, int, int]:
        numbers = [len(set(replicates)) for replicates in found[each].values()]
        return max(numbers), sum(numbers), sum(map(len, found[each].values()))

    return max(found, key=weight, default=None)


def from_matrices(matrices: Sequence[RMatrix]) -> Evidence:
    """Return evidence of matrices of one method, one file an order (or an order with another seed)."""
    return Evidence(tuple(RunEvidence(matrix=R, seed=number) for number, R in enumerate(matrices)))


def from_results(results: Results) -> Evidence:
    """Return the runs of a results folder as evidence, with their test utterances; counts are read on demand."""
    from attrition.analysis.utterances import utterances_of  # avoids an import cycle

    runs = []
    by_folder = {folder: read_covariates(folder) for folder in dict.fromkeys(run.folder.parent.parent for run in results.runs)}
    found: dict[Setup, Covariates] = {}
    for run in results.runs:
        series, method = run.series, run.spec.method
        if (own := by_folder[run.folder.parent.parent]) is not None:
            found.setdefault(series.setup, own)
        runs.append(
            RunEvidence(
                matrix=run.matrix,
                kind=series.kind or f"({series.method})",
                shared_by=method.shared_by,
                rank=series.rank,
                setup=series.setup,
                training=series.training,
                seed=run.spec.seed,
                order_matters=method.order_matters,
                stages=run.stages,
            )
        )
    generated = any(run.spec.corpus.generated for run in results.runs)
    return Evidence(
        tuple(runs),
        generated=generated,
        utterances=utterances_of(results),
        covariates=found,
        own=results.own_languages,
        score=results.score,
    )


def by_series(results: Results) -> dict[Series, tuple[RunEvidence, ...]]:
    """Return the runs of a results folder as evidence, by series, in the order of `results.series`."""
    found: dict[Series, list[RunEvidence]] = {series: [] for series in results.series}
    for run, evidence in zip(results.runs, from_results(results).runs, strict=True):
        found[run.series].append(evidence)
    return {series: tuple(runs) for series, runs in found.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class Replicates:
    """One number per replicate and language: `values_OL`, NaN where undefined; `weights_OL`: the cells behind each."""

    languages: tuple[str, ...]
    values_OL: Floats
    weights_OL: Floats
    keys: tuple[Hashable, ...]

    @property
    def number(self) -> int:
        """O."""
        return len(self.keys)

    def column(self, language: str) -> tuple[Floats, Floats]:
        """Return the values and weights of one language, each (O,)."""
        place = self.languages.index(language)
        return self.values_OL[:, place], self.weights_OL[:, place]


def replicates(runs: Sequence[RunEvidence], function: Callable[[RMatrix], Values]) -> Replicates:
    """Return a quantity per replicate and language: runs of one replicate are averaged, copies left out.

    >>> R = RMatrix.sequential("ab", [[.5, .25], [.375, .75]])
    >>> runs = from_matrices([R, R]).runs  # one order twice, to the bit
    >>> replicates(runs, lambda R: (np.array(R.own_L), np.ones(2))).values_OL.tolist()
    [[0.5, 0.75]]
    """
    return tabulated(distinct(runs), function)


def tabulated(kept: Sequence[RunEvidence], function: Callable[[RMatrix], Values]) -> Replicates:
    """Return a quantity per replicate and language, from runs without copies."""
    languages = languages_of([run.matrix for run in kept])
    rows = [_lined_up(run.matrix, languages, function) for run in kept]
    return Replicates(
        languages=languages,
        values_OL=per_replicate(kept, [values_L for values_L, _ in rows]),
        weights_OL=per_replicate(kept, [weights_L for _, weights_L in rows]),
        keys=tuple(dict.fromkeys(run.replicate for run in kept)),
    )


def _lined_up(R: RMatrix, languages: Sequence[str], function: Callable[[RMatrix], Values]) -> tuple[Floats, Floats]:
    found_L, weight_L = function(R)
    shape = (len(languages), *found_L.shape[1:])  # (L,), or (L, ...) of a function with several numbers per language
    values_L, weights_L = np.full(shape, np.nan), np.zeros(shape)
    places = [languages.index(language) for language in R.languages]
    values_L[places], weights_L[places] = found_L, weight_L
    return values_L, weights_L


def seeds_averaged(runs: Sequence[RunEvidence]) -> tuple[RMatrix, ...]:
    """Return one matrix for each order: the mean over its seeds, copies left out.

    >>> runs = from_matrices([RMatrix.sequential("ab", [[.5, .25], [.375, own]]) for own in (0.5, 0.75)]).runs
    >>> [R.scores_SL.tolist() for R in seeds_averaged(runs)]
    [[[0.5, 0.25], [0.375, 0.625]]]
    """
    return one_per_order([run.matrix for run in distinct(runs)])


def are_paired(one: Replicates, other: Replicates) -> bool:
    """Return True if the orders of one side are all among those of the other, and there are several. Seeds are no pairs."""
    orders = all(isinstance(key, tuple) for key in (*one.keys, *other.keys))
    within = set(one.keys) <= set(other.keys) or set(other.keys) <= set(one.keys)
    return orders and within and min(one.number, other.number) > 1


def paired(one: Replicates, other: Replicates) -> Replicates:
    """Return `one` minus `other`: per common replicate if they are paired, else minus the mean of the side with fewer."""
    languages = tuple(language for language in one.languages if language in other.languages)
    first_OL = one.values_OL[:, [one.languages.index(language) for language in languages]]
    second_OL = other.values_OL[:, [other.languages.index(language) for language in languages]]
    weights_OL = one.weights_OL[:, [one.languages.index(language) for language in languages]]
    if are_paired(one, other):
        common = [key for key in one.keys if key in other.keys]
        here, there = [one.keys.index(key) for key in common], [other.keys.index(key) for key in common]
        return Replicates(
            languages=languages, values_OL=first_OL[here] - second_OL[there], weights_OL=weights_OL[here], keys=tuple(common)
        )
    if one.number >= other.number:
        return Replicates(
            languages=languages, values_OL=first_OL - mean_measured(second_OL, axis=0), weights_OL=weights_OL, keys=one.keys
        )
    return Replicates(
        languages=languages,
        values_OL=mean_measured(first_OL, axis=0) - second_OL,
        weights_OL=np.ones_like(second_OL),
        keys=other.keys,
    )
