"""The rule by which one candidate is chosen, and the table and figure of all."""

from __future__ import annotations

from typing import cast

import pytest

from attrition.report.tables import Number
from attrition.ship.candidates import Candidate, choose
from attrition.ship.trade import trade_figure, trade_table
from attrition.study.plan import Job

OLD = {"th": 20.0, "de": 80.0, "ja": 60.0}


def candidate(name: str, th: float, de: float, ja: float) -> Candidate:
    return Candidate(name, "th", cast(Job, None), 1.0, False, {"th": th, "de": de, "ja": ja}, OLD)


PLAIN, HALF, REPLAY = candidate("plain", 70, 79, 50), candidate("half", 50, 79.5, 59.1), candidate("replay", 65, 82, 59)


def test_gain_and_worst_loss_are_those_of_the_languages() -> None:
    assert (PLAIN.gain, PLAIN.worst) == (50, ("ja", 10))
    assert (REPLAY.gain, REPLAY.losses) == (45, {"de": -2, "ja": 1})


@pytest.mark.parametrize(("margin", "expected"), [(1.0, HALF), (1.01, REPLAY), (11.0, PLAIN), (0.5, HALF)])
def test_the_largest_gain_within_the_margin_else_the_smallest_loss(margin: float, expected: Candidate) -> None:
    """A loss as large as the margin is not within it, as in the gate."""
    assert choose([PLAIN, HALF, REPLAY], margin) is expected


def test_a_choice_that_gains_nothing_is_said() -> None:
    nothing = candidate("nothing", 20, 80, 60)
    assert "gains nothing" in trade_table([PLAIN, nothing], nothing).caption
    assert "gains nothing" not in trade_table([PLAIN, nothing], PLAIN).caption


def test_the_table_and_the_figure_show_every_candidate() -> None:
    table = trade_table([PLAIN, HALF, REPLAY], HALF)
    assert [(row[0], row[1], row[3], row[4]) for row in table.rows] == [
        ("plain", Number(value=50), "ja", ""),
        ("half", Number(value=30), "ja", "yes"),
        ("replay", Number(value=45), "ja", ""),
    ]
    drawn = trade_figure([PLAIN, HALF, REPLAY], HALF, 1.0).complete("")["datasets"]
    assert [each["is_chosen"] for each in drawn["trade"]] == [False, True, False]
    assert [each["worst_loss"] for each in drawn["trade"]] == pytest.approx([10, 0.9, 1])
