"""Damaged results folders: every file read as what it says, or refused by its name; what was read can be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from attrition.metrics import summary
from attrition.paper.report import paper_chapters
from attrition.report import page
from attrition.report.chapters import languages_chapter
from attrition.report.export import drawn
from attrition.report.latex import to_latex
from attrition.results.covariates import FILE, Covariates, covariates_json, read_covariates, read_covariates_csv
from attrition.results.read import read_results

Hunt = Callable[[Callable[[Random], None], int, int], None]
SHOWN = 40  # one of so many that were read is drawn as a page, which takes longer than reading


RUN_FILES = ["spec.json", "matrix.csv", "transfer.csv", "metrics.json", "times.json", "history.csv"]


@pytest.mark.parametrize("name", [*RUN_FILES, "study.toml", "environment.json"])
def test_results_folders(
    name: str, hunt: Hunt, mutate: ModuleType, simulate: ModuleType, refusal: Callable[..., None], tmp_path: Path
) -> None:
    study = simulate.write_study(tmp_path / "study", num_languages=3, methods=("MULTI", "VANILLA", "NON-SHARED LoRA"))
    run = next((study / "runs").glob("non-shared*"))
    (run / "metrics.json").write_text('{"cbt": -0.25, "cft": null, "final_mean": 0.5, "by_group": {"x": 1}}')
    path = run / name if (run / name).is_file() else study / name
    content = path.read_bytes()
    shown = 0

    def attempt(random: Random) -> None:
        nonlocal shown
        path.write_bytes(mutate.mutated(content, random))
        try:
            results = read_results(study)
        except ValueError as error:
            refusal(error, str(path))
            return
        assert len(results.runs) == 3
        damaged = next(each for each in results.runs if each.key == run.name)
        if name == "history.csv":
            lines = [line for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
            assert len(damaged.history) >= len(lines) - 1 - sum('"' in line for line in lines)
        summary(damaged.matrix)
        if random.randrange(SHOWN) == 0 or not shown:
            shown += 1
            figures, tables = page.standard_figures(results), page.standard_tables(results)
            chapters = [languages_chapter(results), *paper_chapters(results)]
            on_page = [each for each in figures if each.name not in page.INTERACTIVE]
            svgs = drawn([*on_page, *(figure for chapter in chapters for figure in chapter.every_figure)])
            text = page.render(results, figures, tables, chapters, svgs)
            text.encode()
            for table in tables:
                assert (table.to_markdown() + to_latex(table) + table.to_csv()).encode()

    hunt(attempt, 12, 400)


def test_covariates(hunt: Hunt, mutate: ModuleType, refusal: Callable[..., None], tmp_path: Path) -> None:
    names = ("en-US", "de-DE", "th-TH")
    pairs = {(a, b): 0.25 for a in names for b in names}
    path, table = tmp_path / FILE, tmp_path / "mine.csv"
    content = covariates_json(names, Covariates({"fertility": dict.fromkeys(names, 1.5)}, {"overlap": pairs})).encode()
    rows = b"locale,name,vowels\nen-US,English,12\nde-DE,German,15\nth-TH,Thai,\n"

    def attempt(random: Random) -> None:
        path.write_bytes(mutate.mutated(content, random))
        table.write_bytes(mutate.mutated(rows, random))
        for read, file in ((lambda: read_covariates(tmp_path), path), (lambda: read_covariates_csv(table), table)):
            try:
                found = read()
            except ValueError as error:
                refusal(error, str(file))
                continue
            assert found is not None
            covariates_json(names, found).encode()

    hunt(attempt, 300, 2_000)
