"""attrition: what a multilingual encoder forgets when it is fine-tuned on one language after another.

The names below are the public face; each is loaded when it is first asked for, so that reading results needs no torch.

>>> import attrition
>>> R = attrition.RMatrix.sequential(["en-US", "th-TH"], [[0.8, 0.3], [0.7, 0.75]])
>>> round(attrition.metrics.cbt(R), 3)
-0.1
"""

from __future__ import annotations

from importlib import import_module
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
    from attrition.results.read import read_results
    from attrition.study.spec import Study, build_study, read_study

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
