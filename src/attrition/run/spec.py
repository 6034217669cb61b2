"""A study file: what it may say, and how it is read.

A study is a TOML file. Every table is a frozen dataclass here; a key that is not a field is refused before anything runs.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from attrition.corpus.base import Cut
from attrition.corpus.dataset import Sizes
from attrition.corpus.encoded import EncodingSettings
from attrition.methods import Full, LoRA, Method, method
from attrition.names import AttritionError, look_up, unknown
from attrition.training.settings import TrainingSettings

CorpusName = Literal["massive", "phrasebook", "columns"]


@dataclass(frozen=True, kw_only=True)
class CorpusSettings:
    """Where utterances come from: `path` for "massive" (optional) and "columns"; `cuts` by locale where not the default."""

    name: CorpusName = "massive"
    path: str | None = None
    sizes: Sizes = field(default_factory=Sizes)
    cuts: Mapping[str, Cut] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The encoder; `compact` keeps only the sub-tokens in use (the numbers are the same, bit for bit)."""

    name: str = "embedded:e5-small"
    compact: bool = True


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """How the work is done; nothing here decides a number beyond rounding.

    `device` is "auto", "cpu" or "cuda"; `threads` is that of CPU work (all cores by default); `population` is how many
    learners at most train side by side.
    """

    device: str = "auto"
    threads: int | None = None
    population: int = 1

    def __post_init__(self) -> None:
        for name, value in (("threads", self.threads), ("population", self.population)):
            if value is not None and value < 1:
                raise AttritionError(f"machine.{name} = {value} is not allowed: give a whole number of at least 1.")


@dataclass(frozen=True, kw_only=True)
class MethodChoice:
    """A method of the study with the settings it is trained with."""

    method: Method
    training: TrainingSettings


@dataclass(frozen=True, kw_only=True)
class Study:
    """A whole study: every method x order x seed is a run."""

    name: str
    description: str = ""
    languages: tuple[str, ...]
    methods: tuple[MethodChoice, ...]
    orders: tuple[str | tuple[str, ...], ...]
    seeds: tuple[int, ...] = (0,)
    corpus: CorpusSettings = field(default_factory=CorpusSettings)
    encoding: EncodingSettings = field(default_factory=EncodingSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    folder: Path = Path()


_TOP_KEYS = (
    "name", "description", "languages", "methods", "orders", "seeds", "corpus", "encoding", "model", "training", "machine",
)  # fmt: skip
_METHOD_KEYS = ("method", "name", "rank", "alpha", "dropout", "targets", "shared_by", "joint", "training")
_LORA_KEYS = ("rank", "alpha", "dropout", "targets")


def read_study(path: Path, changes: Sequence[str] = ()) -> Study:
    """The study in a file, with `key=value` changes applied (dotted keys, TOML values).

    Raises:
        AttritionError: the file is missing or not TOML, or a key, name or value is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise AttritionError(f"{path}: cannot be read ({error.strerror or error}). Give the path of a study file.") from error
    except UnicodeDecodeError as error:
        raise AttritionError(f"{path}: not UTF-8 text (byte {error.start}).") from error
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise AttritionError(f"{path}: not TOML: {error}.") from error
    for change in changes:
        apply_change(raw, change)
    return build_study(raw, where=str(path), folder=path.resolve().parent)


def apply_change(raw: dict[str, Any], change: str) -> None:
    """Set one dotted key of a study, in place.

    The value is TOML; what is not TOML is taken as text, so that `--set model.name=tiny:bert` needs no quotes.

    >>> raw = {"corpus": {"name": "massive"}}
    >>> apply_change(raw, "corpus.sizes.train=100")
    >>> raw
    {'corpus': {'name': 'massive', 'sizes': {'train': 100}}}
    """
    key, equals, value = change.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise AttritionError(f"--set {change!r} is not KEY=VALUE. Write for example --set training.epochs=3")
    table = raw
    for part in parts[:-1]:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise AttritionError(f"--set {change!r}: {part!r} is not a table in this study.")
    try:
        table[parts[-1]] = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        table[parts[-1]] = value.strip()


def build_study(raw: Mapping[str, Any], *, where: str, folder: Path = Path()) -> Study:
    """A study from the contents of its file; `where` is named in errors, `folder` is where relative paths start."""
    _known_keys(raw, _TOP_KEYS, where)
    for key in ("name", "languages", "methods"):
        if key not in raw:
            raise AttritionError(f"{where}: {key!r} is missing. A study needs at least name, languages and methods.")
    languages = _build(raw["languages"], tuple[str, ...], f"{where}: languages")
    if len(languages) < 1 or len(set(languages)) < len(languages):
        raise AttritionError(f"{where}: languages must name at least one language, and each only once.")
    training = _table(raw.get("training", {}), f"{where}: training")
    methods = [_method(each, training, f"{where}: methods[{index}]") for index, each in enumerate(_list(raw["methods"], where))]
    names = [choice.method.name for choice in methods]
    for name in names:
        if names.count(name) > 1:
            raise AttritionError(f"{where}: two methods are called {name!r}. Give one of them another name.")
    orders = tuple(
        tuple(each) if isinstance(each, list) else str(each) for each in _list(raw.get("orders", [list(languages)]), where)
    )
    seeds = _build(raw.get("seeds", [0]), tuple[int, ...], f"{where}: seeds")
    if not seeds or not orders or not methods:
        raise AttritionError(f"{where}: methods, orders and seeds must not be empty.")
    return Study(
        name=_build(raw["name"], str, f"{where}: name"),
        description=_build(raw.get("description", ""), str, f"{where}: description"),
        languages=languages,
        methods=tuple(methods),
        orders=orders,
        seeds=seeds,
        corpus=_dataclass(raw.get("corpus", {}), CorpusSettings, f"{where}: corpus"),
        encoding=_dataclass(raw.get("encoding", {}), EncodingSettings, f"{where}: encoding"),
        model=_dataclass(raw.get("model", {}), ModelSettings, f"{where}: model"),
        machine=_dataclass(raw.get("machine", {}), MachineSettings, f"{where}: machine"),
        folder=folder,
    )


def _method(raw: Any, training: Mapping[str, Any], where: str) -> MethodChoice:
    """One entry of `methods`: a name, or a table that starts from a published method and changes it."""
    given: dict[str, Any] = {"method": raw} if isinstance(raw, str) else dict(_table(raw, where))
    _known_keys(given, _METHOD_KEYS, where)
    if "method" not in given:
        raise AttritionError(f'{where}: say which method this starts from, such as method = "SHARED LoRA".')
    base = method(_build(given["method"], str, where))
    changes: dict[str, Any] = {key: given[key] for key in ("name", "shared_by", "joint") if key in given}
    lora = {key: given[key] for key in _LORA_KEYS if key in given}
    if isinstance(base.trains, Full) and lora:
        raise AttritionError(f"{where}: {', '.join(lora)} has no effect: {base.name} trains the whole encoder. Remove it.")
    if isinstance(base.trains, LoRA):
        changes["trains"] = _dataclass({**_fields(base.trains), **lora}, LoRA, where)
    value = dataclasses.replace(base, **changes)
    common = {key: item for key, item in training.items() if key not in ("full", "lora")}
    own = _table(training.get(value.trains.kind, {}), f"{where}: training.{value.trains.kind}")
    for part in (common, own, _table(given.get("training", {}), where)):
        _known_keys(part, tuple(_names(TrainingSettings)), f"{where}: training", also=("full", "lora"))
    settings = {**common, **own, **given.get("training", {})}
    return MethodChoice(method=value, training=_dataclass(settings, TrainingSettings, f"{where}: training"))


def _dataclass(raw: Any, kind: type[Any], where: str) -> Any:
    """A dataclass from a table: unknown keys by nearest name first, then types."""
    table = _table(raw, where)
    _known_keys(table, tuple(_names(kind)), where)
    hints = get_type_hints(kind)
    values = {}
    for key, value in table.items():
        hint = hints[key]
        inner = f"{where}.{key}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            values[key] = _dataclass(value, hint, inner)
        else:
            values[key] = _build(value, hint, inner)
    try:
        return kind(**values)
    except AttritionError as error:
        raise AttritionError(f"{where}: {error}") from error


def _build(value: Any, hint: Any, where: str) -> Any:
    choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
    if choices and isinstance(value, str):
        return look_up(value, {choice: choice for choice in choices}, kind="value", where=where)
    try:
        return TypeAdapter(hint, config=ConfigDict(strict=False)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        at = "".join(f"[{part}]" for part in first["loc"])
        raise AttritionError(f"{where}{at}: {value!r} is not allowed: {first['msg'].lower()}.") from error


def _known_keys(table: Mapping[str, Any], known: Sequence[str], where: str, also: Sequence[str] = ()) -> None:
    for key in table:
        if key not in known and key not in also:
            raise unknown(key, known, kind="setting", where=where)


def _table(raw: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(raw, Mapping):
        raise AttritionError(f"{where}: a table is expected, not {raw!r}.")
    return raw


def _list(raw: Any, where: str) -> list[Any]:
    if not isinstance(raw, list):
        raise AttritionError(f"{where}: a list is expected, not {raw!r}. Put it in brackets.")
    return raw


def _names(kind: type[Any]) -> list[str]:
    return [each.name for each in dataclasses.fields(kind)]


def _fields(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}


def resolved(study: Study) -> dict[str, Any]:
    """The study as a table with every default filled in; it reads back as the same study."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {key: plain(item) for key, item in _fields(value).items() if item is not None}
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    table: dict[str, Any] = {"name": study.name, "description": study.description, "languages": list(study.languages)}
    table |= {"orders": [plain(order) for order in study.orders], "seeds": list(study.seeds)}
    methods = []
    for choice in study.methods:
        entry: dict[str, Any] = {"method": _origin(choice.method), "name": choice.method.name}
        entry |= {"shared_by": choice.method.shared_by, "joint": choice.method.joint}
        entry |= plain(choice.method.trains)
        methods.append({**entry, "training": plain(choice.training)})
    parts = {part: plain(getattr(study, part)) for part in ("corpus", "encoding", "model", "machine")}
    return {**table, **parts, "methods": methods}


def _origin(value: Method) -> str:
    """A published method that `value` can be written as a change of."""
    return "SHARED LoRA" if isinstance(value.trains, LoRA) else "VANILLA"
