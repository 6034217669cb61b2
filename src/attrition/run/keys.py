"""Stages and runs are named by what decides their numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

FORMAT = 1
LENGTH = 16


def key_of(decides: Mapping[str, Any]) -> str:
    """A short hash of everything that decides a result; equal tables give equal keys.

    >>> key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    True
    """
    text = json.dumps({"format": FORMAT, **decides}, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def slug(text: str) -> str:
    """A name that any file system takes.

    >>> slug("SHARED LoRA r=32")
    'shared-lora-r-32'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.casefold()).strip("-") or "x"
