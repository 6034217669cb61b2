"""Claims as data: a statement, the quantity and contrast that decide it, and the verdicts on all of them together."""

from __future__ import annotations

from attrition.analysis.claims.form import Claim, read_claims
from attrition.analysis.claims.judge import Judged, Verdict, judge_all

__all__ = ["Claim", "Judged", "Verdict", "judge_all", "read_claims"]
