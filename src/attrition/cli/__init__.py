"""The command line: the only place where the two chains, training and reporting, meet."""

from __future__ import annotations

import os
import sys

_WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables that say how threads wait for each other."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; see `attrition.cli.app.main`."""
    wait_quietly()
    try:
        from attrition.cli.app import main as run
    except KeyboardInterrupt:  # ctrl-C may come while Python still imports
        sys.exit(130)
    run(arguments)


def wait_quietly() -> None:
    """Have threads sleep while they wait for each other; a user's own setting wins. Has no effect once torch is loaded.

    By default they spin. On cores that are shared with another process, they then take the time that the threads waited for
    need: training was 10 to 40 times slower beside other work.
    """
    if not any(name in os.environ for name in _WAITING):
        os.environ["OMP_WAIT_POLICY"] = "passive"
