"""Counts the parameters that a method trains and stores, from the encoder's configuration only: no weights, torch or network.

Supports encoders with BERT's layout: `bert`, `roberta`, `xlm-roberta`, `camembert`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from attrition.languages import LANGUAGES
from attrition.names import AttritionError, look_up, nearest, unknown

MODEL_TYPES = ("bert", "camembert", "roberta", "xlm-roberta")

PAPER_TARGETS = ("query", "key", "value", "dense")
"""The linear modules that the paper adapts, as PEFT's `target_modules`: all modules of the layers, and the pooler."""

Trains = Literal["full", "lora"]


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """The fields that determine the size of a BERT-like encoder, named as in Hugging Face's `config.json`.

    `name` is the encoder's first name, or the path of its file.

    >>> load_config("xlm-roberta-base").vocab_size
    250002
    """

    name: str
    model_type: str
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    pad_token_id: int
    layer_norm_eps: float
    hidden_act: str
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float


# The defaults of transformers for missing fields (pad_token_id: by model type). Sizes must be given.
_DEFAULTS: Mapping[str, int | float | str] = MappingProxyType(
    {
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }
)


def config_from(values: Mapping[str, object], *, name: str) -> EncoderConfig:
    """Return the configuration in the values of a `config.json`; other fields are ignored.

    Raises:
        AttritionError: a model type with another layout; a field that is missing or has a wrong type.
    """
    model_type = values.get("model_type")
    if model_type not in MODEL_TYPES:
        raise AttritionError(
            f"{name}: model_type is {model_type!r}, but parameters are counted only for {', '.join(MODEL_TYPES)}."
        )
    defaults = dict(_DEFAULTS, pad_token_id=0 if model_type == "bert" else 1)
    known: dict[str, object] = {}
    for field in fields(EncoderConfig)[1:]:
        value = values.get(field.name, defaults.get(field.name))
        if value is None:
            raise AttritionError(f"{name}: {field.name} is missing. Give a complete config.json of a {model_type} model.")
        kinds: tuple[type, ...] = {"int": (int,), "float": (int, float), "str": (str,)}[str(field.type)]
        is_size = field.type == "int" and field.name != "pad_token_id"
        if isinstance(value, bool) or not isinstance(value, kinds) or (is_size and isinstance(value, int) and value < 1):
            wanted = "a whole number above 0" if is_size else f"of type {field.type}"
            raise AttritionError(f"{name}: {field.name} is {value!r}, but it must be {wanted}.")
        known[field.name] = value
    return EncoderConfig(name=name, **known)  # type: ignore[arg-type]


@functools.cache
def shipped_configs() -> Mapping[str, EncoderConfig]:
    """Return the configurations included in the package, by each of their names.

    >>> [name for name in shipped_configs() if name.startswith("intfloat/")][-1]
    'intfloat/multilingual-e5-small'
    """
    by_name = {}
    folder = resources.files("attrition.encoder").joinpath("configs")
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        values = json.loads(file.read_text(encoding="utf-8"))
        config = config_from(values, name=values["names"][0])
        by_name.update(dict.fromkeys(values["names"], config))
    return MappingProxyType(by_name)


def load_config(name_or_path: str | Path) -> EncoderConfig:
    """Return the configuration of a model, by a known name or from a local folder or `config.json`.

    Args:
        name_or_path: a key of `shipped_configs()`, with or without the prefix "hub:", or a path.

    Raises:
        AttritionError: neither a known name nor a path; a file that is not the configuration of a BERT-like encoder.

    >>> load_config("hub:intfloat/multilingual-e5-large-instruct").num_hidden_layers
    24
    """
    given = str(name_or_path).removeprefix("hub:")
    shipped = shipped_configs()
    if given in shipped:
        return shipped[given]
    path = Path(given)
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        if path.is_dir():
            raise AttritionError(f"The folder {given!r} holds no config.json. Give the folder of a model, or its config.json.")
        raise AttritionError(f"{unknown(given, shipped, kind='model')} Or give a local folder or config.json.")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise AttritionError(f"{str(file)!r} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise AttritionError(f"{str(file)!r} holds no JSON object. Give a model's config.json.")
    return config_from(values, name=given)


class Linear(NamedTuple):
    """A linear module: `outputs` x `inputs` weights and `outputs` biases."""

    name: str
    inputs: int
    outputs: int

    @property
    def num_parameters(self) -> int:
        """Return the number of weights and biases."""
        return self.inputs * self.outputs + self.outputs

    def num_lora_parameters(self, rank: int) -> int:
        """Return the number of LoRA parameters: A is rank x inputs, B is outputs x rank (Hu et al. 2021)."""
        return rank * (self.inputs + self.outputs)


def linear_modules(config: EncoderConfig, *, with_pooler: bool = True) -> tuple[Linear, ...]:
    """Return all linear modules of the encoder, named as in transformers: six for each layer, and the pooler.

    >>> [module.name for module in linear_modules(load_config("xlm-roberta-base"))][-2:]
    ['encoder.layer.11.output.dense', 'pooler.dense']
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    in_layer = (
        Linear("attention.self.query", hidden, hidden),
        Linear("attention.self.key", hidden, hidden),
        Linear("attention.self.value", hidden, hidden),
        Linear("attention.output.dense", hidden, hidden),
        Linear("intermediate.dense", hidden, inner),
        Linear("output.dense", inner, hidden),
    )
    layers = [
        module._replace(name=f"encoder.layer.{layer}.{module.name}")
        for layer in range(config.num_hidden_layers)
        for module in in_layer
    ]
    pooler = [Linear("pooler.dense", hidden, hidden)] if with_pooler else []
    return (*layers, *pooler)


def targeted(modules: Sequence[Linear], targets: Sequence[str]) -> tuple[Linear, ...]:
    """Return the modules that PEFT would adapt: their name is a target, or ends in "." and a target.

    Raises:
        AttritionError: a target that matches no module.
    """
    endings = {
        ".".join(parts[start:]) for parts in (module.name.split(".") for module in modules) for start in range(len(parts))
    }
    for target in targets:
        if target not in endings:
            guess = nearest(target, endings)
            hint = f" Did you mean {guess!r}?" if guess else ""
            raise AttritionError(f"LoRA target {target!r} names no linear module.{hint} Usual: {', '.join(PAPER_TARGETS)}.")
    return tuple(module for module in modules if any(f".{module.name}".endswith(f".{target}") for target in targets))


class Component(NamedTuple):
    """A part of the parameter count: its trained and its stored numbers, over all learners."""

    name: str
    trainable: int
    stored: int


@dataclass(frozen=True, slots=True)
class ParameterAccount:
    """The numbers of parameters that a method trains and stores.

    `trainable` counts the parameters with gradients, over all learners. `stored` counts the parameters needed to use all
    learners; a frozen base counts once. Both are sums over `components`.
    """

    model: str
    trains: Trains
    rank: int | None
    num_learners: int
    components: tuple[Component, ...]

    @property
    def trainable(self) -> int:
        """Return the number of parameters with gradients."""
        return sum(component.trainable for component in self.components)

    @property
    def stored(self) -> int:
        """Return the number of stored parameters."""
        return sum(component.stored for component in self.components)

    @property
    def trainable_millions(self) -> float:
        """Return the trainable parameters in millions with two decimals, as in the paper's Table 1."""
        return round(self.trainable / 1e6, 2)


def account(
    config: EncoderConfig,
    trains: Trains = "full",
    rank: int | None = None,
    targets: Sequence[str] = PAPER_TARGETS,
    *,
    count_pooler: bool = True,
    head_classes: int | None = None,
    num_learners: int = 1,
) -> ParameterAccount:
    """Return the parameter count of one or more learners over an encoder.

    Full fine-tuning trains and stores every parameter of every learner. LoRA trains rank x (inputs + outputs) parameters for
    each adapted linear module (Hu et al. 2021) and stores them, plus one frozen encoder. The defaults count as the paper does:
    with the pooler and without the task head, although a token classifier does not use the pooler.

    Args:
        config: the encoder.
        trains: "full" or "lora".
        rank: LoRA's rank; only with "lora".
        targets: LoRA's modules, named as in PEFT.
        count_pooler: True to count the pooler, and to adapt it if a target matches it.
        head_classes: number of labels of the token classifier, which every learner trains; None omits the head.
        num_learners: number of learners, such as one per language.

    Raises:
        AttritionError: a rank without LoRA, or LoRA without a rank; a number below 1; an unknown target.

    >>> base = load_config("xlm-roberta-base")
    >>> account(base).trainable, account(base, "lora", rank=1).trainable
    (278043648, 167424)
    """
    look_up(trains, dict.fromkeys(("full", "lora")), kind="way to train")
    if (rank is None) == (trains == "lora"):
        raise AttritionError(f"trains={trains!r} with rank={rank}: LoRA needs a rank and full fine-tuning takes none.")
    for what, number in (("rank", rank), ("head_classes", head_classes), ("num_learners", num_learners)):
        if number is not None and number < 1:
            raise AttritionError(f"{what} is {number}, but it must be at least 1.")
    modules = linear_modules(config, with_pooler=count_pooler)
    copies, gradients = (1, 0) if trains == "lora" else (num_learners, 1)
    components = [
        Component(name, gradients * copies * count, copies * count) for name, count in _encoder_parts(config, modules).items()
    ]
    if rank is not None:
        adapters = num_learners * sum(module.num_lora_parameters(rank) for module in targeted(modules, targets))
        components.append(Component("lora", adapters, adapters))
    if head_classes is not None:
        head = num_learners * Linear("classifier", config.hidden_size, head_classes).num_parameters
        components.append(Component("head", head, head))
    return ParameterAccount(config.name, trains, rank, num_learners, tuple(components))


def _encoder_parts(config: EncoderConfig, modules: Sequence[Linear]) -> dict[str, int]:
    """Return the parameters of one encoder by part, without parts that do not exist."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    norm = 2 * hidden  # a scale and a shift for every unit
    counts = {
        "embeddings.words": config.vocab_size * hidden,
        "embeddings.positions": config.max_position_embeddings * hidden,
        "embeddings.types": config.type_vocab_size * hidden,
        "embeddings.norm": norm,
        "layers.attention": 0,
        "layers.feed_forward": 0,
        "layers.norms": layers * 2 * norm,
        "pooler": 0,
    }
    for module in modules:
        if module.name.startswith("pooler."):
            part = "pooler"
        else:
            part = "layers.attention" if ".attention." in module.name else "layers.feed_forward"
        counts[part] += module.num_parameters
    return {part: count for part, count in counts.items() if count}


class TableRow(NamedTuple):
    """A row of the paper's Table 1 as counted here; `note` explains a different number in the paper."""

    method: str
    rank: int | None
    account: ParameterAccount
    note: str

    @property
    def millions(self) -> float:
        """Return the number in the column."""
        return self.account.trainable_millions


def paper_table1_parameters(
    config: EncoderConfig | None = None, num_languages: int = len(LANGUAGES), ranks: Sequence[int] = (32, 64, 256)
) -> tuple[TableRow, ...]:
    """Return the column "Params (M)" of the paper's Table 1 by row, by default for its XLM-R base, 52 languages and ranks.

    >>> [(row.method, row.rank, row.millions) for row in paper_table1_parameters()][:2]
    [('MULTI', None, 278.04), ('MULTI LoRA', 32, 5.36)]
    """
    paper = load_config("xlm-roberta-base")
    config = config or paper
    is_paper = config == paper and num_languages == len(LANGUAGES)
    rows = [TableRow("MULTI", None, account(config), "")]
    rows += [TableRow("MULTI LoRA", rank, account(config, "lora", rank), "") for rank in ranks]
    rows.append(TableRow("MONO", None, account(config, num_learners=num_languages), ""))
    rows.append(TableRow("VANILLA", None, account(config), ""))
    rows += [TableRow("SHARED LoRA", rank, account(config, "lora", rank), "") for rank in ranks]
    slip = "The paper prints 278.04, the size of the whole encoder; 52 adapters of 5.357568 M are 278.59 M."
    rows += [
        TableRow(
            "NON-SHARED LoRA",
            rank,
            account(config, "lora", rank, num_learners=num_languages),
            slip if is_paper and rank == 32 else "",
        )
        for rank in ranks
    ]
    return tuple(rows)
