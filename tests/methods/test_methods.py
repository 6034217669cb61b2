"""Methods as values and the steps they expand into."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from attrition.languages import LANGUAGES, grouping
from attrition.methods import METHODS, Full, LoRA, Merge, Method, Train, method
from attrition.methods.decay import RateDecay
from attrition.methods.merging import Mean
from attrition.methods.methods import known_as, renamed_for_rank
from attrition.methods.replay import Replay
from attrition.methods.steps import Expand, Merged, joint, sequential
from attrition.names import AttritionError

SHORT = ("en-US", "de-DE", "th-TH")

Outline = list[tuple[str, str, int | None]]


def outline(name: str, order: tuple[str, ...] = SHORT) -> Outline:
    return [(step.learner, "+".join(step.languages), step.start) for step in METHODS[name].steps(order).trainings]


ONE_AFTER_ANOTHER: Outline = [("all", "en-US", None), ("all", "de-DE", 0), ("all", "th-TH", 1)]
EACH_ITS_OWN: Outline = [("en-US", "en-US", None), ("de-DE", "de-DE", None), ("th-TH", "th-TH", None)]
EXPECTED: dict[str, Outline] = {
    "MULTI": [("all", "de-DE+en-US+th-TH", None)],
    "MULTI LoRA": [("all", "de-DE+en-US+th-TH", None)],
    "MONO": EACH_ITS_OWN,
    "VANILLA": ONE_AFTER_ANOTHER,
    "SHARED LoRA": ONE_AFTER_ANOTHER,
    "NON-SHARED LoRA": EACH_ITS_OWN,
    "GROUPED LoRA": [("Latin", "en-US", None), ("Latin", "de-DE", 0), ("Thai", "th-TH", None)],
    "REPLAY": ONE_AFTER_ANOTHER,
    "EWC": ONE_AFTER_ANOTHER,
    "RATE DECAY": ONE_AFTER_ANOTHER,
    "INTERPOLATION": ONE_AFTER_ANOTHER,
    "MERGED LoRA": EACH_ITS_OWN,
    "TIES LoRA": EACH_ITS_OWN,
}
"""By hand: what is trained, on what, from which step."""


def test_every_method_has_steps_written_here() -> None:
    assert EXPECTED.keys() == METHODS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_steps_by_hand(name: str) -> None:
    # A script's own name is that of the language table.
    scripts = {group: group for group in ("all", *SHORT)} | {"Latin": grouping("script", ["en-US"])["en-US"]}
    scripts["Thai"] = grouping("script", ["th-TH"])["th-TH"]
    assert outline(name) == [(scripts[learner], languages, start) for learner, languages, start in EXPECTED[name]]


@pytest.mark.parametrize("name", METHODS)
def test_what_holds_for_the_steps_of_every_method(name: str) -> None:
    order = tuple(LANGUAGES)
    chosen = METHODS[name]
    steps = chosen.steps(order)
    learner_of = chosen.learner_of(order)
    trained = [language for step in steps.trainings for language in step.languages]
    assert sorted(trained) == sorted(order), "each language once"
    assert sorted(language for row in steps.rows for language in row.trained) == sorted(order)
    for index, step in enumerate(steps.steps):
        if isinstance(step, Train):
            assert {learner_of[language] for language in step.languages} == {step.learner}
            assert steps.chain(index)[-1] == step.languages
            assert steps.shown(index) in {row.reads[step.languages[0]] for row in steps.rows if step.languages[0] in row.reads}
    if not steps.joint:
        assert [row.trained for row in steps.rows] == [(language,) for language in order]
    for row in steps.rows:  # what was trained is served, from then on
        assert set(row.trained) <= row.reads.keys()
    assert steps.rows[-1].reads.keys() == set(order)
    for before, after in itertools.pairwise(steps.rows):
        assert before.reads.keys() <= after.reads.keys()


def test_whom_each_row_reads() -> None:
    assert [dict(row.reads) for row in METHODS["VANILLA"].steps(SHORT).rows] == [dict.fromkeys(SHORT, at) for at in range(3)]
    alone = [dict(row.reads) for row in METHODS["MONO"].steps(SHORT).rows]
    assert alone == [{"en-US": 0}, {"en-US": 0, "de-DE": 1}, {"en-US": 0, "de-DE": 1, "th-TH": 2}]
    grouped = [dict(row.reads) for row in METHODS["GROUPED LoRA"].steps(SHORT).rows]
    assert grouped == [{"en-US": 0, "de-DE": 0}, {"en-US": 1, "de-DE": 1}, {"en-US": 1, "de-DE": 1, "th-TH": 2}]
    merged = METHODS["TIES LoRA"].steps(SHORT)
    assert [step.inputs for step in merged.steps if isinstance(step, Merge)] == [(0,), (0, 2), (0, 2, 4)]
    assert [dict(row.reads) for row in merged.rows] == [dict.fromkeys(SHORT, at) for at in (1, 3, 5)]


@pytest.mark.parametrize("name", METHODS)
def test_a_step_that_does_not_depend_on_the_order_is_the_same_in_every_order(name: str) -> None:
    """MULTI, MONO and NON-SHARED learners are shared by all orders, because their chains are equal."""
    chosen = METHODS[name]

    def chains(order: tuple[str, ...]) -> set[object]:
        steps = chosen.steps(order)
        return {steps.chain(index) for index, step in enumerate(steps.steps) if isinstance(step, Train)}

    assert (chains(SHORT) == chains(SHORT[::-1])) == (chosen.expand is joint or chosen.shared_by == "language")


def test_whether_the_order_matters_and_all_share_one_model() -> None:
    steps = {name: chosen.steps(SHORT) for name, chosen in METHODS.items()}
    without_order = {"MULTI", "MULTI LoRA", "MONO", "NON-SHARED LoRA"}
    assert {name for name, each in steps.items() if not each.order_matters} == without_order
    apart = {"MONO", "NON-SHARED LoRA", "GROUPED LoRA", "MERGED LoRA", "TIES LoRA"}
    assert {name for name, each in steps.items() if not each.shared} == apart


def test_what_each_method_trains() -> None:
    for name, chosen in METHODS.items():
        assert isinstance(chosen.trains, LoRA if "LoRA" in name else Full)
        assert (chosen.name, chosen.of, known_as(chosen)) == (name, name, name)
        assert chosen.about.endswith(".")
        assert chosen.steps(SHORT).joint == name.startswith("MULTI")


def test_what_a_changed_method_is_known_as() -> None:
    vanilla = METHODS["VANILLA"]
    assert known_as(dataclasses.replace(vanilla, name="mine", hooks=(Replay(share=0.3),))) == "REPLAY"
    assert known_as(dataclasses.replace(vanilla, hooks=(Replay(), RateDecay()))) == ""
    assert known_as(dataclasses.replace(METHODS["GROUPED LoRA"], shared_by="family")) == "GROUPED LoRA"
    assert known_as(dataclasses.replace(METHODS["MERGED LoRA"], expand=Merged(Mean(scale=2)))) == "MERGED LoRA"


@pytest.mark.parametrize("by", ["script", "family", "branch", "vitality"])
@pytest.mark.parametrize("expand", [sequential, joint])
def test_grouping_by_an_attribute(by: str, expand: Expand) -> None:
    order = ("en-US", "ru-RU", "de-DE", "th-TH", "fi-FI")
    groups = grouping(by, order)
    steps = Method(name="x", trains=LoRA(), shared_by=by, expand=expand).steps(order).trainings
    assert {step.learner for step in steps} == set(groups.values())
    for step in steps:
        assert all(groups[language] == step.learner for language in step.languages)
    if expand is joint:
        assert len(steps) == len(set(groups.values()))


def test_a_users_own_groups(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text('en-US = "west"\nde-DE = "west"\nth-TH = "east"\n', encoding="utf-8")
    steps = Method(name="mine", shared_by=str(file)).steps(SHORT).trainings
    assert [(step.learner, step.start) for step in steps] == [("west", None), ("west", 0), ("east", None)]


def test_an_unknown_grouping() -> None:
    with pytest.raises(AttritionError, match=r"Unknown grouping 'scrpt'\. Did you mean 'script'"):
        Method(name="x", shared_by="scrpt").steps(SHORT)


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
            chosen.steps(order)


def test_one_language() -> None:
    for chosen in METHODS.values():
        (step,) = chosen.steps(["sw-KE"]).trainings
        assert (step.languages, step.start) == (("sw-KE",), None)


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
