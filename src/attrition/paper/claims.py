"""The claims of the paper, sentence by sentence, from `claims.toml`."""

from __future__ import annotations

from functools import cache
from importlib import resources

from attrition.analysis.claims.form import Claim, parse_claims


@cache
def paper_claims() -> tuple[Claim, ...]:
    """Return every claim of sections 4 to 5.4 and of appendix A that can be tested with the scores of runs.

    >>> sorted({claim.section for claim in paper_claims()})
    ['4', '5.1', '5.2', '5.3', '5.4', 'A.1', 'A.2']
    """
    text = resources.files("attrition.paper").joinpath("claims.toml").read_text(encoding="utf-8")
    return parse_claims(text, "attrition/paper/claims.toml")
