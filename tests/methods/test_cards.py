"""Every method and hook has a card."""

from __future__ import annotations

import re
from pathlib import Path

from attrition.methods import HOOKS, METHODS
from attrition.methods.merging import MERGING

CARDS = (Path(__file__).parents[2] / "docs" / "reference" / "methods.md").read_text(encoding="utf-8")


def test_every_method_has_one_card() -> None:
    assert sorted(re.findall(r"^### (.+)$", CARDS, re.MULTILINE)) == sorted(METHODS)


def test_every_hook_and_merge_is_shown_with_its_defaults() -> None:
    for name, kind in HOOKS.items():
        assert f"Hook `{name}`" in CARDS
        card = CARDS[CARDS.index(f"Hook `{name}`") :].partition("\n###")[0]
        assert "Source: " in card
        defaults = card.partition("Defaults: ")[2].partition(". ")[0]
        for field in kind.model_fields.values():
            default = field.default
            shown = default if isinstance(default, str) else f"{default:g}"
            assert re.search(rf"(?<![\d.]){re.escape(shown)}(?![\d])", defaults), f"{name}: {shown} is not in {defaults!r}"
    for name in MERGING:
        assert f'merge = {{ name = "{name}" }}' in CARDS
