"""Every metric against a slow second implementation: loops over plain dictionaries, counted from 1 as the formulas are.

Nothing here uses numpy's arithmetic, and nothing of the package but what is tested.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attrition.metrics import metrics_json
from attrition.metrics.matrix import RMatrix


@dataclass
class Slow:
    """One order: `r[i, x]` the score on x after step i (i = 1...T; 0 before training), only where it was measured.

    `stages[i - 1]` is what step i trains: languages, and names such as "l01 (2)" for further data of one.
    """

    stages: list[list[str]]
    columns: list[str]
    r: dict[tuple[int, str], float]

    @property
    def steps(self) -> int:
        return len(self.stages)

    def new(self, i: int) -> list[str]:
        """The languages that step i trains first."""
        return [x for x in self.stages[i - 1] if "(" not in x]

    def learned(self, i: int) -> list[str]:
        return [x for j in range(1, i + 1) for x in self.new(j)]

    def position(self, x: str) -> int | None:
        return next((i for i in range(1, self.steps + 1) if x in self.new(i)), None)

    def alone(self, x: str) -> int | None:
        """The position of a language that was trained by itself."""
        i = self.position(x)
        return None if i is None or len(self.stages[i - 1]) > 1 else i


def mean(values: list[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def minus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def p(m: Slow, i: int) -> float | None:
    if not 1 <= i <= m.steps:
        return None
    return mean([m.r.get((i, x)) for x in m.learned(i)])


def cft(m: Slow) -> float | None:
    return mean([mean([m.r.get((i, x)) for x in m.columns if x not in m.learned(i)]) for i in range(1, m.steps)])


def cft_cells(m: Slow) -> float | None:
    return mean([m.r.get((i, x)) for i in range(1, m.steps) for x in m.columns if x not in m.learned(i)])


def cbt(m: Slow, row: int, last: int) -> float | None:
    return mean([minus(m.r.get((row, x)), m.r.get((i, x))) for i in range(1, last + 1) for x in m.new(i)])


def fwt(m: Slow) -> float | None:
    return mean([minus(m.r.get((i - 1, x)), m.r.get((0, x))) for i in range(2, m.steps + 1) for x in m.new(i)])


def forgetting(m: Slow) -> float | None:
    terms = []
    for x in m.learned(m.steps - 1):
        earlier = [m.r[row, x] for row in range(1, m.steps) if (row, x) in m.r]
        terms.append(minus(max(earlier) if earlier else None, m.r.get((m.steps, x))))
    return mean(terms)


def learning_accuracy(m: Slow) -> float | None:
    return mean([m.r.get((i, x)) for i in range(1, m.steps + 1) for x in m.new(i)])


def mft(m: Slow, x: str, h: int) -> float | None:
    i = m.alone(x)
    return None if i is None else minus(p(m, i + h), p(m, i - 1))


def mbt(m: Slow, x: str, h: int) -> float | None:
    i = m.alone(x)
    return None if i is None else minus(p(m, i), p(m, i - h - 1))


def pairwise(m: Slow, x: str, distance: int) -> float | None:
    i = m.alone(x)
    if i is None or i - 1 < 1 or not 1 <= i + distance <= m.steps or distance == 0:
        return None
    return mean([minus(m.r.get((i, other)), m.r.get((i - 1, other))) for other in m.new(i + distance)])


def shift_fixed(m: Slow, x: str) -> float | None:
    i = m.alone(x)
    if i is None:
        return None
    return mean([minus(m.r.get((i, earlier)), m.r.get((i - 1, earlier))) for earlier in m.learned(i - 1)])


def cells(ms: list[Slow], which: str) -> list[tuple[str, str, float | None]]:
    """Every (trained, changed, change) of every stage but the first, one after another."""
    found = []
    for m in ms:
        for a in m.columns:
            i = m.alone(a)
            if i is None or i == 1:
                continue
            for b in m.columns:
                j = m.position(b)
                if (
                    b == a
                    or (which == "learned" and (j is None or j >= i))
                    or (which == "unlearned" and j is not None and j <= i)
                ):
                    continue
                found.append((a, b, minus(m.r.get((i, b)), m.r.get((i - 1, b)))))
    return found


def one_for_each_order(ms: list[Slow]) -> list[Slow]:
    """One order several times is the mean of its measured scores; copies count once."""
    found: list[list[Slow]] = []
    for m in ms:
        for same in found:
            if same[0].stages == m.stages and sorted(same[0].columns) == sorted(m.columns):
                if all({k: v for k, v in m.r.items() if k[0]} != {k: v for k, v in each.r.items() if k[0]} for each in same):
                    same.append(m)
                break
        else:
            found.append([m])
    means = []
    for same in found:
        keys = {key for m in same for key in m.r if key[0] or all(any(i == 0 for i, _ in each.r) for each in same)}
        r = {key: sum(m.r[key] for m in same if key in m.r) / sum(key in m.r for m in same) for key in keys}
        means.append(Slow(same[0].stages, same[0].columns, r))
    return means


def slowly(ms: list[Slow]) -> dict[str, object]:
    columns: list[str] = []
    for m in ms:
        columns += [x for x in m.columns if x not in columns]
    single = []
    for m in ms:
        t = m.steps
        single.append(
            {
                "learned_mean": [p(m, i) for i in range(1, t + 1)],
                "final_mean": p(m, t),
                "cft": cft(m),
                "cft_cells": cft_cells(m),
                "cbt": cbt(m, t, t - 1),
                "cbt_literal": cbt(m, t - 1, t - 1),
                "bwt": cbt(m, t, t - 1),
                "fwt": fwt(m),
                "forgetting": forgetting(m),
                "learning_accuracy": learning_accuracy(m),
            }
        )
    every: dict[str, object] = {"matrices": single}
    ms = one_for_each_order(ms)
    for name, signed in (("mft", 1), ("mbt", -1)):
        whole = mft if name == "mft" else mbt
        every[name] = {x: [mean([whole(m, x, h) for m in ms]) for h in range(10)] for x in columns}
        every[f"{name}_n"] = {x: [sum(whole(m, x, h) is not None for m in ms) for h in range(10)] for x in columns}
        every[f"{name}_pairwise"] = {x: [mean([pairwise(m, x, signed * h) for m in ms]) for h in range(10)] for x in columns}
    growing = {x: mean([mft(m, x, 0) for m in ms]) for x in columns}
    fixed = {x: mean([shift_fixed(m, x) for m in ms]) for x in columns}
    every["shift_growing"] = growing
    every["shift_fixed"] = fixed
    every["composition"] = {x: minus(growing[x], fixed[x]) for x in columns}
    every["p_avg"] = mean([minus(p(m, t), p(m, t + 1)) for m in ms for t in range(1, m.steps)])
    for name, which in (("donor", "all"), ("donor_learned", "learned"), ("donor_unlearned", "unlearned")):
        every[name] = {x: mean([change for a, _, change in cells(ms, which) if a == x]) for x in columns}
    for name, which in (("receiver", "all"), ("receiver_learned", "learned")):
        every[name] = {x: mean([change for _, b, change in cells(ms, which) if b == x]) for x in columns}
    return every


def stages_of(trained: list[list[str]], rng: np.random.Generator) -> list[list[str]]:
    """Some languages moved into the stage before theirs, and further data of languages put into later stages, or new ones."""
    stages: list[list[str]] = []
    for stage in trained:
        if stages and rng.random() < 0.3:
            stages[-1] += stage
        else:
            stages.append(list(stage))
    for number, again in enumerate(rng.integers(0, len(stages), size=rng.integers(0, 4)), start=2):
        language = stages[again][0].partition(" ")[0]
        after = next(place for place, stage in enumerate(stages) if language in stage) + 1
        place = int(rng.integers(after, len(stages) + 1))
        name = f"{language} ({number})"
        if place == len(stages) or rng.random() < 0.5:
            stages.insert(place, [name])
        else:
            stages[place].append(name)
    return stages


@st.composite
def several(draw: st.DrawFn) -> list[RMatrix]:
    """One to four orders of up to 13 languages (more than ten, so that hop 9 is reached), some cells and rows not measured.

    Half of the draws have stages of several languages, and stages with further data of languages learned before.
    """
    num_languages = draw(st.integers(1, 13))
    columns = [f"l{number:02}" for number in range(num_languages)]
    num_trained = draw(st.integers(max(1, num_languages - 2), num_languages))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    share_missing = draw(st.sampled_from([0.0, 0.0, 0.1, 0.6]))
    joined = draw(st.booleans())
    matrices = []
    for _ in range(draw(st.integers(1, 4))):
        trained = [[str(x)] for x in rng.permutation(columns)[:num_trained]]
        if joined:
            trained = stages_of(trained, rng)
        scores = rng.random((len(trained) + 1, num_languages))
        scores[rng.random(scores.shape) < share_missing] = np.nan
        shuffled = tuple(str(x) for x in rng.permutation(columns))
        before = scores[0] if draw(st.booleans()) else None
        matrices.append(RMatrix(scores[1:], shuffled, tuple(map(tuple, trained)), before))
    return matrices


def plain(matrix: RMatrix) -> Slow:
    rows = [(i, row) for i, row in enumerate(matrix.scores_SL.tolist(), start=1)]
    if matrix.before_L is not None:
        rows.append((0, matrix.before_L.tolist()))
    r = {(i, x): score for i, row in rows for x, score in zip(matrix.languages, row, strict=True) if not math.isnan(score)}
    return Slow([list(stage) for stage in matrix.trained], list(matrix.languages), r)


def assert_same(ours: object, theirs: object, path: str) -> None:
    if isinstance(theirs, dict):
        assert isinstance(ours, dict), path
        for key, value in theirs.items():
            assert_same(ours[key], value, f"{path}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), path
        assert len(ours) == len(theirs), path
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{path}[{place}]")
    elif theirs is None:
        assert ours is None, path
    else:
        assert ours == pytest.approx(theirs, abs=1e-12), path


@settings(max_examples=60, deadline=None)
@given(matrices=several())
def test_every_metric_equals_its_formula_in_loops(matrices: list[RMatrix], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("matrices")
    paths = [folder / f"R{number}.csv" for number in range(len(matrices))]
    for matrix, path in zip(matrices, paths, strict=True):
        matrix.to_csv(path)
    ours = json.loads(json.dumps(metrics_json(paths), allow_nan=False))
    assert_same(ours, slowly([plain(matrix) for matrix in matrices]), "metrics")
