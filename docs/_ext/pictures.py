"""Pictures of metrics: which cells of R a metric reads, and with which sign. They are measured on the metric's own function.

Each cell of a matrix of four languages is raised a little; the colour of the cell says what this does to the metric.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from attrition.metrics import METRICS
from attrition.metrics.matrix import RMatrix

LANGUAGES = ("en", "de", "zh", "th")
SHOWN = ("final_mean", "learning_accuracy", "cft_cells", "cbt", "fwt", "forgetting", "p_avg", "area_under_learned_mean")
STEP = 1e-3
CELL, LEFT, TOP = 34, 54, 24
UP, DOWN, NONE = "#0a5ea8", "#c24a00", "#e8e8ea"


def effects(name: str) -> tuple[np.ndarray, float]:
    """Return the change of a metric per unit of each cell (the row before training first), and its value on the example."""
    start = np.array([
        [0.01, 0.00, 0.00, 0.00], [0.57, 0.47, 0.06, 0.60], [0.57, 0.59, 0.06, 0.62], [0.65, 0.62, 0.49, 0.62],
        [0.54, 0.53, 0.10, 0.77],
    ])  # fmt: skip
    function = METRICS[name].function

    def value(scores: np.ndarray) -> float:
        return float(function(RMatrix.sequential(LANGUAGES, scores[1:], scores[0])))

    found = np.zeros(start.shape)
    for place in np.ndindex(*start.shape):
        raised = start.copy()
        raised[place] += STEP
        found[place] = (value(raised) - value(start)) / STEP
    return found, value(start)


def picture(name: str) -> str:
    """Return one metric as SVG."""
    found, _ = effects(name)
    most = np.abs(found).max()
    rows = ("before", *LANGUAGES)
    parts = [_text(LEFT + CELL * (j + 0.5), TOP - 8, each, "middle") for j, each in enumerate(LANGUAGES)]
    for i, row in enumerate(rows):
        parts.append(_text(LEFT - 6, TOP + CELL * (i + 0.5) + 4, row, "end"))
        for j in range(len(LANGUAGES)):
            share = found[i, j] / most
            colour = NONE if abs(share) < 1e-6 else UP if share > 0 else DOWN
            place = f'x="{LEFT + CELL * j + 1}" y="{TOP + CELL * i + 1}" width="{CELL - 2}" height="{CELL - 2}"'
            border = ' stroke="#111" stroke-width="2"' if i == j + 1 else ""
            opacity = 1 if colour == NONE else 0.25 + 0.75 * abs(share)
            parts.append(f'<rect {place} fill="{colour}" fill-opacity="{opacity:.2f}"{border}/>')
            if colour != NONE:
                parts.append(
                    _text(LEFT + CELL * (j + 0.5), TOP + CELL * (i + 0.5) + 5, "+" if share > 0 else "−", "middle", "#fff")
                )
    width, height = LEFT + CELL * len(LANGUAGES) + 4, TOP + CELL * len(rows) + 4
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{text}</text>'


def write(app: Any) -> None:
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    for name in SHOWN:
        path, text = folder / f"metric-{name}.svg", picture(name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
