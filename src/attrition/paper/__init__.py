"""Khelli et al., *What Causes Knowledge Loss in Multilingual Language Models?* (2025), compared with a study.

Its printed tables, its figures drawn from a study, and its claims as data (`claims.toml`) with their verdicts.
"""

from __future__ import annotations

from attrition.paper.claims import paper_claims

__all__ = ["paper_claims"]
