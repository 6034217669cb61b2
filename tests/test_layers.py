"""Data flows one way: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "attrition"

COMMON = {"names", "files", "languages", "reading", "registry", "streams"}
TRAINING = [
    "corpus", "problem", "encoder", "methods", "training", "study", "store", "prepare", "engine", "verify", "export",
]  # fmt: skip
REPORTING = ["metrics", "results", "analysis", "report", "paper", "gate"]
# A run writes its R and metrics, which are plain arithmetic; nothing of reporting knows of training.
MAY_IMPORT = {
    **{layer: COMMON | set(TRAINING[: place + 1]) for place, layer in enumerate(TRAINING)},
    **{layer: COMMON | set(REPORTING[: place + 1]) for place, layer in enumerate(REPORTING)},
    **dict.fromkeys(COMMON, COMMON),
}
for layer in ("study", "prepare", "engine", "verify"):
    MAY_IMPORT[layer] |= {"metrics"}
# Counts, covariates and progress are written by a run and read without one: their form is known in one place.
for layer in ("store", "prepare", "engine", "verify"):
    MAY_IMPORT[layer] |= {"results.packed_counts", "results.covariates", "results.at_work"}
MAY_IMPORT["results"] |= {"corpus.bounded"}
# The gate reads anyone's predictions with the readers of corpora, and finds their spans as the scorer does.
MAY_IMPORT["gate"] |= {
    f"corpus.{name}" for name in ("annotation", "base", "formats", "formats.records", "formats.row", "rows", "schemes", "words")
} | {"problem.slots", "problem.spans"}
# The parameter accounts are arithmetic on shipped configurations, and a table of the report.
MAY_IMPORT["paper"] |= {"encoder.params"}
MAY_IMPORT["report"] |= {"encoder.params"}
# An update is trained and then judged: here the chains meet.
MAY_IMPORT["ship"] = COMMON | set(TRAINING) | set(REPORTING) | {"ship"}

# R and results show themselves in a notebook by asking the report, when they are asked and not before.
MAY_CALL = {"metrics": {"report.notebook"}, "results": {"report.notebook"}}


def _modules() -> list[Path]:
    free = ("cli", "__init__.py", "__main__.py")  # where the chains meet
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in free]


def _nodes(tree: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """Every node, and whether it is inside a function."""
    for node in ast.iter_child_nodes(tree):
        yield node, inside
        yield from _nodes(node, inside=inside or isinstance(node, ast.FunctionDef))


def _imported(path: Path, *, late: bool) -> set[str]:
    """The modules of the package that a file imports: at once, or `late`, when a function is called."""
    found = set()
    for node, inside in _nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if inside != late:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("attrition"):
            found.add(node.module.removeprefix("attrition").lstrip("."))
        elif isinstance(node, ast.Import):
            found |= {name.name.removeprefix("attrition.") for name in node.names if name.name.startswith("attrition.")}
    return found


def test_there_are_modules() -> None:
    assert len(_modules()) > 40


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    layer = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    for late in (False, True):
        allowed = MAY_IMPORT[layer] | (MAY_CALL.get(layer, set()) if late else set())
        for module in _imported(path, late=late):
            assert module.split(".")[0] in allowed or module in allowed, f"{layer} must not import attrition.{module}"


@pytest.mark.parametrize(
    "module",
    [
        "attrition",
        "attrition.metrics",
        "attrition.results.at_work",
        "attrition.results.counts",
        "attrition.results.covariates",
        "attrition.analysis.distance",
        "attrition.analysis.utterances",
        "attrition.analysis.words",
        "attrition.paper.report",
        "attrition.gate.release",
        "attrition.gate.page",
    ],
)
def test_reading_results_needs_no_torch(module: str) -> None:
    code = f"import {module}, sys; assert not {{'torch', 'transformers'}} & set(sys.modules), 'torch was imported'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")
    }
    assert not {path: length for path, length in lengths.items() if length > 400}
