from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from attrition.paper.report import make_report, paper_chapters
from attrition.report import page as plain_page
from attrition.report.chapters import languages_chapter
from attrition.report.export import drawn
from attrition.report.page import INTERACTIVE, render, script_json, standard_figures, standard_tables
from attrition.results.read import read_results

EVIL = "</script><script>alert(1)</script>"


def page_of(study: Path) -> str:
    results = read_results(study)
    chapters = [chapter for chapter in (languages_chapter(results), *paper_chapters(results)) if not chapter.is_empty]
    figures = standard_figures(results)
    on_page = [each for each in figures if each.name not in INTERACTIVE]
    svgs = drawn([*on_page, *(figure for chapter in chapters for figure in chapter.every_figure)])
    return render(results, figures, standard_tables(results), chapters, svgs)


@pytest.fixture(scope="module")
def comparable_study(simulate: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that can stand beside the paper: its orders, its methods, real language."""
    folder: Path = simulate.write_study(
        tmp_path_factory.mktemp("study"), num_languages=4, num_orders=2, order_name="paper", generated=False
    )
    return folder


@pytest.fixture(scope="module")
def page(comparable_study: Path) -> str:
    return make_report(comparable_study).read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Every element with its attributes."""

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
    assert "http" not in re.sub(r'xmlns="[^"]*"|https?://\S+ ', "", page.split("<main>")[1].split("</main>")[0])
    policy = next(meta["content"] for meta in outline.all("meta") if meta.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "eval" not in policy


def test_links_lead_to_files_that_are_written(comparable_study: Path, page: str) -> None:
    report = comparable_study / "report"
    links = [attributes["href"] for attributes in Outline(page).all("a")]
    files = [link for link in links if link is not None and not link.startswith("#")]
    assert len(files) > 10
    assert [link for link in files if not (report / link).exists()] == []
    anchors = {f"#{attributes['id']}" for _, attributes in Outline(page).elements if "id" in attributes}
    assert {link for link in links if link is not None and link.startswith("#")} <= anchors


def test_pictures_of_r_that_the_script_links_are_written(comparable_study: Path, page: str) -> None:
    for run in embedded(page)["runs"]:  # type: ignore[attr-defined]
        for stem in ("r", "r-change", *(["transfer"] if run["transfer"] else [])):
            assert (comparable_study / "report" / "figures" / f"{stem}-{run['key']}.svg").exists()


def test_the_data_of_r_are_the_matrices(comparable_study: Path, page: str) -> None:
    by_key = {run.key: run.matrix for run in read_results(comparable_study).runs}
    for run in embedded(page)["runs"]:  # type: ignore[attr-defined]
        R, drawn_R = by_key[run["key"]], run["R"]
        before = drawn_R["stages"][0] == "before"
        for column, language in enumerate(drawn_R["languages"]):
            place = R.languages.index(language)
            found = [None if value is None else value / 100 for value in (row[column] for row in drawn_R["scores"][before:])]
            assert [0 if each is None else each for each in found] == pytest.approx(
                [0 if each != each else each for each in R.scores_SL[:, place]], abs=6e-5
            )
            assert drawn_R["own"][column] == R.stage_L[place] + before


def test_a_warning_of_every_run_is_said_once(simulate: ModuleType, tmp_path: Path) -> None:
    for name in ("VANILLA", "SHARED LoRA"):
        simulate.write_run(tmp_path, simulate.METHODS[name], "x", ["en-US", "de-DE"], warnings=["F1 is 0."])
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


def test_every_table_has_heads_and_a_name(page: str) -> None:
    for table in re.findall(r"<table.*?</table>", page, re.DOTALL):
        assert re.match(r"<table[^>]*aria-label", table)
        assert re.search(r'<thead>.*<th scope="col"', table, re.DOTALL)
        rows = re.findall(r"<tr>(.*?)</tr>", table.split("<tbody>")[1], re.DOTALL)
        assert all(row.strip().startswith('<th scope="row"') for row in rows)


def test_every_figure_has_a_text_alternative_that_states_what_it_shows(page: str) -> None:
    svgs = [attributes for attributes in Outline(page).all("svg") if attributes.get("role") == "img"]
    swatches = page.count('<svg width="30" height="8" aria-hidden="true">')  # decoration: the key names its lines
    assert len(svgs) == page.count("<svg") - swatches > 10
    assert swatches
    for attributes in svgs:
        said = attributes["aria-label"]
        assert said is not None
        title, _, finding = said.partition(". ")
        assert title
        assert re.search(r"\d", finding), said
    assert "F1 at the end, in percent: MULTI" in page


def test_ids_inside_figures_are_those_that_they_refer_to(page: str) -> None:
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= ids


def test_the_first_screen_comes_first(page: str) -> None:
    places = [page.index(each) for each in ("<h1>", 'class="facts"', '<p class="headline">VANILLA', 'id="figure-progress"')]
    places += [page.index(each) for each in ('id="title-methods"', '<nav aria-label="Contents">', 'id="matrix"')]
    assert places == sorted(places)


def test_claims_stand_by_verdict_with_what_is_needed_folded(simulate: ModuleType, tmp_path: Path) -> None:
    page = page_of(simulate.write_study(tmp_path, num_languages=24, num_orders=5, generated=False, order_name="paper"))
    assert re.search(r"<h3>Supported: \d+ claims</h3>", page)
    assert re.search(r"<h3>Undecided: \d+ claims</h3>", page)
    assert re.search(r"<summary>\d+ claims could not be tested: this study lacks the runs or languages</summary>", page)
    assert re.search(r"Needs runs of MONO\. \d+ claims: ", page)
    assert "nan points" not in page


def test_a_page_needs_no_paper(simulate: ModuleType, tmp_path: Path) -> None:
    page = plain_page.make_report(simulate.write_study(tmp_path, methods=("VANILLA",))).read_text(encoding="utf-8")
    assert '<section id="languages"' in page
    assert '<section id="paper"' not in page
    assert '<section id="claims"' not in page


def test_a_study_that_cannot_be_compared_does_not_mention_the_paper(simulate: ModuleType, study: Path, tmp_path: Path) -> None:
    own = simulate.write_study(tmp_path / "own", generated=False)
    klingon = tmp_path / "klingon"
    simulate.write_run(klingon, simulate.METHODS["VANILLA"], "paper-1", ["en-US", "tlh"], generated=False)
    intents = simulate.write_study(tmp_path / "intents", generated=False, order_name="paper")
    as_intents(intents)
    for folder in (study, own, klingon, intents):
        page = page_of(folder)
        assert 'id="paper"' not in page
        assert 'id="claims"' not in page


def as_intents(folder: Path) -> None:
    for path in folder.glob("runs/*/spec.json"):
        spec = json.loads(path.read_text())
        path.write_text(json.dumps({**spec, "problem": {"name": "intents", "score": "accuracy"}}))


def test_another_problem_is_never_called_f1(simulate: ModuleType, tmp_path: Path) -> None:
    folder = simulate.write_study(tmp_path, num_languages=6, num_orders=3)
    as_intents(folder)
    page = page_of(folder)
    text = re.sub(r"<script.*?</script>|<svg.*?>|\bdev_f1\b", "", page, flags=re.DOTALL)
    text = re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)
    assert "accuracy" in text
    assert not re.search(r"\bF1\b", text)
    assert embedded(page)["score"] == "accuracy"


def test_a_generated_corpus_is_said_to_be_generated(simulate: ModuleType, tmp_path: Path, page: str) -> None:
    assert "The corpus is generated." not in page
    assert "The corpus is generated." in page_of(simulate.write_study(tmp_path, methods=("VANILLA",)))


def test_warnings_are_one_folded_line(simulate: ModuleType, tmp_path: Path, page: str) -> None:
    assert 'id="warnings"' not in page
    warned = page_of(simulate.write_study(tmp_path, warnings=["F1 is 0 after training th-TH."]))
    assert '<details class="warning" id="warnings"><summary>1 warning</summary>' in warned
    assert "<li>F1 is 0 after training th-TH.</li>" in warned


def test_unfinished_runs_are_listed(simulate: ModuleType, tmp_path: Path) -> None:
    study = simulate.write_study(tmp_path)
    (study / "runs" / "half-done").mkdir()
    page = page_of(study)
    assert "half-done" in page
    assert "1 run of this study is not finished" in page


def test_undefined_cells_of_joint_runs_are_dashes(page: str) -> None:
    row = re.search(r'id="title-methods".*?<th scope="row">MULTI</th>(.*?)</tr>', page, re.DOTALL)
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
    assert page.count("<script") == 2
    assert embedded(page)


def test_json_cannot_end_its_element() -> None:
    text = script_json({"a": "</script><!--\u2028&"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--\u2028&"}


def test_52_languages_and_eight_runs_stay_small(simulate: ModuleType, tmp_path: Path) -> None:
    folder = simulate.write_study(tmp_path, num_languages=52, num_orders=2, generated=False, order_name="paper")
    page = page_of(folder)
    assert len(page.encode()) < 3_000_000
    assert "Only as a file:" in page


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
