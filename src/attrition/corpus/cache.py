"""The folder for files that can be made again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)` during a long operation; `total` may be an estimate."""


def cache_folder() -> Path:
    """Return the folder for downloads and unpacked corpora: `ATTRITION_CACHE`, else the platform's own cache folder.

    The folder need not exist yet.

    >>> cache_folder().is_absolute()
    True
    """
    named = os.environ.get("ATTRITION_CACHE")
    if named:
        return Path(named).expanduser().absolute()
    import pooch  # slow to import, and most commands do not need it

    return Path(pooch.os_cache("attrition"))
