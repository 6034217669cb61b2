"""A study of hostile names from end to end: nothing of them runs, nothing is fetched, nothing secret is kept."""

from __future__ import annotations

import json
import os
import re
import socket
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NoReturn
from xml.etree import ElementTree

import pytest
import vl_convert

from attrition.engine.run import run_study
from attrition.paper.report import make_report
from attrition.report.page import standard_figures
from attrition.results.read import read_results
from attrition.study.spec import build_study
from attrition.study.watcher import Watcher

SLOT = "<script>alert(1)</script>"
LANGUAGES = ['<b onclick="x">', r"\input{x}|`y`"]
GROUP = "</script>"
METHOD = "</script><img src=x onerror=alert(2)>"
STUDY = "<svg onload=alert(3)> {{ 7*7 }} $x$ & 50%"
pytestmark = pytest.mark.long

EXPRESSIONS = ("expr", "calculate", "filter", "signal", "test", "labelExpr", "update")
SECRET = "attrition-test-secret-93a1f"


class Page(HTMLParser):
    """Every element with its attributes, and all text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data = ""
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._within = str(dict(attrs).get("id") or tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._within = ""

    def handle_data(self, data: str) -> None:
        if not self._within:
            self.text += data
        elif self._within == "data":
            self.data += data


def _no_network(*_arguments: Any, **_keywords: Any) -> NoReturn:
    raise AssertionError("a socket was opened")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a corpus of the user's own, run and reported with every socket refused and secrets in the environment."""
    folder = tmp_path_factory.mktemp("hostile")
    corpus = folder / "corpus"
    corpus.mkdir()
    for language in LANGUAGES:
        for split, count in (("train", 6), ("dev", 3), ("test", 3)):
            rows = [
                {"id": f"{split}{n}", "text": f"wake me at {n}", "slots": [{"start": 11, "end": 12, "name": SLOT}]}
                for n in range(count)
            ]
            (corpus / f"{language}.{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (folder / "groups.csv").write_text(
        f'locale,group\n"{LANGUAGES[0].replace(chr(34), chr(34) * 2)}",{GROUP}\n{LANGUAGES[1]},b\n'
    )
    raw: dict[str, Any] = {
        "name": STUDY,
        "languages": LANGUAGES,
        "methods": [
            {"method": "VANILLA", "name": METHOD},
            {"method": "GROUPED LoRA", "rank": 2, "shared_by": "groups.csv", "name": "groups"},
        ],
        "corpus": {"name": "columns", "path": str(corpus)},
        "model": {"name": "tiny:bert"},
        "machine": {"threads": 1, "device": "cpu"},
        "training": {"epochs": 1, "batch_size": 4},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "PASSWORD", "ATTRITION_SECRET", "USER", "HOSTNAME"):
            patch.setenv(name, SECRET)
        for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, _no_network)
        patch.setattr(vl_convert, "svg_to_png", lambda *_, **__: b"")  # slow, and drawn from the SVG that is looked at
        patch.setattr(vl_convert, "svg_to_pdf", lambda *_, **__: b"")
        run_study(build_study(raw, where="hostile.toml", folder=folder), folder / "out", Watcher())
        make_report(folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def page(results: Path) -> Page:
    parser = Page()
    parser.feed((results / "report" / "index.html").read_text(encoding="utf-8"))
    parser.close()
    return parser


def test_hostile_names_are_text_on_the_page(page: Page) -> None:
    for name in (METHOD, STUDY, LANGUAGES[0]):
        assert name in page.text
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 2
    svgs = [given for tag, given in page.elements if tag == "svg"]
    assert all(each.get("role") == "img" or each.get("aria-hidden") == "true" for each in svgs), "the figures are ours"
    assert not {"img", "b", "iframe", "object", "embed", "base", "form"} & set(tags)
    attributes = [(name, value or "") for _, given in page.elements for name, value in given.items()]
    assert not [name for name, _ in attributes if name.startswith("on")]
    assert not [value for name, value in attributes if name in ("href", "src") and not re.match(r"#|figures/|tables/", value)]
    assert any("default-src 'none'" in value for _, value in attributes)


def test_the_data_of_the_page_are_json_in_which_no_script_ends(page: Page) -> None:
    assert "<" not in page.data
    data = json.loads(page.data)
    assert METHOD in json.dumps(data, ensure_ascii=False)
    assert LANGUAGES[0] in str(data)


def test_no_name_is_part_of_a_vega_expression(results: Path) -> None:
    def expressions(value: Any) -> list[str]:
        if isinstance(value, list):
            return [each for item in value for each in expressions(item)]
        if not isinstance(value, dict):
            return []
        own = [
            each
            for key, each in value.items()
            if key in ("expr", "calculate", "filter", "signal", "test", "labelExpr", "update")
        ]
        return [each for each in own if isinstance(each, str)] + [each for item in value.values() for each in expressions(item)]

    found = [each for figure in standard_figures(read_results(results)) for each in expressions(figure.definition())]
    assert found
    for each in found:
        assert not any(name in each for name in (*LANGUAGES, METHOD, GROUP, SLOT, STUDY))


def test_figures_hold_no_script(results: Path) -> None:
    files = list((results / "report" / "figures").glob("*.svg"))
    assert files
    for file in files:
        for element in ElementTree.parse(file).iter():
            assert element.tag.rpartition("}")[2] not in ("script", "foreignObject", "image", "a")
            assert not [name for name in element.attrib if name.lower().startswith("on")]


def test_tables_hold_hostile_names_as_text(results: Path) -> None:
    files = list((results / "report" / "tables").iterdir())
    assert {file.suffix for file in files} == {".md", ".csv", ".tex"}
    whole = {
        kind: "".join(file.read_text(encoding="utf-8") for file in files if file.suffix == kind) for kind in (".md", ".tex")
    }
    assert "</script>" not in whole[".md"]
    assert "&lt;/script&gt;" in whole[".md"]
    assert "onerror=alert(2)&gt;" in whole[".md"]
    assert r"\input" not in whole[".tex"]


def test_nothing_secret_and_nothing_pickled_is_kept(results: Path) -> None:
    files = [path for path in results.rglob("*") if path.is_file()]
    assert len(files) > 20
    here = [SECRET, str(Path.home()) + os.sep, socket.gethostname()]
    for path in files:
        data = path.read_bytes()
        assert SECRET.encode() not in data, path
        assert not data.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), f"{path} is a pickle"
        assert path.suffix not in (".pkl", ".pt", ".pth", ".bin", ".pickle", ".npy", ".npz"), path
    environment = (results / "environment.json").read_text(encoding="utf-8")
    assert not [each for each in here if len(each) > 3 and each in environment]
