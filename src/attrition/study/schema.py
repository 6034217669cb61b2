"""The JSON Schema of a study file, made from the settings that read it: editors complete and check TOML with it."""

from __future__ import annotations

import inspect
from typing import Any

from pydantic import TypeAdapter

from attrition.corpus.encoded import EncodingSettings
from attrition.methods import HOOKS, METHODS, LoRA
from attrition.methods.merging import MERGING
from attrition.problem.problems import DEFAULT
from attrition.study.spec import CorpusSettings, Evaluate, EvaluateOn, ModelSettings, Study
from attrition.study.spec_machine import MachineSettings
from attrition.study.spec_methods import METHOD_KEYS
from attrition.training.settings import TrainingSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_PORTION: dict[str, Any] = {
    "anyOf": [
        {"type": "string", "description": "A language."},
        {
            "type": "object",
            "description": "Further data of a language that an earlier stage brought.",
            "properties": {"language": {"type": "string"}, "data": {"type": "string"}},
            "required": ["language", "data"],
            "additionalProperties": False,
        },
    ]
}
_STAGES: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "description": "What each stage trains: one language, or a list of several, or further data of a language.",
    "items": {"anyOf": [*_PORTION["anyOf"], {"type": "array", "items": _PORTION, "minItems": 1}]},
}
_PLAIN: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "minLength": 1},
    "description": {"type": "string"},
    "languages": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    "watch": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Languages that are scored after every stage and never trained.",
    },
    "orders": {
        "type": "array",
        "minItems": 1,
        "description": "Names as `attrition list orders` shows them, lists of stages, or tables with a name and stages.",
        "items": {
            "anyOf": [
                {"type": "string"},
                _STAGES,
                {
                    "type": "object",
                    "properties": {
                        "name": {"type": "string"},
                        "languages": {"type": "array", "items": {"type": "string"}},
                        "stages": _STAGES,
                    },
                    "oneOf": [{"required": ["name", "languages"]}, {"required": ["name", "stages"]}],
                    "additionalProperties": False,
                },
            ]
        },
    },
    "stages": {**_STAGES, "description": "The one order of the study, in place of `orders`."},
    "problem": {"type": "string", "description": "slots, intents, or a Python file.", "default": DEFAULT},
    "seeds": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    "only": {"type": "array", "items": {"type": "string"}},
}


def study_schema() -> dict[str, Any]:
    """Return the JSON Schema of a study file.

    >>> sorted(study_schema()["properties"])[:4]
    ['corpus', 'description', 'encoding', 'evaluate']
    """
    parts = {"corpus": CorpusSettings, "encoding": EncodingSettings, "model": ModelSettings, "machine": MachineSettings}
    training = _table(TrainingSettings)
    overlays = {kind: {**training, "description": f"For methods that train {kind}."} for kind in ("full", "lora")}
    properties = {
        **_PLAIN,
        "evaluate": TypeAdapter(Evaluate).json_schema(),
        "evaluate_on": TypeAdapter(EvaluateOn).json_schema(),
        "methods": {"type": "array", "minItems": 1, "items": _method(training)},
        "training": {**training, "properties": {**training["properties"], **overlays}},
        **{name: _table(kind) for name, kind in parts.items()},
    }
    return {
        "$schema": DIALECT,
        "title": "An attrition study",
        "description": inspect.getdoc(Study),
        "type": "object",
        "properties": properties,
        "required": ["name", "languages", "methods"],
        "additionalProperties": False,
    }


def _method(training: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an entry of `methods`: a name, or a table that changes a method."""
    lora = _table(LoRA)["properties"]
    merging = [
        {**_table(kind), "properties": {"name": {"const": name}, **_table(kind)["properties"]}, "required": ["name"]}
        for name, kind in MERGING.items()
    ]
    named = {"anyOf": [{"enum": list(METHODS)}, {"type": "string", "description": "Other spellings, or a Python file."}]}
    known: dict[str, Any] = {
        "method": named,
        "name": {"type": "string", "minLength": 1},
        "shared_by": {"type": "string", "description": "all, language, script, family, branch, vitality, or a file of groups."},
        "joint": {"type": "boolean", "description": "Whether a learner gets all its languages at once."},
        "merge": {"oneOf": merging},
        "training": training,
        **{key: lora[key] for key in ("rank", "alpha", "dropout", "targets")},
        **{name: _table(hook) for name, hook in HOOKS.items()},
    }
    assert known.keys() == set(METHOD_KEYS), "a key of methods is missing"
    return {
        "anyOf": [
            named,
            {"type": "object", "properties": known, "required": ["method"], "additionalProperties": False},
        ]
    }


def _table(kind: type[Any]) -> dict[str, Any]:
    """Return the schema of a table of settings, with all references resolved."""
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.pop("$defs", {})

    def whole(value: Any) -> Any:
        if isinstance(value, dict):
            if "$ref" in value:
                return whole(definitions[value["$ref"].rpartition("/")[2]])
            return {key: whole(item) for key, item in value.items()}
        return [whole(item) for item in value] if isinstance(value, list) else value

    found: dict[str, Any] = whole(schema)
    return {"description": inspect.getdoc(kind), **found, "additionalProperties": False}
