"""attrition: what a multilingual encoder forgets when it is fine-tuned on one language after another.

The names below are the public face; each is loaded when it is first asked for, so that reading results needs no torch.

>>> import attrition
>>> R = attrition.RMatrix.sequential(["en-US", "th-TH"], [[0.8, 0.3], [0.7, 0.75]])
>>> round(attrition.metrics.cbt(R), 3)
-0.1
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attrition import metrics
    from attrition.analysis.words import words
    from attrition.engine.run import run_study
    from attrition.languages import LANGUAGES, Language
    from attrition.languages.orders import order
    from attrition.methods import METHODS, Full, LoRA, Method
    from attrition.metrics.matrix import RMatrix
    from attrition.names import AttritionError
    from attrition.paper.report import make_report
    from attrition.problem.slots import span_f1
    from attrition.results.read import Results, read_results
    from attrition.study.spec import Study, build_study, read_study
    from attrition.study.watcher import Watcher

_HOMES = {
    "AttritionError": "names",
    "Full": "methods",
    "LANGUAGES": "languages",
    "Language": "languages",
    "LoRA": "methods",
    "METHODS": "methods",
    "Method": "methods",
    "RMatrix": "metrics.matrix",
    "Study": "study.spec",
    "build_study": "study.spec",
    "make_report": "paper.report",
    "order": "languages.orders",
    "read_results": "results.read",
    "read_study": "study.spec",
    "run_study": "engine.run",
    "span_f1": "problem.slots",
    "words": "analysis.words",
}

__all__ = [
    "LANGUAGES",
    "METHODS",
    "AttritionError",
    "Full",
    "Language",
    "LoRA",
    "Method",
    "RMatrix",
    "Study",
    "build_study",
    "make_report",
    "metrics",
    "order",
    "read_results",
    "read_study",
    "run",
    "run_study",
    "span_f1",
    "words",
]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return import_module("attrition.metrics")
    if name in _HOMES:
        return getattr(import_module(f"attrition.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'attrition' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def run(
    study: str | Path | Mapping[str, Any] | Study,
    out: str | Path | None = None,
    *,
    watcher: Watcher | None = None,
    **options: Any,
) -> Results:
    """Run or resume a study and return its results. Stages that are already in the results folder are not trained again.

    Args:
        study: the path of a study file or of a pack, the contents of a study file, or a `Study`.
        out: the results folder; `runs/<name of the study>` by default, as for `attrition run`.
        watcher: told of progress and warnings; by default they are printed on standard error.
        options: `only` and `seconds`, as `run_study` takes them.

    Raises:
        AttritionError: the study is not allowed, or does not fit what is there.
        Stopped: it was interrupted (a `KeyboardInterrupt`), or the time was up. The same call resumes the study.
    """
    from attrition.cli.tracker import watching
    from attrition.engine.run import run_study
    from attrition.prepare.pack import open_pack
    from attrition.results.read import read_results
    from attrition.study.keys import slug
    from attrition.study.spec import Study, build_study, read_study

    if isinstance(study, Mapping):
        study = build_study(study, where="study", folder=Path.cwd())
    elif not isinstance(study, Study):
        path = Path(study)
        options |= {"pack": path} if path.is_dir() else {}
        study = open_pack(path) if path.is_dir() else read_study(path)
    folder = Path("runs") / slug(study.name) if out is None else Path(out)
    with watching(study, folder, watcher) as told:
        run_study(study, folder, told, **options)
    return read_results(folder)
