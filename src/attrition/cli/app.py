"""`attrition`: every command, and what happens when one goes wrong."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli import add, analyse, archive, data, export, gate, listing, numbers, packs, studies, verify
from attrition.cli.console import tell
from attrition.names import AttritionError

app = typer.Typer(
    name="attrition",
    help="Measure, explain and prevent what a multilingual encoder forgets when it learns one language after another.",
    epilog="Start with: attrition demo. Every command takes --help; --debug anywhere shows the trace of an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"attrition {version('attrition')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the full trace of an error (may stand anywhere).")] = False,
) -> None:
    """Measure, explain and prevent what a multilingual encoder forgets."""


app.command(name="demo")(studies.demo)
app.command(name="run")(studies.run)
app.command(name="prepare")(packs.prepare)
app.command(name="report")(studies.report)
app.command(name="verify")(verify.verify)
app.command(name="archive")(archive.archive)
app.command(name="list")(listing.list_names)
app.command(name="languages")(listing.languages)
app.command(name="schema")(listing.schema)
app.command(name="metrics")(numbers.metrics)
app.command(name="analyse")(analyse.analyse)
app.command(name="add")(add.add)
app.command(name="gate")(gate.gate)
app.command(name="params")(numbers.params)
app.command(name="export")(export.export)
app.add_typer(data.app, name="data")

STOPPED = 130
"""The exit code of a command that ctrl-C ended, as shells have it."""

OUR_MISTAKE = 70
"""The exit code of a mistake of attrition itself (EX_SOFTWARE of sysexits.h); 3 is a verdict of `attrition gate`."""

_RESUMED = (["demo"], ["run"], ["add"])


def _quietly() -> int:
    """Return exit code 0: whoever read our output, as `head` does, has enough. Nothing more is said, also not on leaving."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run a command; a mistake in what the user gave is one sentence and exit code 2, never a trace."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    given = [each for each in given if each != "--debug"]
    try:
        code = app(args=given, prog_name="attrition", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as left:
        # click and rich make code 1 of a closed pipe themselves.
        if not isinstance(left.__context__, BrokenPipeError):
            raise
        code = _quietly()
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except AttritionError as error:
        if debug:
            raise
        tell(f"[bold red]Error:[/] {escape(str(error))}")
        code = 2
    except BrokenPipeError:
        code = _quietly()
    except OSError as error:
        if debug:
            raise
        name = f" ({error.filename})" if error.filename else ""
        tell(f"[bold red]Error:[/] {escape((error.strerror or str(error)) + name)}")
        code = 2
    except Exception as error:
        if callable(show := getattr(error, "show", None)):
            show()  # how click says that a command line is wrong; typer keeps its click to itself
            code = 2
        elif debug:
            raise
        else:
            tell(
                f"[bold red]A mistake of attrition itself:[/] {escape(f'{type(error).__name__}: {error}')}\n"
                "Run the same command with --debug, and please report what it prints."
            )
            code = OUR_MISTAKE
    if code == STOPPED:  # typer, too, makes this of ctrl-C
        kept = " Finished stages are kept: the same command goes on where this one stopped." if given[:1] in _RESUMED else ""
        tell(f"\n[bold]Stopped.[/]{kept}")
    sys.exit(code if isinstance(code, int) else 0)
