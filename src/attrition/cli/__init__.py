"""The command line: the only place where the two chains, training and reporting, meet."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; see `attrition.cli.app.main`."""
    try:
        from attrition.cli.app import main as run
    except KeyboardInterrupt:  # ctrl-C may come while Python still imports
        sys.exit(130)
    run(arguments)
