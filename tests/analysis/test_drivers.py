"""The table of changes by plain loops, and drivers on worlds whose effects are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attrition.analysis.changes import Changes, changes, covariates
from attrition.analysis.drivers import Drivers, fit_drivers
from attrition.languages import LANGUAGES
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError, UnknownNameError

LANGUAGES_16 = tuple(LANGUAGES)[::3][:16]


def world(
    seed: int, *, same_script: float = 0.0, position: float = 0.0, num_orders: int = 4, num_seeds: int = 1
) -> list[RMatrix]:
    """Each stage changes every language by donor + receiver + pair + stage + noise, and by two known effects, in points.

    `same_script` is that of pairs of one script, `position` that of one unit of log(number of languages learned before).
    """
    rng = np.random.default_rng(seed)
    n = len(LANGUAGES_16)
    scripts = np.array([LANGUAGES[locale].script for locale in LANGUAGES_16])
    effect = rng.normal(0, 0.5, n)[:, None] + rng.normal(0, 0.4, n) + rng.normal(0, 0.3, (n, n))
    effect += same_script * (scripts[:, None] == scripts)
    matrices = []
    for _ in range(num_orders):
        order = rng.permutation(n)
        for _ in range(num_seeds):
            steps = effect[order] + rng.normal(0, 0.3, (n, 1)) + rng.normal(0, 0.4, (n, n))
            steps += position * np.log(np.maximum(np.arange(n), 1))[:, None]
            steps[0] = 0
            trained = tuple((LANGUAGES_16[place],) for place in order)
            matrices.append(RMatrix(0.5 + np.cumsum(steps, axis=0) / 100, LANGUAGES_16, trained))
    return matrices


def only_same_script(matrices: list[RMatrix]) -> Drivers:
    table = changes(matrices, scope="all")
    known = covariates(table)
    chosen = [column for column in known.columns if column.name == "same_script"]
    return fit_drivers(table, type(known)(position=known.position, columns=tuple(chosen), notes=()))


@pytest.mark.parametrize("scope", ["learned", "unlearned", "all"])
def test_changes_equal_plain_loops(scope: str) -> None:
    scores = np.random.default_rng(1).random((4, 5))
    scores[2, 0] = np.nan
    R = RMatrix(scores, tuple("abcde"), (("b",), ("a",), ("c", "d"), ("e",)))
    other = RMatrix(scores[:2, :2], ("e", "b"), (("e",), ("b",)))
    found = changes([R, other], scope=scope)  # type: ignore[arg-type]
    expected = []
    for run, each in enumerate([R, other]):
        for stage, language in itertools.product(range(1, each.num_stages), each.languages):
            if len(each.trained[stage]) > 1 or language == each.trained[stage][0]:
                continue
            at = each.learned_at[language]
            learned = at is not None and at < stage
            if scope != "all" and learned != (scope == "learned"):
                continue
            column = each.languages.index(language)
            change = 100 * (each.scores_SL[stage, column] - each.scores_SL[stage - 1, column])
            if not np.isnan(change):
                count = sum(len(names) for names in each.trained[:stage])
                expected.append((run, stage + 1, each.trained[stage][0], language, learned, count, pytest.approx(change)))
    names = np.array(found.languages)
    columns = (found.run_N, found.stage_N, names[found.donor_N], names[found.receiver_N], found.learned_N, found.num_learned_N)
    assert list(zip(*columns, found.points_N, strict=True)) == expected
    assert found.orders == ("1", "2")


def test_runs_of_one_sequence_are_seeds_of_one_order() -> None:
    table = changes(world(0, num_orders=2, num_seeds=2))
    assert (table.orders, table.seeds) == (("1", "2"), ("0", "1"))
    assert len(np.unique(table.run_N)) == 4
    fit = fit_drivers(table, covariates(table)).fit
    assert {component.name for component in fit.components} == {
        "donor", "receiver", "pair", "order", "run", "stage", "order_stage", "residual"
    }  # fmt: skip


def test_seeds_of_one_order_are_not_so_many_orders() -> None:
    """Three seeds that are almost equal tell as much as one: the interval of the position hardly becomes narrower."""
    widths = []
    for seed in range(4):
        matrices = world(seed, num_orders=4)
        rng = np.random.default_rng(seed)
        near = [RMatrix(R.scores_SL + rng.normal(0, 1e-4, R.scores_SL.shape), R.languages, R.trained) for R in matrices * 3]
        found = []
        for given in (matrices, near):
            table = changes(given, scope="all")
            by = covariates(table)
            position = fit_drivers(table, type(by)(position=by.position, columns=(), notes=())).position
            assert position is not None
            found.append(position.high - position.low)
        widths.append(found[1] / found[0])
    assert min(widths) > 0.9


def test_covariates_hold_what_the_languages_are() -> None:
    table = changes(world(0), scope="all")
    overlap = {(a, b): float(i * j) for (i, a), (j, b) in itertools.product(enumerate(LANGUAGES_16), repeat=2)}
    found = covariates(
        table,
        extra_language={
            "fertility": {locale: len(locale) + place**2 for place, locale in enumerate(LANGUAGES_16)},
            "blank": {},
        },
        extra_pair={"overlap": overlap, "constant": dict.fromkeys(overlap, 1.0)},
    )
    columns = {column.name: column for column in found.columns}
    assert found.notes == (
        "donor_blank was left out: it is not known for every language or pair of the table.",
        "receiver_blank was left out: it is not known for every language or pair of the table.",
        "constant was left out: it has one value in all rows.",
    )
    for row in (0, 100, len(table) - 1):
        a, b = (table.languages[places[row]] for places in (table.donor_N, table.receiver_N))
        one, other = LANGUAGES[a], LANGUAGES[b]
        for attribute in ("script", "family", "branch"):
            assert columns[f"same_{attribute}"].values_N[row] == (one.value(attribute) == other.value(attribute))
        assert columns["donor_latin"].values_N[row] == one.latin
        tokens = columns["receiver_log_tokens"]
        assert tokens.values_N[row] * tokens.sd + tokens.mean == pytest.approx(np.log(other.cc100_tokens_m))
        pair = columns["overlap"]
        assert pair.values_N[row] * pair.sd + pair.mean == pytest.approx(overlap[a, b])
    assert all(abs(c.values_N.mean()) < 1e-9 and abs(c.values_N.std() - 1) < 1e-9 for c in found.columns if not c.binary)
    repeated = covariates(table, extra_pair={"again": {pair: 2 * value for pair, value in overlap.items()}, "overlap": overlap})
    assert repeated.notes == ("overlap was left out: it follows from the columns before it.",)
    unknown = covariates(changes(RMatrix.sequential("abc", np.eye(3) / 2)))
    assert not unknown.columns
    assert len(unknown.notes) == 9


def test_known_effect_is_found_and_explains() -> None:
    inside, explained = 0, []
    for seed in range(8):
        found = only_same_script(world(seed, same_script=1.5))
        (driver,) = found.drivers
        inside += driver.together.low < 1.5 < driver.together.high
        assert driver.together.estimate == pytest.approx(1.5, abs=0.35)
        assert driver.together.p < 1e-6
        assert driver.alone == driver.together
        explained.append(driver.explained_alone)
    assert inside >= 6  # of 8 at 95%: fewer have a chance of 0.6%
    assert np.mean(explained) > 0.15


def test_the_known_effect_of_the_position_is_found_with_covariates_and_without() -> None:
    inside = inside_alone = 0
    for seed in range(8):
        table = changes(world(seed, position=-0.8), scope="all")
        known = covariates(table)
        assert known.position is not None
        found = fit_drivers(table, type(known)(position=known.position, columns=known.columns[:2], notes=()))
        assert found.position is not None
        assert found.position_alone is not None
        truth = -0.8 * known.position.sd
        inside += found.position.low < truth < found.position.high
        inside_alone += found.position_alone.low < truth < found.position_alone.high
        without = fit_drivers(table, type(known)(position=known.position, columns=(), notes=()))
        assert found.position_alone == without.position == without.position_alone
    assert min(inside, inside_alone) >= 6  # of 8 at 95%: fewer have a chance of 0.6%


def test_full_model_and_its_parts() -> None:
    table = changes(world(1, same_script=1.5), scope="learned")
    known = covariates(table)
    found = fit_drivers(table, known)
    assert found.fit.converged
    by_name = {driver.name: driver for driver in found.drivers}
    assert set(by_name) == {column.name for column in known.columns}
    assert by_name["same_script"].explained_on_top > 0.1
    assert all(0 <= driver.explained_alone < 1 and 0 <= driver.explained_on_top < 1 for driver in found.drivers)
    assert all(driver.alone.low < driver.alone.estimate < driver.alone.high for driver in found.drivers)
    effects = [strength.effect for strength in found.donors]
    assert effects == sorted(effects, reverse=True)
    assert {strength.language for strength in found.receivers} <= set(LANGUAGES_16)
    assert "Factor run was left out: its levels are those of order." in found.notes


def test_donors_come_back() -> None:
    """Without covariates a donor's predicted effect follows the mean of its row."""
    table = changes(world(2, num_orders=8), scope="all")
    known = covariates(table)
    found = fit_drivers(table, type(known)(position=known.position, columns=(), notes=()))
    means = {language: table.points_N[table.donor_N == place].mean() for place, language in enumerate(table.languages)}
    ours = [strength.effect for strength in found.donors]
    assert np.corrcoef(ours, [means[strength.language] for strength in found.donors])[0, 1] > 0.98
    assert found.explained == 0


def test_known_variance_comes_off_the_residual() -> None:
    table = changes(world(3), scope="all")
    known = covariates(table)
    nothing = type(known)(position=known.position, columns=(), notes=())
    plain, less = fit_drivers(table, nothing), fit_drivers(table, nothing, np.full(len(table), 0.05))
    assert less.fit.variance("residual") == pytest.approx(plain.fit.variance("residual") - 0.05, rel=1e-3)


@pytest.mark.long
def test_a_covariate_without_effect_is_rarely_significant() -> None:
    found = [only_same_script(world(1000 + seed, num_orders=3)).drivers[0].together.p < 0.05 for seed in range(100)]
    assert 0 <= np.mean(found) <= 0.12  # more than 12 of 100 have a chance of 0.2% at 5%


def test_mistakes_are_answered() -> None:
    R = RMatrix.sequential("abc", np.eye(3) / 2)
    with pytest.raises(UnknownNameError, match="Did you mean 'learned'"):
        changes(R, scope="learnt")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="2 labels for 1 matrices"):
        changes(R, orders=["x", "y"])
    with pytest.raises(AttritionError, match="No change in scope 'learned'"):
        changes(RMatrix([[0.5, 0.5]], ("a", "b"), (("a", "b"),)))
    table: Changes = changes(R)
    with pytest.raises(AttritionError, match="too few"):
        fit_drivers(table, covariates(table))


def test_columns_that_nearly_repeat_others_are_left_out_by_name() -> None:
    """Celsius and Fahrenheit, rounded to six digits, are no exact copies; the equations of both would be singular."""
    table = changes(world(0))
    rng = np.random.default_rng(1)
    celsius = {name: float(value) for name, value in zip(LANGUAGES_16, rng.normal(size=16), strict=True)}
    given = {
        "celsius": celsius,
        "fahrenheit": {name: round(32 + 1.8 * value + 1e-6 * rng.normal(), 6) for name, value in celsius.items()},
        "same": dict.fromkeys(LANGUAGES_16, 0.1),
    }
    by = covariates(table, extra_language=given)
    assert {"donor_celsius", "receiver_celsius"} <= {column.name for column in by.columns}
    for side in ("donor", "receiver"):
        assert f"{side}_fahrenheit was left out: it follows from the columns before it." in by.notes
        assert f"{side}_same was left out: it has one value in all rows." in by.notes
    found = fit_drivers(table, by)
    assert found.fit.converged
    assert all(abs(driver.together.estimate) < 20 for driver in found.drivers)


def test_as_many_covariates_as_languages_are_noted() -> None:
    table = changes(world(0))
    rng = np.random.default_rng(2)
    given = {f"x{number}": dict(zip(LANGUAGES_16, rng.normal(size=16).tolist(), strict=True)) for number in range(20)}
    by = covariates(table, extra_language=given)
    donors = [column.name for column in by.columns if column.name.startswith("donor_")]
    assert len(donors) <= 15
    assert any(note.startswith(f"{len(donors)} covariates of 16 donors leave next to nothing") for note in by.notes)
    assert not any("leave next to nothing" in note for note in covariates(table, extra_language={"x0": given["x0"]}).notes)


def test_a_variance_of_zero_gives_no_interval() -> None:
    """An interval of no width would claim that all languages are alike."""
    R = RMatrix.sequential(["yor", "swa", "pcm"], [[0.6, 0.2, 0.1], [0.5, 0.7, 0.3], [0.55, 0.65, 0.6]])
    of = changes(R, scope="all")
    found = fit_drivers(of, covariates(of))
    assert found.receivers
    assert all(np.isnan([each.low, each.high]).all() and each.effect == 0 for each in found.receivers)
