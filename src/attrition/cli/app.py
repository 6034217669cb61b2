"""The `attrition` command: its subcommands and error messages."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.markup import escape

from attrition.cli import add, analyse, archive, data, export, gate, listing, numbers, packs, status, studies, verify
from attrition.cli.console import tell
from attrition.names import AttritionError

app = typer.Typer(
    name="attrition",
    help="Measure what a multilingual encoder forgets when it is fine-tuned on one language after another.",
    epilog="Start with: attrition demo. Every command takes --help. --debug prints the trace of an error.",
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
    debug: Annotated[bool, typer.Option("--debug", help="Print the full trace of an error.")] = False,
) -> None:
    """Measure what a multilingual encoder forgets when it is fine-tuned on one language after another."""


app.command(name="demo")(studies.demo)
app.command(name="run")(studies.run)
app.command(name="prepare")(packs.prepare)
app.command(name="report")(studies.report)
app.command(name="status")(status.status)
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
"""The exit code after Ctrl-C, as in shells."""

OUR_MISTAKE = 70
"""The exit code of an internal error (EX_SOFTWARE of sysexits.h); 3 is a verdict of `attrition gate`."""

_RESUMED = (["demo"], ["run"], ["add"])


def _quietly() -> int:
    """Close standard output and return exit code 0, after the pipe's reader, such as `head`, has closed it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit. A wrong argument or file gives one message and exit code 2, without a trace."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    given = [each for each in given if each != "--debug"]
    try:
        code = app(args=given, prog_name="attrition", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as left:
        # click and rich return code 1 for a closed pipe.
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
            show()  # click's message about a wrong command line; typer has its own copy of click
            code = 2
        elif debug:
            raise
        else:
            tell(
                f"[bold red]Internal error in attrition:[/] {escape(f'{type(error).__name__}: {error}')}\n"
                "Please run the command again with --debug and report the output."
            )
            code = OUR_MISTAKE
    if code == STOPPED:  # typer also returns this after Ctrl-C
        kept = " Finished stages are kept. Run the same command to resume." if given[:1] in _RESUMED else ""
        tell(f"\n[bold]Stopped.[/]{kept}")
    sys.exit(code if isinstance(code, int) else 0)
