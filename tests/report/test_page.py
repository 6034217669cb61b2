from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from attrition.paper.report import make_report, paper_chapters
from attrition.report import page as plain_page
from attrition.report.chapters import languages_chapter
from attrition.report.page import (
    page_data,
    render,
    script_json,
    standard_figures,
    standard_tables,
)
from attrition.results.read import read_results

EVIL = "</script><script>alert(1)</script>"


def page_of(study: Path) -> str:
    results = read_results(study)
    chapters = [chapter for chapter in (languages_chapter(results), *paper_chapters(results)) if not chapter.is_empty]
    return render(results, standard_figures(results), standard_tables(results), chapters)


@pytest.fixture(scope="module")
def page(study: Path) -> str:
    return page_of(study)


class Outline(HTMLParser):
    """Every element with its attributes, and the text of headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def embedded(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    value: dict[str, object] = json.loads(found.group(1))
    return value


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    outline = Outline(page)
    assert not outline.all("link")
    assert not outline.all("img")
    assert all("src" not in attributes for attributes in outline.all("script"))
    policy = next(meta["content"] for meta in outline.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert page.count("vegaEmbed=") == 1


def test_links_lead_to_files_that_are_written(study: Path, page: str, tmp_path: Path) -> None:
    report = make_report(study).parent
    links = [attributes["href"] for attributes in Outline(page).all("a")]
    files = [link for link in links if link is not None and not link.startswith("#")]
    assert len(files) > 10
    assert [link for link in files if not (report / link).exists()] == []
    anchors = {f"#{attributes['id']}" for _, attributes in Outline(page).elements if "id" in attributes}
    assert {link for link in links if link is not None and link.startswith("#")} <= anchors
    assert not list(tmp_path.iterdir())


def test_links_that_the_script_sets_lead_to_files_that_are_written(study: Path, page: str) -> None:
    """The script takes them from `files`: a figure that is not drawn for the run chosen has none."""
    report = make_report(study).parent
    drawn = embedded(page)["figures"]
    assert isinstance(drawn, dict)
    stems = [stem for figure in drawn.values() for stem in figure["files"].values()]
    assert [stem for stem in stems if not (report / "figures" / f"{stem}.svg").exists()] == []
    assert 0 < len(drawn["transfer"]["files"]) < len(drawn["r"]["files"])
    script = resources.files("attrition.report").joinpath("page.js").read_text(encoding="utf-8")
    assert re.findall(r"`figures/.*`", script) == ["`figures/${stem}.${link.dataset.kind}`"]
    assert "link.hidden = stem === undefined" in script


def test_the_name_of_a_run_is_said_once_in_a_warning(simulate: ModuleType, tmp_path: Path) -> None:
    order = ["en-US", "de-DE"]
    for name, said in (("VANILLA", "F1 is 0."), ("SHARED LoRA", "SHARED LoRA (x, seed 0): F1 is 0.")):
        simulate.write_run(tmp_path, simulate.METHODS[name], "x", order, warnings=[said])
    (item,) = re.findall(r"<li>([^<]*F1 is 0\.)</li>", page_of(tmp_path))
    assert item == "F1 is 0."


def test_headings_descend_one_level_at_a_time(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Outline(page).elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_reference_and_every_scrolling_box_has_a_name(page: str) -> None:
    outline = Outline(page)
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.elements:
        if attributes.get("aria-labelledby"):
            assert attributes["aria-labelledby"] in ids
        if attributes.get("role") == "region":
            assert attributes.get("aria-label") or attributes.get("aria-labelledby")
            assert attributes.get("tabindex") == "0"
    assert all(attributes.get("scope") in ("col", "colgroup", "row") for attributes in outline.all("th"))


def test_each_chart_on_the_page_has_its_definition_and_each_table_is_held_once(page: str) -> None:
    data = embedded(page)
    boxes = {attributes["data-figure"] for attributes in Outline(page).all("div") if "data-figure" in attributes}
    figures = data["figures"]
    assert isinstance(figures, dict)
    forests = {"forest-donor-learned", "forest-receiver-learned"}
    of_runs = {"r", "r-change", "transfer", "dev-f1", "train-loss"}
    assert boxes == set(figures) == of_runs | {*forests, "progress", "times", "figure3", "figure5", "figure6"}
    assert figures["r"]["variants"] == figures["r-change"]["variants"]
    assert len(figures["r"]["variants"]) == 8
    assert len(figures["transfer"]["variants"]) == 2


def test_claims_stand_by_verdict_with_what_is_needed_folded(simulate: ModuleType, tmp_path: Path) -> None:
    page = page_of(simulate.write_study(tmp_path, num_languages=24, num_orders=5, generated=False))
    assert re.search(r"<h3>Supported: \d+ claims</h3>", page)
    assert re.search(r"<h3>Undecided: \d+ claims</h3>", page)
    assert re.search(r"<summary>Not asked for want of data: \d+ claims</summary>", page)
    assert re.search(r"Needs runs of MONO\. \d+ claims: ", page)
    assert "nan points" not in page


def test_a_page_needs_no_paper(simulate: ModuleType, tmp_path: Path) -> None:
    page = plain_page.make_report(simulate.write_study(tmp_path, methods=("VANILLA",))).read_text(encoding="utf-8")
    assert '<section id="languages"' in page
    assert '<section id="paper"' not in page
    assert '<section id="claims"' not in page


def test_a_generated_corpus_is_said_to_be_generated(simulate: ModuleType, tmp_path: Path, page: str) -> None:
    assert "The corpus is generated." in page
    assert "this one is generated" in page
    real = simulate.write_study(tmp_path, generated=False)
    assert "The corpus is generated." not in page_of(real)


def test_warnings_stand_on_the_page(simulate: ModuleType, tmp_path: Path, page: str) -> None:
    heading = '<h2 id="warnings-h">Warnings</h2>'
    assert heading not in page
    study = simulate.write_study(tmp_path, warnings=["F1 is 0 after training th-TH."])
    warned = page_of(study)
    assert heading in warned
    assert "<li>F1 is 0 after training th-TH.</li>" in warned


def test_unfinished_runs_are_listed(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path)
    (study / "runs" / "half-done").mkdir()
    page = page_of(study)
    assert "half-done" in page
    assert "1 run of this study is not finished" in page


def test_undefined_cells_of_joint_runs_are_dashes(page: str) -> None:
    row = re.search(r'<th scope="row">MULTI</th>(.*?)</tr>', page, re.DOTALL)
    assert row is not None
    assert "–</td>" in row.group(1)
    assert "nan" not in row.group(1).lower()


def test_names_that_are_markup_stay_text(simulate: ModuleType, tmp_path: Path) -> None:
    study = tmp_path / "study"
    evil = simulate.FakeMethod(EVIL)
    simulate.write_run(study, evil, EVIL, [EVIL, "en-US"], study_name=EVIL, warnings=[EVIL], model=EVIL.replace("/", ""))
    page = page_of(study)
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert page.count("<script") == 3
    assert embedded(page)


def test_json_cannot_end_its_element() -> None:
    text = script_json({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&"}


def test_52_languages_and_several_runs_stay_small(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path, num_languages=52, num_orders=2)
    results = read_results(study)
    assert len(page_data(standard_figures(results))) < 1_000_000
    assert len(page_of(study)) < 3_000_000


@pytest.mark.parametrize("method", ["MULTI", "VANILLA", "NON-SHARED LoRA"])
@pytest.mark.parametrize("num_languages", [1, 2])
def test_the_smallest_studies_have_a_page(simulate: ModuleType, tmp_path: Path, method: str, num_languages: int) -> None:
    study = simulate.write_study(tmp_path, num_languages=num_languages, methods=(method,))
    assert method in make_report(study).read_text(encoding="utf-8")


def test_a_run_that_measured_nothing_has_a_page(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path, methods=("VANILLA",))
    (run,) = (study / "runs").iterdir()
    (run / "matrix.csv").write_text("trained,en-US,de-DE\nen-US,,\nde-DE,,\n")
    (run / "history.csv").unlink()
    assert "What was gained or lost is not known" in make_report(study).read_text(encoding="utf-8")


def test_progress_is_told(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path, methods=("VANILLA",))
    told: list[tuple[int, int]] = []
    path = make_report(study, progress=lambda done, total, _: told.append((done, total)))
    assert path == study / "report" / "index.html"
    assert [done for done, _ in told] == list(range(len(told)))
    assert told[-1] == (len(told) - 1, len(told) - 1)
    assert {file.suffix for file in (path.parent / "figures").iterdir()} == {".png", ".svg", ".pdf"}
    assert {file.suffix for file in (path.parent / "tables").iterdir()} == {".md", ".csv", ".tex"}
