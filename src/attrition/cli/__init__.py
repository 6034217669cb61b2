"""The command line: the only place where the two chains, training and reporting, meet."""

from attrition.cli.app import main

__all__ = ["main"]
