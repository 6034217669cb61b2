from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from attrition.paper.report import paper_chapters
from attrition.report.chapters import languages_chapter
from attrition.report.latex import PACKAGES, latex_text, to_latex
from attrition.report.page import standard_tables
from attrition.report.tables import Cell, Column, Number, Table
from attrition.results.read import read_results


def table(*columns: Column, rows: tuple[tuple[Cell, ...], ...], title: str = "A title") -> Table:
    return Table(name="t", title=title, columns=columns, rows=rows, caption="A caption.")


def test_latex_uses_booktabs_and_escapes() -> None:
    rows = (("50%", Number(value=1)), ("&", Number(value=-2)))
    latex = to_latex(table(Column(title="R_1"), Column(title="F1", better="high"), rows=rows))
    assert all(rule in latex for rule in (r"\toprule", r"\midrule", r"\bottomrule"))
    assert r"50\% & \textbf{1.0} \\" in latex
    assert r"\& & $-$2.0 \\" in latex
    assert r"R\_1" in latex
    assert latex_text("\\") == r"\textbackslash{}"


def test_columns_of_a_group_share_a_head() -> None:
    columns = [Column(title=f"F1, {short}", group="F1", short=short) for short in ("paper", "here")]
    latex = to_latex(table(Column(title="Method"), *columns, rows=(("a", Number(value=1), Number(value=2)),)))
    assert r"\multicolumn{1}{c}{} & \multicolumn{2}{c}{F1} \\" in latex
    assert r"\cmidrule(lr){2-3}" in latex
    assert r"Method & paper & here \\" in latex


def test_a_wide_table_is_broken_between_groups_and_repeats_its_first_column() -> None:
    columns = [Column(title=f"{g}, {n}", group=f"g{g}", short=f"s{n}") for g in range(9) for n in range(3)]
    cells = tuple(Number(value=1000.0 * place) for place in range(27))
    latex = to_latex(table(Column(title="Method"), *columns, rows=(("the row", *cells),)))
    blocks = latex.split(r"\begin{tabular}")[1:]
    assert len(blocks) > 1
    assert all(block.count("the row") == 1 for block in blocks)
    assert [block.count("s0") for block in blocks] == [block.count("s2") for block in blocks]
    assert sum(block.count(r"\multicolumn{3}{c}") for block in blocks) == 9


def test_the_papers_numbers_of_tables_are_left_to_latex() -> None:
    rows = (("a", Number(value=1)),)
    latex = to_latex(table(Column(title="x"), Column(title="y"), rows=rows, title="Table 1: parameters"))
    assert r"\caption{Parameters. A caption}" in latex


def test_long_texts_wrap_and_long_tables_run_over_pages() -> None:
    columns = (Column(title="Claim"), Column(title="Evidence"))
    short = to_latex(table(*columns, rows=(("one", "word " * 40),)))
    assert "p{" in short
    assert "longtable}{" not in short
    assert r"\begin{longtable}" in to_latex(table(*columns, rows=(("one", "word " * 40),) * 40))


def compiled(tables: Sequence[Table], folder: Path) -> str:
    """The log of pdflatex, which must end well."""
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed (texlive-latex-base and texlive-latex-recommended are enough)")
    if shutil.which("kpsewhich") and subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True).returncode:
        pytest.skip("LaTeX's package booktabs is not installed (texlive-latex-recommended has it)")
    body = "\n".join(rf"\input{{{each.name}}}" for each in tables)
    for each in tables:
        (folder / f"{each.name}.tex").write_text(to_latex(each), encoding="utf-8")
    packages = f"\\usepackage{{{','.join(PACKAGES)}}}"
    document = f"\\documentclass{{article}}\n{packages}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (folder / "all.tex").write_text(document, encoding="utf-8")
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "all.pdf").stat().st_size > 10_000
    return (folder / "all.log").read_text(encoding="utf-8", errors="replace")


def test_every_table_of_a_study_compiles_and_fits_the_page(simulate: ModuleType, tmp_path: Path) -> None:
    methods = ("MULTI", "MONO", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")
    study = simulate.write_study(tmp_path / "study", num_languages=12, num_orders=2, methods=methods, generated=False)
    order = ["nb-NO", "ta-IN", "th-TH"]
    simulate.write_run(study, simulate.METHODS["VANILLA"], "paper-4", order, generated=False)
    results = read_results(study)
    chapters = (languages_chapter(results), *paper_chapters(results))
    tables = [*standard_tables(results), *(each for part in chapters for each in (*part.tables, *part.files))]
    assert {"table1", "table2", "table3", "claims", "metrics"} <= {each.name for each in tables}
    log = compiled(tables, tmp_path)
    assert "Overfull" not in log, [line for line in log.splitlines() if "Overfull" in line]
