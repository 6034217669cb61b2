"""A run's specification: what its `spec.json` says, and what of it is common to a series of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from attrition.languages import Language
from attrition.names import AttritionError
from attrition.reading import parse_json, read_text

FORMAT = 2
"""Format of spec.json: 1 has stages, 2 has steps and the rows of R that read them."""

Settings: TypeAlias = tuple[tuple[str, str], ...]
"""Names of settings with their values, as text, in the order of their names."""


class _Part(BaseModel):
    """A part of spec.json. Unknown keys are kept for the table of settings."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class Trains(_Part):
    """Which weights a method trains."""

    kind: Literal["full", "lora"]
    rank: int | None = None


class MethodSpec(_Part):
    """A run's method; `kind` is its name in the table of methods, or "". The study may give it another name."""

    name: str
    trains: Trains
    kind: str = ""
    shared_by: str = "all"
    joint: bool = False
    order_matters: bool = True
    hooks: dict[str, Any] = {}


class OrderSpec(_Part):
    """The order in which a run learned its languages."""

    name: str
    languages: tuple[str, ...]


class ModelSpec(_Part):
    """The encoder that a run started from."""

    name: str
    fingerprint: str = ""
    precision: str = ""


class CorpusSpec(_Part):
    """A run's corpus."""

    name: str
    revision: str = ""
    generated: bool = False
    licence: str = ""
    citation: str = ""
    fingerprint: str = ""
    cuts: dict[str, str] = {}


class ScoredSpec(_Part):
    """The scored utterances, in sentences; the largest standard error of a cell, and what it estimates."""

    statement: str = ""
    f1_error: float | None = None
    stands_for: str = ""


class ProblemSpec(_Part):
    """A run's problem, and the name of its score."""

    name: str = "slots"
    score: str = "slot F1"


class StepSpec(_Part):
    """A training, with the key of its stage; or a merge, which also says how."""

    key: str
    how: dict[str, Any] = {}


class Spec(_Part):
    """Everything that determines a run's numbers, from its spec.json."""

    format: Literal[2]
    run: str
    study: str = ""
    problem: ProblemSpec = ProblemSpec()
    name: str
    method: MethodSpec
    languages: tuple[str, ...] = ()
    order: OrderSpec
    seed: int = 0
    model: ModelSpec
    corpus: CorpusSpec
    training: dict[str, Any] = {}
    encoding: dict[str, Any] = {}
    sizes: dict[str, Any] = {}
    evaluate_on: str = "test"
    evaluate: str | int = "all"
    watch: tuple[str, ...] = ()
    steps: tuple[StepSpec, ...] = ()
    parameters: dict[str, float] = {}
    scored: ScoredSpec = ScoredSpec()
    own_languages: dict[str, Language] = {}
    warnings: tuple[str, ...] = ()


def read_spec(path: Path) -> Spec:
    """Return the specification in a run's `spec.json`.

    Raises:
        AttritionError: the file cannot be read, or is malformed.
    """
    return parse_spec(parse_json(read_text(path), str(path)), str(path))


def parse_spec(raw: Mapping[str, Any], where: str) -> Spec:
    """Return the specification with these values; `where` names their file in errors."""
    if raw.get("format") != FORMAT:
        raise AttritionError(
            f"{where}: format {raw.get('format')!r} is not known; this version of attrition reads format {FORMAT}."
        )
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AttritionError(f"{where}: {place}: {first['msg']}. Was the file changed by hand?") from error


@dataclass(frozen=True)
class Setup:
    """The model and the data of a run: the same in all methods of a study.

    `weights` are the hash of the model's weights and the precision of products; `data` is what else the model reads: languages,
    sizes, encoding and the hash of the corpus.
    """

    model: str = ""
    corpus: str = ""
    cuts: str = ""
    data: Settings = ()
    weights: Settings = ()


@dataclass(frozen=True)
class Series:
    """The common settings of runs that differ only in order and seed. Tables and figures average them.

    `method` is its name in the study, `kind` the published method ("" for other methods); `training` has its settings.
    """

    method: str
    rank: int | None
    kind: str
    setup: Setup
    training: Settings = ()

    @property
    def settings(self) -> dict[str, str]:
        """What distinguishes this series, in words, by name: method, rank, model, corpus, cuts, data and training."""
        found = {"method": self.method, "rank": "none" if self.rank is None else str(self.rank), "kind of method": self.kind}
        found |= {"model": self.setup.model, "corpus": self.setup.corpus, "cuts": self.setup.cuts or "blanks"}
        return found | self.further

    @property
    def further(self) -> dict[str, str]:
        """The settings of the data, of the model's weights and of training, by name."""
        return dict(self.setup.data) | dict(self.setup.weights) | dict(self.training)


def series_of(spec: Spec) -> Series:
    """Return the series of a run with this specification."""
    method, corpus = spec.method, spec.corpus
    rank = method.trains.rank if method.trains.kind == "lora" else None
    cuts = ", ".join(f"{language} {cut}" for language, cut in sorted(corpus.cuts.items()) if cut != "blanks")
    name = f"{corpus.name} {corpus.revision}".strip()
    name += "" if spec.problem.name == "slots" else f" ({spec.problem.name})"
    # A study with several ranks has the rank in the names of methods. Without it, names match those of other studies.
    method_name = method.name.removesuffix(f" r={rank}")
    portions = (corpus.model_extra or {}).get("portions") or {}
    data = {
        "sizes": spec.sizes,
        "encoding": spec.encoding,
        "languages": sorted(spec.languages),
        "watch": sorted(spec.watch),
        "corpus": {"fingerprint": corpus.fingerprint, "portions": portions},
        "evaluate": spec.evaluate,
        "evaluate_on": spec.evaluate_on,
    }
    weights = {"model": {"fingerprint": spec.model.fingerprint, "precision": spec.model.precision}}
    training = {
        "training": spec.training,
        "lora": method.trains.model_dump(exclude={"kind", "rank"}),
        "shared_by": method.shared_by,
        "hooks": sorted(method.hooks),
        **method.hooks,
        "merge": next((step.how for step in spec.steps if step.how), {}),
    }
    setup = Setup(spec.model.name, name, cuts, _pairs(data), _pairs(weights))
    return Series(method_name, rank, method.kind, setup, _pairs(training))


def _pairs(settings: Mapping[str, Any]) -> Settings:
    return tuple(sorted(flat(settings).items()))


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings as one level of dotted names and short texts.

    >>> flat({"method": {"name": "MULTI", "trains": {"rank": None}}, "languages": ["en-US", "de-DE"]})
    {'method.name': 'MULTI', 'method.trains.rank': '-', 'languages': 'en-US, de-DE'}
    """
    found: dict[str, str] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            found.update(flat(item, f"{prefix}{name}."))
        elif isinstance(item, list | tuple):
            found[prefix + name] = ", ".join(map(_short, item)) or "-"
        else:
            found[prefix + name] = _short(item)
    return found


def _short(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)
