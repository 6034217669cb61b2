"""Typological distances of languages, from URIEL+: an optional package that includes its data and needs no network.

pip install "attrition[distance]"
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from attrition.languages import is_tag, language_of
from attrition.metrics.several import Floats
from attrition.names import AttritionError

NAME = "syntactic_distance"

HAS_FEATURES = {"azj": "aze", "lvs": "lav"}
"""Languages without a syntactic feature in URIEL+, and the macrolanguage that has them: North Azerbaijani, Standard Latvian."""

_ALWAYS = ("eng", "cmn", "tur")
"""URIEL+ returns a table only for three languages or more."""


def distances(languages: Sequence[str]) -> dict[str, dict[tuple[str, str], float]]:
    """Return the syntactic distance of every two languages, 0 to 1, as a covariate of pairs: name, then pair, then value.

    Formula: the angle between two languages' vectors of syntactic features, as a share of a right angle: (2 / pi) arccos(cos),
    over features known for both languages. Source: `new_distance("syntactic", ...)` of URIEL+ (Khan et al. 2025), with its
    initial data from URIEL (Littell et al. 2017). Locales of one language have distance 0.

    NaN if no feature is known for both, and for a label that is not a language tag.

    Raises:
        AttritionError: `urielplus` is not installed, or cannot prepare its data.
    """
    codes = {language: code for language in languages if (code := _code(language)) is not None}
    asked = list(dict.fromkeys([*codes.values(), *_ALWAYS]))
    table_CC = _table(asked)
    place = {code: number for number, code in enumerate(asked)}
    found = {(one, other): float("nan") for one in languages for other in languages}
    for one in codes:
        for other in codes:
            value = 0.0 if codes[one] == codes[other] else float(table_CC[place[codes[one]], place[codes[other]]])
            found[one, other] = value if value >= 0 else float("nan")  # -1 means unknown
    return {NAME: found}


def _code(label: str) -> str | None:
    """Return the ISO 639-3 code of a language in URIEL+; None for a label that is not a language."""
    code = language_of(label).iso639_3 if is_tag(label) else None
    return None if code is None else HAS_FEATURES.get(code, code)


def _table(codes: Sequence[str]) -> Floats:
    with _quiet():
        try:
            from urielplus.urielplus import URIELPlus
        except ImportError as error:
            raise AttritionError(
                'Typological distances need the package urielplus: pip install "attrition[distance]", or leave out distance.'
            ) from error
        try:
            return np.asarray(URIELPlus().new_distance("syntactic", list(codes)), dtype=np.float64)
        except OSError as error:
            # At its first use urielplus copies data inside its own folder.
            raise AttritionError(
                f"urielplus cannot prepare its data ({error}). Use it once as a user with write access to its folder, "
                "or give distances with --covariates."
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Undo the changes of urielplus to logging, and hide its progress messages."""
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.setLevel(level)
        for handler in [each for each in root.handlers if each not in handlers]:
            root.removeHandler(handler)
