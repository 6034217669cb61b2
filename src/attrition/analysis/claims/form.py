"""The form of a claim, in Python and as a TOML file.

    [[claims]]
    id = "latin-donors"
    statement = "Languages in Latin script are the stronger donors."
    quantity = "donor_learned"
    of = { latin = true }
    against = "others"
    expect = "higher"

One claim is one contrast of one quantity. `expect` is "higher" or "lower" (than `against`, or than 0), or "within" with
`low` and `high` in points: an equivalence whose margin is written down before the data are seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from attrition.analysis.claims.curves import CURVES
from attrition.analysis.quantities import QUANTITIES
from attrition.languages import SOURCES, language_of
from attrition.names import AttritionError, look_up, nearest
from attrition.reading import parse_toml, read_text

PAIR_KINDS = (
    "same branch", "same script", "same script, other branch", "same branch, other script", "same family, other branch",
    "same family and script, other branch", "Romance", "Romance, near", "Romance, far",
)  # fmt: skip
"""Kinds of pairs (trained, changed) that D is averaged over."""

CONDITIONS = ("late", "after own family")
"""Conditions that divide the stages of a language in two."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Languages(_Part):
    """A set of languages: named ones, or all that share the value of one attribute of the table of languages."""

    languages: tuple[str, ...] | None = None
    latin: bool | None = None
    script: str | None = None
    script_type: tuple[str, ...] | None = None
    family: str | None = None
    branch: str | None = None
    vitality: Literal["Low", "Mid", "High"] | None = None

    @model_validator(mode="after")
    def _one(self) -> Languages:
        if len(self.given) != 1:
            raise ValueError("give exactly one of languages, latin, script, script_type, family, branch, vitality")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The given fields."""
        return {name: value for name, value in self.__dict__.items() if value is not None}

    @property
    def named(self) -> bool:
        """True if these are languages by name, not a sample of a kind."""
        return self.languages is not None

    def among(self, known: Iterable[str]) -> frozenset[str]:
        """Return the languages in this set; a language with an unknown attribute is in no set.

        >>> sorted(Languages(branch="Romance").among(["es-ES", "de-DE", "Klingon"]))
        ['es-ES']
        """
        return frozenset(locale for locale in known if self._holds(locale))

    def _holds(self, locale: str) -> bool:
        if self.languages is not None:
            return locale in self.languages
        ((name, value),) = self.given.items()
        found = language_of(locale).value(name)
        if name == "branch":
            return bool(str(found).split(" (")[0] == value)
        if name == "script_type":
            return bool(set(str(found).split("+")) & set(value))
        return bool(found == value)

    def words(self) -> str:
        """Return the set in words."""
        if self.languages is not None:
            return ", ".join(self.languages)
        ((name, value),) = self.given.items()
        if name == "latin":
            return "Latin" if value else "non-Latin"
        if name == "vitality":
            return f"{value} vitality"
        return " or ".join(value) if isinstance(value, tuple) else str(value)


class Runs(_Part):
    """A selection of runs: a method of the paper ("sequential": VANILLA, else SHARED LoRA), a rank, a model, a cut.

    `shared_by` is what the languages of one learner share: "script" or "family" for GROUPED LoRA.
    """

    method: str = "sequential"
    shared_by: str | None = None
    rank: Literal["lowest", "highest"] | int | None = None
    model: str | None = None
    cuts: Literal["blanks", "other"] | None = None

    def words(self) -> str:
        """Return the runs in words.

        >>> Runs(method="SHARED LoRA", rank="highest").words(), Runs().words()
        ('SHARED LoRA at the highest rank', 'VANILLA (or SHARED LoRA)')
        >>> Runs(method="GROUPED LoRA", shared_by="script").words()
        'GROUPED LoRA by script'
        """
        method = "VANILLA (or SHARED LoRA)" if self.method == "sequential" else self.method
        method += "" if self.shared_by is None else f" by {self.shared_by}"
        rank = "" if self.rank is None else f"at rank {self.rank}" if isinstance(self.rank, int) else f"at the {self.rank} rank"
        model = "" if self.model is None else f"with {self.model}"
        cuts = {None: "", "blanks": "cut at blanks", "other": "cut into characters or graphemes"}[self.cuts]
        return " ".join(part for part in (method, rank, model, cuts) if part)


class Claim(_Part):
    """One claim: one contrast of one quantity, and its expected value.

    Without `of`, the quantity is averaged over all languages. `versus` subtracts other runs. `pairs` takes D over one
    kind of pairs minus D over the others; `pair` D of one pair (minus what the trained one did to the rest, with
    `against = "others"`); `stages` compares stages where the condition holds with those where it does not.
    """

    id: str
    statement: str
    section: str = ""
    quantity: str = "donor_learned"
    runs: Runs = Runs()
    versus: Runs | None = None
    of: Languages | None = None
    against: Languages | Literal["others"] | None = None
    pairs: str | None = None
    pair: tuple[str, str] | None = None
    stages: str | None = None
    position: bool = False
    expect: Literal["higher", "lower", "within"]
    low: float = -math.inf
    high: float = math.inf
    note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Claim:
        look_up(self.quantity, dict.fromkeys((*QUANTITIES, *CURVES)), kind="quantity")
        if self.pairs is not None:
            look_up(self.pairs, dict.fromkeys(PAIR_KINDS), kind="kind of pairs")
        if self.stages is not None:
            look_up(self.stages, dict.fromkeys(CONDITIONS), kind="condition on stages")
        if self.expect == "within" and math.isinf(self.low) and math.isinf(self.high):
            raise ValueError('expect = "within" needs low and high in points')
        if self.expect == "within" and self.low >= self.high:
            raise ValueError(f"low = {self.low:g} is not below high = {self.high:g}")
        if self.expect != "within" and not (math.isinf(self.low) and math.isinf(self.high)):
            raise ValueError('low and high belong to expect = "within"')
        if self.against is not None and self.of is None and self.pair is None:
            raise ValueError("against needs of: which languages are compared with them?")
        if (self.stages or self.position) and self.of is None:
            raise ValueError("stages and position need of: whose stages?")
        if sum(bool(each) for each in (self.pairs, self.pair, self.stages, self.position)) > 1:
            raise ValueError("give at most one of pairs, pair, stages, position")
        if self.versus is not None and (self.pairs or self.pair or self.stages or self.position):
            raise ValueError("versus compares a quantity of two sets of runs: leave out pairs, pair, stages and position")
        if self.quantity in CURVES and (self.of or self.against):
            raise ValueError(f"{self.quantity!r} is one number of a run: leave out of and against")
        return self

    @property
    def region(self) -> tuple[float, float]:
        """The claimed region of the value, in points."""
        if self.expect == "within":
            return self.low, self.high
        return (0.0, math.inf) if self.expect == "higher" else (-math.inf, 0.0)

    @property
    def equivalence(self) -> bool:
        """True if the claim says that a difference is small."""
        return self.expect == "within" and -math.inf < self.low < 0 < self.high < math.inf


def read_claims(path: str | Path) -> tuple[Claim, ...]:
    """Return the claims of a TOML file.

    Raises:
        AttritionError: the file cannot be read, or a claim is malformed; the message names file, claim and key.
    """
    return parse_claims(read_text(Path(path)), str(path))


def parse_claims(text: str, where: str) -> tuple[Claim, ...]:
    """Return the claims in a TOML text; `where` is its name in errors.

    >>> parse_claims('[[claims]]\\nid = "a"\\nstatement = "A."\\nquantity = "doner"\\nexpect = "higher"', "mine.toml")
    Traceback (most recent call last):
    attrition.names.AttritionError: mine.toml, claim 'a': Unknown quantity 'doner'. Did you mean 'donor'? Known: ...
    """
    raw = parse_toml(text, where)
    entries = raw.get("claims")
    if not isinstance(entries, list) or not entries or set(raw) - {"claims"}:
        raise AttritionError(f"{where}: a file of claims holds [[claims]] tables and nothing else.")
    claims = [_claim(entry, number, where) for number, entry in enumerate(entries, start=1)]
    ids = [claim.id for claim in claims]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    if twice is not None:
        raise AttritionError(f"{where}: two claims have the id {twice!r}. Give each its own.")
    return tuple(claims)


def _claim(entry: Any, number: int, where: str) -> Claim:
    given = entry if isinstance(entry, Mapping) else {}
    place = f"{where}, claim {given.get('id', number)!r}"
    try:
        return Claim.model_validate(entry)
    except AttritionError as error:
        raise AttritionError(f"{place}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = (*Claim.model_fields, *Languages.model_fields, *Runs.model_fields)
            guess = nearest(str(first["loc"][-1]), known)
            message = f"unknown key.{f' Did you mean {guess!r}?' if guess else ''}"
        raise AttritionError(f"{place}: {key + ': ' if key else ''}{message}") from error


assert {"latin", "script", "script_type", "family", "branch", "vitality"} <= set(SOURCES)
