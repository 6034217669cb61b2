"""Writes figures and tables as files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import vl_convert

from attrition.report.figures import Figure
from attrition.report.latex import to_latex
from attrition.report.tables import Table

FIGURE_KINDS = ("png", "svg", "pdf")
"""The file formats of figures."""

TABLE_KINDS: Mapping[str, str] = MappingProxyType({"md": "Markdown", "csv": "CSV", "tex": "LaTeX"})
"""The file formats of tables, and their names."""

PIXELS_PER_POINT = 2
"""Resolution factor of PNG files."""

Progress = Callable[[int, int, str], None]
"""Called with the number of finished files, the total, and the name of the next file."""


def drawn(figures: Sequence[Figure], progress: Progress | None = None) -> dict[str, str]:
    """Return every variant of every figure as SVG, by file stem."""
    wanted = [(figure, variant) for figure in figures for variant in figure.variants]
    found = {}
    for done, (figure, variant) in enumerate(wanted):
        stem = figure.stem(variant)
        if progress is not None:
            progress(done, 2 * len(wanted), stem)
        found[stem] = vl_convert.vegalite_to_svg(figure.complete(variant))
    return found


def drawn_narrow(figures: Sequence[Figure]) -> dict[str, str]:
    """Return the narrow chart of the first variant of each figure that has one, as SVG by the figure's name."""
    narrow = {figure.name: figure.for_phone() for figure in figures if figure.narrow is not None}
    return {name: vl_convert.vegalite_to_svg(figure.complete(next(iter(figure.variants)))) for name, figure in narrow.items()}


def write_figures(svgs: Mapping[str, str], folder: Path, progress: Progress | None = None) -> None:
    """Write every figure as PNG, SVG and PDF; `svgs` is the result of `drawn`."""
    folder.mkdir(parents=True, exist_ok=True)
    for done, (stem, svg) in enumerate(svgs.items(), start=len(svgs)):
        if progress is not None:
            progress(done, 2 * len(svgs), stem)
        (folder / f"{stem}.svg").write_text(svg, encoding="utf-8")
        (folder / f"{stem}.png").write_bytes(vl_convert.svg_to_png(svg, scale=PIXELS_PER_POINT))
        (folder / f"{stem}.pdf").write_bytes(vl_convert.svg_to_pdf(svg))
    if progress is not None:
        progress(2 * len(svgs), 2 * len(svgs), "done")


def write_tables(tables: Sequence[Table], folder: Path) -> None:
    """Write every table as Markdown, CSV and LaTeX."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        texts = {"md": table.to_markdown(), "csv": table.to_csv(), "tex": to_latex(table)}
        assert texts.keys() == TABLE_KINDS.keys()
        for kind, text in texts.items():
            (folder / f"{table.name}.{kind}").write_text(text, encoding="utf-8")
