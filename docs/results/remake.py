"""Draw and tabulate again what the folders beside this file hold: `make results`. Nothing is trained, no torch is needed."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from attrition.paper.report import make_report

HERE = Path(__file__).parent
BESIDE = {
    "fifty-two": (),
    "fifty-two-lora-2e-3": (),
    "massive-small": (),
    "cuts-blanks": ("cuts-graphemes",),
    "eight-languages": ("eight-languages-minilm",),
}
"""Each folder that has a report of its own, and the folders that are shown in it too."""
MAIN = ("figure", "forest", "progress", "r-")
LEFT_OUT = "r-change"
LARGEST = 400_000
"""Bytes of the largest picture that is kept. With many languages, a picture's PNG can be larger; its SVG stays."""
KEPT = {
    "tables": ("*.md", "*.csv", "*.tex"),
    "figures": tuple(f"{name}*.{kind}" for name in MAIN for kind in ("png", "svg")),
}


def main(names: list[str]) -> None:
    for name in names or BESIDE:
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(shutil.copytree(HERE / name, Path(temporary) / name))
            make_report(copy, beside=[HERE / other for other in BESIDE[name]])
            for part, patterns in KEPT.items():
                shutil.rmtree(HERE / name / part, ignore_errors=True)
                (HERE / name / part).mkdir()
                for pattern in patterns:
                    for path in (copy / "report" / part).glob(pattern):
                        if not path.name.startswith(LEFT_OUT) and path.stat().st_size <= LARGEST:
                            shutil.copy(path, HERE / name / part)
        sys.stdout.write(f"{name}: made again\n")


if __name__ == "__main__":
    main(sys.argv[1:])
