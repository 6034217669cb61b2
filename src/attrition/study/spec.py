"""Reads study files and defines their settings.

A study is a TOML file. Every table is a frozen dataclass here. An unknown key is refused before anything runs.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from attrition.corpus.base import Cut
from attrition.corpus.dataset import Sizes
from attrition.corpus.encoded import EncodingSettings
from attrition.corpus.registry import refuse_other_languages, refuse_unknown_corpus
from attrition.corpus.schemes import SchemeName
from attrition.encoder.head import HeadChoice
from attrition.encoder.precision import PrecisionChoice
from attrition.languages import NONE_OF_ONES_OWN, OwnLanguages, read_languages
from attrition.languages.orders import validate
from attrition.languages.portions import languages_of_portions
from attrition.metrics.matrix import JOINED_BY
from attrition.names import AttritionError, look_up
from attrition.problem.problems import DEFAULT, problem
from attrition.reading import parse_toml, read_text, refuse_depth
from attrition.registry import is_file_of_a_user
from attrition.study.spec_machine import MachineSettings
from attrition.study.spec_methods import MethodChoice, entry_of, located, read_methods
from attrition.study.spec_orders import NamedOrder, Portion, orders_table, read_orders
from attrition.study.tables import as_dataclass, as_list, as_value, known_keys, plain

Evaluate = Literal["all", "seen"] | int
"""Utterances scored after each stage: all, only of languages learned so far, or this number of each language."""
EvaluateOn = Literal["test", "dev"]
"""The split that is scored: "dev" allows a choice of settings without test utterances."""
_LISTS = ("languages", "methods", "orders", "stages", "seeds")
FEWEST_TOKENS = 3
FEWEST_SCORED = 2  # one utterance gives no standard error


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """The source of utterances.

    `name` is a corpus of `attrition list corpora`, or a Python file that opens one ("my_corpus.py"). `path` is its file or
    folder. `token`, `tag`, `scheme` and `labels` describe the files of "columns" (`attrition.corpus.formats.Layout`).
    `languages` is a CSV file about languages (`attrition.languages.read_languages`). `cuts` replace the default cut of
    languages.
    """

    name: str = "massive"
    path: str | None = None
    languages: str | None = None
    token: int | str | None = None
    tag: int | str | None = None
    scheme: SchemeName | None = None
    labels: tuple[str, ...] | None = None
    sizes: Sizes = field(default_factory=Sizes)
    cuts: Mapping[str, Cut] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The encoder.

    `compact` keeps only the sub-tokens in use (results are the same, bit for bit). `precision` is for matrix products:
    "float32", "bfloat16", or "auto" for bfloat16 if it is measured to be faster on this machine. Stages of different
    precision are different stages.

    `head`, `labels` and `new_labels` are for a checkpoint of a token classifier (`attrition.encoder.head.fit_head`). `head`
    uses its classifier ("checkpoint") or a new one ("fresh"). `labels` maps the checkpoint's labels to the study's classes.
    `new_labels` allows new classes. With `grow` the head grows: classes that the checkpoint lacks start fresh, and labels
    that the corpus lacks stay classes.

    `learned` are languages that the checkpoint has learned already; all must be in `watch`. They count as a stage before the
    first: hooks act from the first stage on, and replay samples from their train utterances.
    """

    name: str = "embedded:e5-small"
    compact: bool = True
    precision: PrecisionChoice = "auto"
    head: HeadChoice = "checkpoint"
    labels: Mapping[str, str] = field(default_factory=dict)
    new_labels: bool = False
    grow: bool = False
    learned: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: every method x order x seed is a run.

    `problem` defines labels and score: a name of `attrition.problem.PROBLEMS`, or a Python file.

    `evaluate` chooses the test utterances scored after each stage: "all"; "seen", of languages that the learner has learned
    so far; or a number, the size of a random sample of each language. `evaluate_on` = "dev" scores dev utterances instead.
    `only` restricts the study to these runs, or patterns of runs (see `select_runs`), in this order. `own` is the content of
    the file `corpus.languages`.

    `portions` are the files of further data in the orders, by their names in stages, such as "en-US (2)".

    `watch` are languages that are scored after every stage and never trained. R has a column for each, after `languages`.
    Metrics count them as not yet learned. A method with several learners has no model for them: they are NaN.
    """

    name: str
    description: str = ""
    problem: str = DEFAULT
    languages: tuple[str, ...]
    watch: tuple[str, ...] = ()
    methods: tuple[MethodChoice, ...]
    orders: tuple[NamedOrder, ...]
    portions: Mapping[str, Portion] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    evaluate: Evaluate = "all"
    evaluate_on: EvaluateOn = "test"
    only: tuple[str, ...] = ()
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    encoding: EncodingSettings = field(default_factory=EncodingSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    folder: Path = Path()
    own: OwnLanguages = field(default_factory=lambda: NONE_OF_ONES_OWN, compare=False)

    @property
    def scored(self) -> tuple[str, ...]:
        """The columns of R: the trained languages, then the watched languages."""
        return (*self.languages, *self.watch)


_TOP_KEYS = (
    "name", "description", "problem", "languages", "watch", "methods", "orders", "stages", "seeds", "evaluate",
    "evaluate_on", "only", "corpus", "encoding", "model", "training", "machine",
)  # fmt: skip


def read_study(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """Return the study in a file, with `key=value` changes applied (dotted keys, TOML values).

    Raises:
        AttritionError: the file is missing or not TOML, or a key, name or value is not allowed.
    """
    path = Path(path)
    try:
        text = read_text(path)
    except AttritionError as error:
        hint = " Give the path of a study file." if isinstance(error.__cause__, OSError) else ""
        raise AttritionError(f"{error}{hint}") from error
    raw = parse_toml(text, str(path))
    for change in changes:
        apply_change(raw, change)
    return build_study(raw, where=str(path), folder=path.resolve().parent)


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Set one dotted key of a study, in place.

    The value is TOML, or else text, so that `--set model.name=tiny:bert` needs no quotes.

    >>> raw = {"corpus": {"name": "massive"}}
    >>> apply_change(raw, "corpus.sizes.train=100")
    >>> raw
    {'corpus': {'name': 'massive', 'sizes': {'train': 100}}}
    """
    key, equals, value = change.partition("=")
    parts = [part.strip() for part in key.split(".")]
    if not equals or not all(parts):
        raise AttritionError(f"--set {change!r} is not KEY=VALUE. Write for example --set training.epochs=3")
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise AttritionError(f"--set {change!r}: {part!r} is not a table in this study.")
    try:
        table[parts[-1]] = tomllib.loads(f"value = {value}")["value"]
    except (ValueError, RecursionError):  # also a number with more digits than Python reads
        table[parts[-1]] = value.strip()
    refuse_depth(raw, f"--set {change[:80]!r}")


def build_study(raw: Mapping[str, Any], *, where: str, folder: Path = Path()) -> Study:
    """Return a study from the contents of its file. Errors name `where`; relative paths start at `folder`.

    Raises:
        AttritionError: a key, name or value is not allowed.
    """
    known_keys(raw, _TOP_KEYS, where)
    for key in ("name", "languages", "methods"):
        if key not in raw:
            raise AttritionError(f"{where}: {key!r} is missing. A study needs at least name, languages and methods.")
    given = {key: as_list(raw[key], f"{where}: {key}") for key in _LISTS if key in raw}
    for key, items in given.items():
        if not items:
            raise AttritionError(f"{where}: {key} is empty. Give at least one.")
    corpus = as_dataclass(raw.get("corpus", {}), CorpusSettings, f"{where}: corpus")
    corpus = _located(corpus, folder, f"{where}: corpus")
    own = NONE_OF_ONES_OWN if corpus.languages is None else read_languages(Path(corpus.languages))
    languages = _languages(given["languages"], corpus.name, f"{where}: languages")
    watch = as_list(raw.get("watch", []), f"{where}: watch")
    if "orders" in given and "stages" in given:
        raise AttritionError(f"{where}: stages is one order, orders are several. Give one of the two.")
    key = "stages" if "stages" in given else "orders"
    listed = [given["stages"]] if "stages" in given else given.get("orders", [list(languages)])
    found = read_orders(listed, languages, where, folder, own, key=key)
    sequences = [each.stages for each in found.orders]
    place = f"{where}: evaluate_on"
    study = Study(
        name=as_value(raw["name"], str, f"{where}: name"),
        description=as_value(raw.get("description", ""), str, f"{where}: description"),
        problem=problem(as_value(raw.get("problem", DEFAULT), str, f"{where}: problem"), folder, where=where)[1],
        languages=languages,
        watch=_languages(watch, corpus.name, f"{where}: watch") if watch else (),
        methods=read_methods(given["methods"], raw.get("training", {}), languages, sequences, where, folder, own),
        orders=found.orders,
        portions=found.portions,
        seeds=as_value(given.get("seeds", [0]), tuple[int, ...], f"{where}: seeds"),
        evaluate=_evaluate(raw.get("evaluate", "all"), f"{where}: evaluate"),
        evaluate_on=as_value(as_value(raw.get("evaluate_on", "test"), str, place), EvaluateOn, place),
        only=as_value(as_list(raw.get("only", []), f"{where}: only"), tuple[str, ...], f"{where}: only"),
        corpus=corpus,
        encoding=as_dataclass(raw.get("encoding", {}), EncodingSettings, f"{where}: encoding"),
        model=as_dataclass(raw.get("model", {}), ModelSettings, f"{where}: model"),
        machine=as_dataclass(raw.get("machine", {}), MachineSettings, f"{where}: machine"),
        folder=folder,
        own=own,
    )
    if not study.name.strip():
        raise AttritionError(f"{where}: name is empty. Give a name: the results folder is named after it.")
    if both := [language for language in study.watch if language in languages]:
        raise AttritionError(f"{where}: watch: {both[0]!r} is in languages, so it is trained. Remove it from one of them.")
    if both := [name for name in study.scored if name not in languages_of_portions(study.scored)]:
        raise AttritionError(
            f"{where}: {both[0]!r} cannot name a language: it is the name of further data. Rename the language."
        )
    for language in study.model.learned:
        look_up(language, dict.fromkeys(study.watch), kind="language of watch", where=f"{where}: model.learned")
    if len(set(study.seeds)) < len(study.seeds):
        raise AttritionError(f"{where}: seeds: give each seed once.")
    if study.encoding.max_tokens < FEWEST_TOKENS:
        least = f"give at least {FEWEST_TOKENS}: a word and the two special sub-tokens"
        raise AttritionError(f"{where}: encoding.max_tokens = {study.encoding.max_tokens} is not allowed: {least}.")
    return study


def _evaluate(raw: Any, where: str) -> Evaluate:
    value: Evaluate = as_value(raw, Literal["all", "seen"] if isinstance(raw, str) else int, where)
    if isinstance(value, int) and value < FEWEST_SCORED:
        raise AttritionError(f'{where} = {value} is not allowed: give at least {FEWEST_SCORED}, "all" or "seen".')
    return value


def _languages(raw: list[Any], corpus: str, where: str) -> tuple[str, ...]:
    languages: tuple[str, ...] = as_value(raw, tuple[str, ...], where)
    for language in languages:
        refuse_other_languages(corpus, language, where=where)
        if not language or language != language.strip() or JOINED_BY in language:
            raise AttritionError(f"{where}: {language!r} cannot name a language: remove '{JOINED_BY}' and blanks around it.")
    return validate(languages, where=where)


def resolve_orders(study: Study) -> dict[str, tuple[tuple[str, ...], ...]]:
    """Return the study's orders by name: for each stage the portions of data that it trains."""
    return {each.name: each.stages for each in study.orders}


def _located(corpus: CorpusSettings, folder: Path, where: str) -> CorpusSettings:
    """Return the settings with absolute paths."""
    named = {"path": corpus.path, "languages": corpus.languages}
    if is_file_of_a_user(corpus.name):
        named["name"] = corpus.name
    found: dict[str, Any] = {key: located(value, folder) for key, value in named.items() if value is not None}
    corpus = dataclasses.replace(corpus, **found)
    refuse_unknown_corpus(corpus.name, where=f"{where}.name")
    return corpus


def resolved(study: Study) -> dict[str, Any]:
    """Return the study as a table with all defaults. It reads back as the same study from any folder.

    Orders are listed in full, paths are absolute. Files of groups stay files: `study_files` copies them too.
    """
    table: dict[str, Any] = {"name": study.name, "description": study.description, "problem": study.problem}
    table["languages"] = list(study.languages)
    table |= {"watch": list(study.watch)} if study.watch else {}
    table |= {"orders": orders_table(study.orders, study.portions), "seeds": list(study.seeds), "evaluate": study.evaluate}
    table |= {"evaluate_on": study.evaluate_on, "only": list(study.only)}
    methods = [entry_of(choice) for choice in study.methods]
    parts = {part: plain(getattr(study, part)) for part in ("corpus", "encoding", "model", "machine")}
    return {**table, **parts, "methods": methods}
