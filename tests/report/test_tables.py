from __future__ import annotations

import math

from attrition.report.tables import Cell, Column, Number, Table, mean_and_spread


def table(*columns: Column, rows: tuple[tuple[Cell, ...], ...]) -> Table:
    return Table(name="t", title="A title", columns=columns, rows=rows, caption="A caption.")


def numbers(*values: float) -> tuple[tuple[Number, ...], ...]:
    return tuple((Number(value=value),) for value in values)


def best(column: Column, *values: float) -> list[bool]:
    return [cells[0] for cells in table(column, rows=numbers(*values)).is_best()]


def test_the_best_of_a_negative_metric_is_the_one_nearest_to_zero() -> None:
    assert best(Column(title="CBT", digits=2, better="high"), -0.13, -0.08, -0.14) == [False, True, False]


def test_the_best_where_lower_is_better() -> None:
    assert best(Column(title="Forgetting", better="low", times=100), 0.2, -0.1, 0.1) == [False, True, False]


def test_undefined_values_are_never_best_and_never_compete() -> None:
    column = Column(title="CBT", better="high")
    assert best(column, math.nan, 0.5) == [False, False]
    assert best(column, math.nan, math.nan) == [False, False]
    assert best(column, math.nan, -3, -2) == [False, False, True]


def test_values_that_print_alike_are_best_together() -> None:
    assert best(Column(title="F1", digits=1, times=100, better="high"), 0.70001, 0.70002, 0.6) == [True, True, False]


def test_numbers_that_intervals_do_not_separate_are_best_together() -> None:
    column = Column(title="Change", signed=True, times=100, better="high")
    cells = (
        Number(value=-0.053, low=-0.084, high=-0.022),  # holds the best
        Number(value=-0.051, low=-0.056, high=-0.029),  # the best
        Number(value=-0.055),  # in the interval of the best
        Number(value=-0.08, low=-0.09, high=-0.06),  # apart
        Number(value=-0.06),
    )
    shown = table(column, rows=tuple((cell,) for cell in cells))
    assert [marks[0] for marks in shown.is_best()] == [True, True, True, False, False]
    assert "A caption. Bold: the best number" in shown.to_markdown()
    assert "Bold" not in table(column, rows=numbers(1, 2)).to_markdown()


def test_neither_side_is_better() -> None:
    assert best(Column(title="composition"), 1, 2) == [False, False]


def test_numbers_as_they_are_read() -> None:
    column = Column(title="x", digits=1, times=100, signed=True)
    assert column.text(Number(value=math.nan)) == "–"
    assert column.text(Number(value=-0.0001)) == "0.0"
    assert column.text(Number(value=0.125, spread=0.01)) == "+12.5 ± 1.0"
    assert Column(title="params", digits=2).text(Number(value=14458.27)) == "14,458.27"


def test_markdown_marks_the_best_and_escapes() -> None:
    shown = table(
        Column(title="Method"),
        Column(title="F1", times=100, better="high"),
        rows=(("a|b", Number(value=0.5)), ("<script>", Number(value=0.25))),
    ).to_markdown()
    assert "| a\\|b | **50.0** |" in shown
    assert "| &lt;script&gt; | 25.0 |" in shown
    assert "| --- | ---: |" in shown


def test_csv_keeps_every_bit_and_leaves_the_undefined_empty() -> None:
    rows = (("a", Number(value=0.1 + 0.2, spread=0.5)), ("b", Number(value=math.nan)))
    shown = table(Column(title="Method"), Column(title="F1", times=100), rows=rows).to_csv()
    assert shown == "Method,F1,F1 sd\na,0.30000000000000004,0.5\nb,,\n"


def test_mean_and_spread() -> None:
    assert mean_and_spread([1.0, 3.0]) == Number(value=2.0, spread=math.sqrt(2))
    assert math.isnan(mean_and_spread([1.0, math.nan]).spread)
    assert math.isnan(mean_and_spread([math.nan]).value)
