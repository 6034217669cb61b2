"""Figures and tables as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import vl_convert

from attrition.report.figures import Figure
from attrition.report.latex import to_latex
from attrition.report.tables import Table

FIGURE_KINDS = ("png", "svg", "pdf")
"""The kinds of file each figure is written as."""

TABLE_KINDS: Mapping[str, str] = MappingProxyType({"md": "Markdown", "csv": "CSV", "tex": "LaTeX"})
"""The kinds of file each table is written as, and their names."""

PIXELS_PER_POINT = 2
"""How finely PNG is drawn."""


def write_figures(figures: Sequence[Figure], folder: Path, progress: Callable[[int, int, str], None] | None = None) -> None:
    """Every variant of every figure as PNG, SVG and PDF, from the definition that the page draws, in the light theme."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(figure, variant) for figure in figures for variant in figure.variants]
    for done, (figure, variant) in enumerate(wanted):
        stem = figure.stem(variant)
        if progress is not None:
            progress(done, len(wanted), stem)
        svg = vl_convert.vegalite_to_svg(figure.complete(variant))
        (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{stem}.png").write_bytes(vl_convert.svg_to_png(svg, scale=PIXELS_PER_POINT))
        (folder / f"{stem}.pdf").write_bytes(vl_convert.svg_to_pdf(svg))
    if progress is not None:
        progress(len(wanted), len(wanted), "done")


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Every table as Markdown, CSV and LaTeX."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        texts = {"md": table.to_markdown(), "csv": table.to_csv(), "tex": to_latex(table)}
        assert texts.keys() == TABLE_KINDS.keys()
        for kind, text in texts.items():
            (folder / f"{table.name}.{kind}").write_text(text, encoding="utf-8")
