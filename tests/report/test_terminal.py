from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from attrition.metrics.matrix import RMatrix
from attrition.report.terminal import terminal_matrix, terminal_metrics


def shown(table: object, *, styled: bool = False) -> str:
    console = Console(width=80, record=True, force_terminal=True, color_system="truecolor", file=io.StringIO())
    console.print(table)
    return console.export_text(styles=styled)


def sequential(num_languages: int) -> RMatrix:
    names = [f"l{i}-XX" for i in range(num_languages)]
    scores_SL = np.linspace(0.2, 0.8, num_languages**2).reshape(num_languages, num_languages)
    return RMatrix.sequential(names, scores_SL, np.full(num_languages, 0.01))


@pytest.mark.parametrize("num_languages", [2, 5, 8, 52])
def test_a_matrix_fits_80_columns(num_languages: int) -> None:
    text = shown(terminal_matrix(sequential(num_languages)))
    assert max(map(len, text.splitlines())) <= 80
    assert "before" in text
    assert ("left out" in text) == (num_languages == 52)


def test_learned_cells_are_bold_and_others_dim() -> None:
    text = shown(terminal_matrix(RMatrix.sequential(["aa", "bb"], [[0.5, 0.25], [0.375, float("nan")]])), styled=True)
    assert "\x1b[1;" in text.split("50.0")[0]
    assert "\x1b[2m" in text.split("25.0")[0].rsplit("│", 1)[-1]
    assert "–" in text


def test_names_are_not_read_as_markup() -> None:
    text = shown(terminal_matrix(RMatrix.sequential(["[red]", "b"], [[0.5, 0.25], [0.375, 0.75]]), title="[bold]x"))
    assert "[red]" in text
    assert "[bold]x" in text
    assert "[blue]y" in shown(terminal_metrics({"[blue]y": {"final_mean": 0.5}}))


def test_the_best_value_is_marked() -> None:
    text = shown(terminal_metrics({"a": {"cbt": -0.13}, "b": {"cbt": -0.08}, "c": {"cbt": float("nan")}}), styled=True)
    assert "\x1b[1;32m" in text.split("−8.0")[0].rsplit("│", 1)[-1]
    assert "\x1b[1;32m" not in text.split("−13.0")[0].rsplit("│", 1)[-1]
