"""Notebooks as pages: `*.ipynb` is executed when the site is built, in this process, and shown with its outputs.

`python docs/_ext/notebook.py FILE.ipynb` writes the outputs into the file itself.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

from myst_parser.sphinx_ import Parser

RICH = {"text/html": "_repr_html_", "image/svg+xml": "_repr_svg_"}


def executed(notebook: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return a notebook with fresh outputs; its cells run in one namespace, with `folder` as working folder."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells, count = [], 0
    with contextlib.chdir(folder):
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                count += 1
                cell = {**cell, "execution_count": count, "outputs": _outputs("".join(cell["source"]), names, count)}
            cells.append(cell)
    return {**notebook, "cells": cells}


def _outputs(code: str, names: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """Run a cell; return what it printed, and the value of its last line."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": printed.getvalue().splitlines(True)})
    if value is not None:
        shown = {"text/plain": repr(value)} | {
            kind: getattr(value, name)() for kind, name in RICH.items() if hasattr(value, name)
        }
        if hasattr(value, "_repr_mimebundle_"):  # an Altair chart, by the renderer that the notebook has chosen
            shown = {"text/plain": f"<{type(value).__name__}>", **value._repr_mimebundle_(None, None)}
        data = {kind: text.splitlines(True) for kind, text in shown.items()}
        found.append({"data": data, "execution_count": count, "metadata": {}, "output_type": "execute_result"})
    return found


def as_markdown(notebook: dict[str, Any]) -> str:
    """Return an executed notebook as a page."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        for output in cell.get("outputs", ()):
            data = output.get("data", {"text/plain": output.get("text", [])})
            kind = next(kind for kind in ("image/svg+xml", "text/html", "text/plain") if kind in data)
            text = "".join(data[kind]).rstrip()
            parts.append(
                f"```text\n{text}\n```" if kind == "text/plain" else f'```{{raw}} html\n<div class="output">{text}</div>\n```'
            )
    return "\n\n".join(parts) + "\n"


class NotebookParser(Parser):
    supported = ("ipynb",)

    def parse(self, inputstring: str, document: Any) -> None:
        folder = Path(document.settings.env.doc2path(document.settings.env.docname)).parent
        super().parse(as_markdown(executed(json.loads(inputstring), folder)), document)


def setup(app: Any) -> dict[str, bool]:
    app.add_source_suffix(".ipynb", "ipynb")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


if __name__ == "__main__":
    path = Path(sys.argv[1])
    done = executed(json.loads(path.read_text(encoding="utf-8")), path.parent)
    path.write_text(json.dumps(done, indent=1, ensure_ascii=False) + os.linesep, encoding="utf-8")
