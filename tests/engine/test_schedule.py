"""The schedule of stages, compared with brute force on random plans."""

from __future__ import annotations

import itertools
import random

import pytest

from attrition.engine.makespan import makespan
from attrition.engine.schedule import Population, Schedule, Unit

Parents = dict[str, str | None]


def random_plan(seed: int, stages: int = 30) -> tuple[list[Population], Parents, dict[str, int]]:
    """Return stages in trees; those of one depth are divided into populations, listed by their first stage."""
    chance = random.Random(seed)
    parents: Parents = {}
    depth: dict[str, int] = {}
    for number in range(stages):
        parent = chance.choice([None, *parents]) if number else None
        parents[f"s{number}"] = parent
        depth[f"s{number}"] = 1 if parent is None else depth[parent] + 1
    populations = []
    for level in sorted(set(depth.values())):
        left = [key for key in parents if depth[key] == level]
        while left:
            size = chance.randint(1, 3)
            populations.append(tuple(left[:size]))
            left = left[size:]
    place = {key: number for number, key in enumerate(parents)}
    return sorted(populations, key=lambda keys: place[keys[0]]), parents, {key: chance.randint(1, 9) for key in parents}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("chains", [False, True])
def test_every_stage_once_parents_first_whatever_fails(seed: int, chains: bool) -> None:
    populations, parents, cost = random_plan(seed)
    chance = random.Random(seed)
    schedule = Schedule(populations, parents, cost=cost if seed % 2 else None)
    at_work: list[Unit] = []
    stored: list[str] = []
    while schedule.left:
        while len(at_work) < 4 and (taken := schedule.take(chains=chains)):
            unit = Unit(taken)
            assert not set(unit.keys) & {key for each in at_work for key in each.keys}, "nobody else is at it"
            assert not set(unit.keys) <= set(stored)
            at_work.append(unit)
        assert at_work, "stages wait for each other"
        unit = at_work.pop(chance.randrange(len(at_work)))
        keys = [key for key in unit.keys if key not in stored]
        fails = chance.random() < 0.3
        for key in keys[: chance.randrange(len(keys))] if fails else keys:
            assert parents[key] in (None, *stored)
            stored.append(key)
            schedule.stored(key)
        if fails:
            schedule.give_back(unit)
    assert sorted(stored) == sorted(parents)
    assert schedule.take() == ()


def test_one_worker_goes_in_the_sequence_of_the_plan() -> None:
    parents: Parents = {"a1": None, "a2": "a1", "b1": None, "b2": "b1"}
    schedule, order = Schedule([(key,) for key in parents], parents), []
    while taken := schedule.take():
        order.append(taken[0][0])
        schedule.stored(taken[0][0])
    assert order == list(parents), "the first run is finished before the second begins"


def test_with_several_the_longest_chain_comes_first() -> None:
    parents: Parents = {"short": None, **{f"l{n}": f"l{n - 1}" if n else None for n in range(4)}, "other": None}
    schedule = Schedule([(key,) for key in parents], parents, cost=dict.fromkeys(parents, 1.0))
    assert schedule.take() == (("l0",),)


@pytest.mark.parametrize("seed", range(10))
def test_the_length_of_a_study_against_all_sequences(seed: int) -> None:
    """Never shorter than the longest chain or the equally divided work, never longer than Graham's bound (1966); compared
    with the best of all lists of seven stages."""
    _, parents, cost = random_plan(seed, stages=7)
    singles: list[Population] = [(key,) for key in parents]
    nothing = dict.fromkeys(parents, 0.0)

    def length(order: list[Population], slots: int, *, first: bool = False) -> float:
        return makespan(Schedule(order, parents, cost=cost if first else None), cost, nothing, slots)

    assert length(singles, 1) == sum(cost.values())
    best = min(length(list(order), 2) for order in itertools.permutations(singles))
    found = length(singles, 2, first=True)
    assert best <= found <= 1.5 * best


def test_what_an_earlier_driver_gave_out_is_not_given_out_again() -> None:
    parents: Parents = {"a": None, "b": "a"}
    schedule = Schedule([("a",), ("b",)], parents)
    schedule.claim(Unit((("a",),)))
    assert schedule.take() == ()
    schedule.give_back(Unit((("a",),)))
    assert schedule.take() == (("a",),)


def test_a_stored_member_of_a_population_is_nobodys_parent_to_wait_for() -> None:
    """Learners that started together continue together, even if one is stored by then; its parent may be trained again."""
    schedule = Schedule([("a", "b"), ("p",)], {"a": "p", "b": None, "p": None}, stored=["a"])
    assert schedule.take() == (("a", "b"),)
