"""The command line: the only package that imports both training and reporting."""

from __future__ import annotations

import os
import sys

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that control how threads wait for each other."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; see `attrition.cli.app.main`."""
    wait_quietly()
    try:
        from attrition.cli.app import main as run
    except KeyboardInterrupt:  # Ctrl-C during imports
        sys.exit(130)
    run(arguments)


def wait_quietly() -> None:
    """Make threads sleep while they wait for each other. The user's own setting has priority. Call it before torch is loaded.

    By default waiting threads spin. If another process shares the cores, spinning slows the threads that are waited for:
    training was 10 to 40 times slower beside other work.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "passive"
