"""Links that are right in the repository are right on the site too.

Some pages include files of the repository's root (`HOMES`). A link to such a file becomes a link to its page.
A link to another Markdown file that is not a page becomes a download.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HOMES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "DATA-LICENSES.md": "licences.md",
    "benchmarks/README.md": "benchmarks.md",
}
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")

IMAGE = re.compile(r'(<img src=")([^"]+)')


def rewritten(text: str, beside: Path, page: Path, pages: set[Path]) -> str:
    """Return the text of a file that lies in `beside`, with its links relative to `page`, which shows it."""
    homes = {ROOT / name: ROOT / "docs" / home for name, home in HOMES.items()}

    def replace(match: re.Match[str]) -> str:
        path, mark, anchor = match[2].partition("#")
        target = (beside / path).resolve()
        target = homes.get(target, target)
        if not target.exists():
            return match[0]
        link = os.path.relpath(target, page.parent)
        if target.suffix == ".md" and target not in pages:
            return f"{{download}}`{match[1]} <{link}>`"
        return f"[{match[1]}]({link}{mark}{anchor})"

    def moved(match: re.Match[str]) -> str:
        return match[1] + os.path.relpath(beside / match[2], page.parent)

    return IMAGE.sub(moved, LINK.sub(replace, text))


def _pages(env: Any) -> set[Path]:
    return {Path(env.doc2path(name)).resolve() for name in env.found_docs}


def on_page(app: Any, name: str, content: list[str]) -> None:
    page = Path(app.env.doc2path(name)).resolve()
    if page.suffix == ".md":
        content[0] = rewritten(content[0], page.parent, page, _pages(app.env))


def on_include(app: Any, path: Path, name: str, content: list[str]) -> None:
    included = (Path(app.srcdir) / path).resolve()
    if "_generated" not in included.parts:
        content[0] = rewritten(content[0], included.parent, Path(app.env.doc2path(name)).resolve(), _pages(app.env))


def setup(app: Any) -> dict[str, bool]:
    app.connect("source-read", on_page)
    app.connect("include-read", on_include)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
