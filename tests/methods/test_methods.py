"""Methods as values and the stages they expand into."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from attrition.languages import LANGUAGES, grouping
from attrition.methods import METHODS, Full, LoRA, Method, Stage, method, plan
from attrition.methods.method import renamed_for_rank
from attrition.names import AttritionError

SHORT = ("en-US", "de-DE", "th-TH")


def outline(name: str, order: tuple[str, ...] = SHORT) -> list[tuple[str, str, int | None]]:
    return [(stage.learner, "+".join(stage.languages), stage.parent) for stage in plan(METHODS[name], order)]


EXPECTED: dict[str, list[tuple[str, str, int | None]]] = {
    "MULTI": [("all", "de-DE+en-US+th-TH", None)],
    "MULTI LoRA": [("all", "de-DE+en-US+th-TH", None)],
    "MONO": [("en-US", "en-US", None), ("de-DE", "de-DE", None), ("th-TH", "th-TH", None)],
    "VANILLA": [("all", "en-US", None), ("all", "de-DE", 0), ("all", "th-TH", 1)],
    "SHARED LoRA": [("all", "en-US", None), ("all", "de-DE", 0), ("all", "th-TH", 1)],
    "NON-SHARED LoRA": [("en-US", "en-US", None), ("de-DE", "de-DE", None), ("th-TH", "th-TH", None)],
    "GROUPED LoRA": [("Latin", "en-US", None), ("Latin", "de-DE", 0), ("Thai", "th-TH", None)],
}


def test_every_method_has_a_plan_written_here() -> None:
    assert EXPECTED.keys() == METHODS.keys()
    assert len(METHODS) == 7


@pytest.mark.parametrize("name", EXPECTED)
def test_plans_by_hand(name: str) -> None:
    # A script's own name is that of the language table.
    scripts = {group: group for group in ("all", *SHORT)} | {"Latin": grouping("script", ["en-US"])["en-US"]}
    scripts["Thai"] = grouping("script", ["th-TH"])["th-TH"]
    assert outline(name) == [(scripts[learner], languages, parent) for learner, languages, parent in EXPECTED[name]]


@pytest.mark.parametrize("name", METHODS)
def test_what_holds_for_every_plan(name: str) -> None:
    order = tuple(LANGUAGES)
    chosen = METHODS[name]
    stages = plan(chosen, order)
    learner_of = chosen.learner_of(order)
    assert sorted(language for stage in stages for language in stage.languages) == sorted(order), "each language once"
    for at, stage in enumerate(stages):
        assert stage.index == at
        assert stage.chain[-1] == stage.languages
        assert {learner_of[language] for language in stage.languages} == {stage.learner}
        if stage.parent is None:
            assert stage.chain == (stage.languages,)
        else:
            parent = stages[stage.parent]
            assert parent.index < at
            assert parent.learner == stage.learner
            assert stage.chain == (*parent.chain, stage.languages)
    if not chosen.joint:
        assert [stage.languages for stage in stages] == [(language,) for language in order]


@pytest.mark.parametrize("name", METHODS)
def test_a_stage_that_does_not_depend_on_the_order_is_the_same_in_every_order(name: str) -> None:
    """MULTI, MONO and NON-SHARED learners are shared by all orders, because their chains are equal."""
    chosen = METHODS[name]
    forwards = {(stage.learner, stage.chain) for stage in plan(chosen, SHORT)}
    backwards = {(stage.learner, stage.chain) for stage in plan(chosen, SHORT[::-1])}
    assert (forwards == backwards) == (chosen.joint or chosen.shared_by == "language")


def test_what_each_method_trains() -> None:
    for name, chosen in METHODS.items():
        assert isinstance(chosen.trains, LoRA if "LoRA" in name else Full)
        assert chosen.name == name
        assert chosen.about.endswith(".")
        assert chosen.joint == name.startswith("MULTI")


@pytest.mark.parametrize("by", ["script", "family", "branch", "vitality"])
@pytest.mark.parametrize("joint", [False, True])
def test_grouping_by_an_attribute(by: str, joint: bool) -> None:
    order = ("en-US", "ru-RU", "de-DE", "th-TH", "fi-FI")
    groups = grouping(by, order)
    stages = plan(Method(name="x", trains=LoRA(), shared_by=by, joint=joint), order)
    assert {stage.learner for stage in stages} == set(groups.values())
    for stage in stages:
        assert all(groups[language] == stage.learner for language in stage.languages)
    if joint:
        assert len(stages) == len(set(groups.values()))


def test_a_users_own_groups(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text('en-US = "west"\nde-DE = "west"\nth-TH = "east"\n', encoding="utf-8")
    stages = plan(Method(name="mine", shared_by=str(file)), SHORT)
    assert [(stage.learner, stage.parent) for stage in stages] == [("west", None), ("west", 0), ("east", None)]


def test_an_unknown_grouping() -> None:
    with pytest.raises(AttritionError, match=r"Unknown grouping 'scrpt'\. Did you mean 'script'"):
        plan(Method(name="x", shared_by="scrpt"), SHORT)


@pytest.mark.parametrize("name", METHODS)
def test_names_are_found_in_any_spelling(name: str) -> None:
    for spelling in (
        name,
        name.lower(),
        name.upper(),
        name.replace(" ", "-"),
        name.lower().replace(" ", "_").replace("-", "_"),
    ):
        assert method(spelling) is METHODS[name]


@pytest.mark.parametrize(
    ("given", "guess"),
    [("vanila", "VANILLA"), ("SHARED-LORAA", "SHARED LoRA"), ("non shared", "NON-SHARED LoRA"), ("xyz", None)],
)
def test_an_unknown_method(given: str, guess: str | None) -> None:
    with pytest.raises(AttritionError) as caught:
        method(given)
    message = str(caught.value)
    assert message.startswith(f"Unknown method {given!r}.")
    assert (f"Did you mean {guess!r}?" in message) if guess else ("Did you mean" not in message)
    assert all(name in message for name in METHODS)


@pytest.mark.parametrize(
    ("order", "message"), [((), "at least one language"), (("en-US", "de-DE", "en-US"), "names a language twice")]
)
def test_orders_that_cannot_be_planned(order: tuple[str, ...], message: str) -> None:
    for chosen in METHODS.values():
        with pytest.raises(AttritionError, match=message):
            plan(chosen, order)


def test_one_language() -> None:
    for chosen in METHODS.values():
        (stage,) = plan(chosen, ["sw-KE"])
        assert stage == Stage(0, stage.learner, ("sw-KE",), None, (("sw-KE",),))


# --- what is trained


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "LoRA rank 0 is not allowed: give a whole number of at least 1."),
        ({"dropout": 1.0}, "LoRA dropout 1.0 is not allowed"),
        ({"dropout": -0.1}, "LoRA dropout -0.1 is not allowed"),
        ({"alpha": 0}, "LoRA alpha 0 is not allowed: give a positive number"),
        ({"alpha": -8.0}, "LoRA alpha -8.0 is not allowed"),
        ({"targets": ()}, "LoRA needs at least one target"),
    ],
)
def test_lora_values_out_of_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(AttritionError) as caught:
        LoRA(**values)  # type: ignore[arg-type]
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("rank", "alpha", "effective", "scale"), [(32, None, 32.0, 1.0), (4, 8, 8.0, 2.0), (64, 16.0, 16.0, 0.25)]
)
def test_the_scale_of_lora(rank: int, alpha: float | None, effective: float, scale: float) -> None:
    trains = LoRA(rank=rank, alpha=alpha)
    assert (trains.effective_alpha, trains.scale) == (effective, scale)


def test_renamed_for_rank() -> None:
    wide = dataclasses.replace(METHODS["MULTI LoRA"], trains=LoRA(rank=256))
    assert renamed_for_rank(wide).name == "MULTI LoRA r=256"
    assert renamed_for_rank(METHODS["VANILLA"]) is METHODS["VANILLA"]
