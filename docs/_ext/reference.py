"""Reference pages made from the program: commands, the study file, metrics. Pages include them from `_generated`."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrition.cli.app import app as commands
from attrition.metrics import METRICS
from attrition.study.schema import study_schema

MARKUP = re.compile(r"\[/?(?:dim|bold)?\]")


def command_pages() -> str:
    """Return a section for each command: its docstring, its options and its examples."""
    import typer.main

    return "\n".join(_command(typer.main.get_command(commands), "attrition"))


def _command(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, each in command.commands.items():
            yield from _command(each, f"{path} {name}")
        return
    about, _, examples = inspect.cleandoc(command.help).partition("[dim]")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and each.name != "help"]
    usage = " ".join([path, *(each.metavar or each.name.upper() for each in arguments), *(["[OPTIONS]"] if options else [])])
    yield f"## {path}\n\n{about.strip()}\n\n```text\n{usage}\n```\n"
    rows = [(f"`{each.metavar or each.name.upper()}`", each.help or "") for each in arguments]
    rows += [(f"`{', '.join(each.opts)}{_value(each)}`", _meaning(each)) for each in options]
    if rows:
        yield _table(("argument or option", "meaning"), rows)
    if examples:
        yield f"Examples:\n\n```sh\n{MARKUP.sub('', examples).strip()}\n```\n"


def _is_switch(option: Any) -> bool:
    return option.type_descriptor.annotation is bool


def _value(option: Any) -> str:
    return "" if _is_switch(option) else f" {option.metavar or option.name.upper()}"


def _meaning(option: Any) -> str:
    shown = not _is_switch(option) and isinstance(option.default, str | int | float)
    return f"{option.help} Default: `{option.default}`." if shown else str(option.help)


def study_page() -> str:
    """Return the keys of a study file, one table for each part, from its JSON Schema."""
    schema = study_schema()
    parts = {name: each for name, each in schema["properties"].items() if each.get("properties")}
    top = {name: each for name, each in schema["properties"].items() if name not in parts}
    method = next(each for each in top["methods"]["items"]["anyOf"] if each.get("properties"))
    text = ["## Top level\n", _keys(top, schema["required"], "")]
    for name, each in parts.items():
        text += [f"## `[{name}]`\n", *_part(each, name)]
    text += ["## An entry of `methods`\n", "A name, or a table that starts from a method and changes it.\n"]
    text += _part({**method, "description": ""}, "")
    return "\n".join(text)


SAME = ("full", "lora", "training")
"""Tables with the keys of `[training]`."""


def _part(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    about = schema.get("description", "")
    if "Attributes:" not in about:
        yield about + "\n"
    yield _keys(schema["properties"], schema.get("required", ()), about)
    for name, each in schema["properties"].items():
        if each.get("properties") and name not in SAME:
            place = f"{path}.{name}" if path else name
            yield f"### `{f'[{place}]' if path else f'{name} = {{...}}'}`\n"
            yield from _part(each, place)


def _keys(properties: Mapping[str, Any], required: Any, about: str) -> str:
    attributes = dict(re.findall(r"^ {4}(\w+(?:, \w+)*): (.*?)(?=^ {4}\w+(?:, \w+)*: |\Z)", about, re.MULTILINE | re.DOTALL))
    meaning = {name: " ".join(text.split()) for names, text in attributes.items() for name in names.split(", ")}
    rows = []
    for name, each in properties.items():
        default = "required" if name in required else f"`{json.dumps(each['default'])}`" if "default" in each else ""
        said = "" if each.get("properties") else each.get("description", "")
        text = meaning.get(name) or ("The keys of `[training]`. " if name in SAME else "") + said
        rows.append((f"`{name}`", _type(each), default, " ".join(text.split())))
    return _table(("key", "type", "default", "meaning"), rows)


MOST_CHOICES = 6


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema's type in words: `integer or null`, `"best" or "last"`, `list of string`."""
    if len(schema.get("enum", ())) > MOST_CHOICES:
        return "name"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if found := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(each) for each in found))
    kind = schema.get("type", "any")
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {_type(schema['items'])}"
    limits = [f"{sign} {schema[key]:g}" for key, sign in _LIMITS.items() if key in schema]
    return " ".join([{"object": "table"}.get(kind, kind), *([f"({', '.join(limits)})"] if limits else [])])


_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def metric_page() -> str:
    """Return the table of all metrics."""
    better = {True: "higher", False: "lower", None: ""}
    rows = [
        (f"`{each.name}`", each.gives, better[each.higher_is_better], f"`{each.formula}`", each.source)
        for each in METRICS.values()
    ]
    return _table(("metric", "gives", "better", "formula", "source"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    cells = [[" ".join(cell.split()).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


PAGES = {"commands": command_pages, "study-file": study_page, "metrics": metric_page}


def write(app: Any) -> None:
    folder = Path(app.srcdir) / "_generated"
    folder.mkdir(exist_ok=True)
    for name, make in PAGES.items():
        path, text = folder / f"{name}.md", make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
