"""Small test sets with two systems, as files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

LABELS = ("PER", "ID", "time")


def random_tags(rng: np.random.Generator, words: int) -> list[str]:
    """Any sequence of tags, I- after O and after another label among them."""
    tags = ["O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI")]
    return [str(tag) for tag in rng.choice(tags, size=words, p=[0.4, *[0.1] * 6])]


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows as JSONL: `write_rows("old/de.jsonl", rows)`."""

    def write(name: str, rows: Sequence[dict[str, Any]]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


@pytest.fixture
def folders(write_rows: Callable[..., Path], tmp_path: Path) -> Path:
    """gold/, old/ and new/: in `de` the new system loses every second PER, in `fi` nothing changes."""
    for language in ("de", "fi"):
        rows = []
        for number in range(400):
            words = ["ring", f"Maija{number}", "um", f"acht{number}"]
            rows.append({"id": str(number), "words": words, "tags": ["O", "B-PER", "O", "B-time"], "domain": f"d{number % 2}"})
        write_rows(f"gold/{language}.jsonl", rows)
        write_rows(f"old/{language}.jsonl", rows)
        lost = [
            {**row, "tags": ["O", "O", "O", "B-time"]} if language == "de" and number % 2 else row
            for number, row in enumerate(rows)
        ]
        write_rows(f"new/{language}.jsonl", lost)
    return tmp_path
