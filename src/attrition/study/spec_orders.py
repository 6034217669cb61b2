"""Reads the orders of a study file: the data that each stage of a run trains.

An order is a sequence of stages. A stage has one language or several, and may have further data of a language from an
earlier stage. In an order of languages each stage has one language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attrition.languages import OwnLanguages
from attrition.languages.orders import order, validate
from attrition.languages.portions import portion
from attrition.methods.steps import checked_stages
from attrition.names import AttritionError, look_up
from attrition.study.spec_methods import located
from attrition.study.tables import as_list, as_value, known_keys, plain


@dataclass(frozen=True)
class Portion:
    """Further train utterances of a language, in a file."""

    language: str
    data: str


@dataclass(frozen=True)
class NamedOrder:
    """An order with its name, such as `paper-1` or `file:mine.txt`. Its languages are read once, with the study.

    `stages` are the portions of data of each stage, with names as in `attrition.languages.portions`.
    """

    name: str
    stages: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Orders:
    """All orders of a study, and their portions of data from outside the corpus, by name."""

    orders: tuple[NamedOrder, ...]
    portions: Mapping[str, Portion]


def read_orders(
    raw: Sequence[Any], languages: tuple[str, ...], where: str, folder: Path, own: OwnLanguages, *, key: str = "orders"
) -> Orders:
    """Return the orders of a study file. Each order has every language once.

    Args:
        raw: as in the file.
        languages: of the study.
        where: name of the file in error messages.
        folder: start of relative paths.
        own: content of the user's file of languages.
        key: of the orders in the study file.

    Raises:
        AttritionError: an order does not have exactly these languages.
    """
    reader = _Reader(languages, folder)
    found: dict[str, NamedOrder] = {}
    for index, each in enumerate(raw):
        place = f"{where}: orders[{index}]" if key == "orders" else f"{where}: {key}"
        given = each
        if isinstance(each, str):
            try:
                name, given = each, list(order(each, languages, folder=folder, own=own))
            except AttritionError as error:
                raise AttritionError(f"{place}: {error}") from error
        elif isinstance(each, Mapping):
            known_keys(each, ("name", "languages", "stages"), place)
            if "name" not in each or ("languages" in each) == ("stages" in each):
                raise AttritionError(
                    f"{place}: a table needs both a name and its stages, as "
                    '{name = "mine", languages = ["en-US", "de-DE"]}, or '
                    '{name = "mine", stages = [["en-US", "de-DE"], "th-TH"]}.'
                )
            name, given = as_value(each["name"], str, f"{place}.name"), each.get("languages", each.get("stages"))
            if not name.strip():
                raise AttritionError(f"{place}.name is empty. Give a name: runs are named after it.")
            if "languages" in each:
                as_value(as_list(given, place), tuple[str, ...], place)
        else:
            name = "as-listed" if len(raw) == 1 else f"listed-{index + 1}"
        if name in found:
            raise AttritionError(f"{place}: there are two orders {name!r}. Give each order its own name.")
        found[name] = NamedOrder(name, reader.stages(as_list(given, place), place))
    return Orders(tuple(found.values()), reader.portions)


def equal_orders(orders: Sequence[NamedOrder]) -> list[str]:
    """Return a warning for each group of orders with the same stages.

    >>> equal_orders([NamedOrder("a", (("en-US",), ("th-TH",))), NamedOrder("b", (("en-US",), ("th-TH",)))])
    ['The orders a and b are the same: en-US, th-TH. They count as one in means and intervals. Choose other orders.']
    """
    by_stages: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for each in orders:
        by_stages.setdefault(each.stages, []).append(each.name)
    return [
        f"The orders {' and '.join(names)} are the same: {', '.join(map('+'.join, stages[:6]))}"
        f"{' ...' if len(stages) > 6 else ''}. They count as one in means and intervals. Choose other orders."
        for stages, names in by_stages.items()
        if len(names) > 1
    ]


def orders_table(orders: Sequence[NamedOrder], portions: Mapping[str, Portion]) -> list[dict[str, Any]]:
    """Return orders as in a study file: `languages` if every stage has one language, else `stages`."""

    def stage(names: Sequence[str]) -> Any:
        found = [plain(portions[name]) if name in portions else name for name in names]
        return found[0] if len(found) == 1 else found

    table: list[dict[str, Any]] = []
    for each in orders:
        given = [stage(names) for names in each.stages]
        table.append({"name": each.name, "languages" if all(isinstance(one, str) for one in given) else "stages": given})
    return table


class _Reader:
    """Reads the stages of each order. A file has the same number in all orders of a study."""

    def __init__(self, languages: tuple[str, ...], folder: Path) -> None:
        self._languages, self._folder = languages, folder
        self.portions: dict[str, Portion] = {}

    def stages(self, raw: list[Any], place: str) -> tuple[tuple[str, ...], ...]:
        stages = []
        for number, each in enumerate(raw):
            inside = each if isinstance(each, list) else [each]
            stages.append([self._name(one, f"{place}[{number}]") for one in inside])
        names = [name for stage in stages for name in stage]
        later = [name for name in names if name in self.portions]
        validate([name for name in names if name not in self.portions], self._languages, where=place)
        if twice := [name for name in later if later.count(name) > 1]:
            raise AttritionError(f"{place}: {self.portions[twice[0]].data} is given twice. Name each file once in an order.")
        try:
            return checked_stages(stages)
        except AttritionError as error:
            raise AttritionError(f"{place}: {error}") from error

    def _name(self, raw: Any, place: str) -> str:
        """Return the name of a portion: a language, or a table with the file of further data."""
        if not isinstance(raw, Mapping):
            return str(as_value(raw, str, place))
        known_keys(raw, ("language", "data"), place)
        if missing := [key for key in ("language", "data") if key not in raw]:
            raise AttritionError(
                f"{place}: {missing[0]!r} is missing. Write further data of a language as "
                '{language = "en-US", data = "more.jsonl"}.'
            )
        language, data = (as_value(raw[key], str, f"{place}.{key}") for key in ("language", "data"))
        look_up(language, dict.fromkeys(self._languages), kind="language", where=f"{place}.language")
        wanted = Portion(language, located(data, self._folder))
        number = 1 + sum(each.language == language for each in self.portions.values())
        known = (name for name, each in self.portions.items() if each == wanted)
        name = next(known, portion(language, number + 1))
        self.portions[name] = wanted
        return name
