"""Claims as data: statements with a quantity and a contrast, and joint verdicts on them."""

from __future__ import annotations

from attrition.analysis.claims.form import Claim, read_claims
from attrition.analysis.claims.judge import Judged, Verdict, judge_all

__all__ = ["Claim", "Judged", "Verdict", "judge_all", "read_claims"]
