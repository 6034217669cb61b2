"""What a claim's test gives: an estimate, or the missing data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from attrition.analysis.intervals import Estimate


@dataclass(frozen=True)
class Needs:
    """The data that a claim's test lacks."""

    what: str


Found: TypeAlias = Estimate | Needs
