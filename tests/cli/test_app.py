"""Help, exit codes, and what is said when something goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from attrition.cli import console, listing
from attrition.cli.app import app
from attrition.cli.data import app as data_app

Say = Callable[..., Any]

COMMANDS = [str(command.name) for command in app.registered_commands]
DATA_COMMANDS = [f"data {command.callback.__name__}" for command in data_app.registered_commands if command.callback]


def test_the_promised_commands_are_there() -> None:
    assert set(COMMANDS) >= {"demo", "run", "report", "list", "languages", "metrics", "params", "export"}
    assert DATA_COMMANDS == ["data fetch", "data check", "data describe"]


@pytest.mark.parametrize("command", [*COMMANDS, *DATA_COMMANDS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_every_command_has_help_with_an_example(command: str, flag: str, say: Say) -> None:
    said = say(*command.split(), flag)
    assert said.code == 0
    # Once as the usage line, once or more as an example.
    assert said.out.count(f"attrition {command}") >= 2, said.out


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_program_says_where_to_start(arguments: tuple[str, ...], say: Say) -> None:
    said = say(*arguments)
    assert "attrition demo" in said.out + said.err
    assert said.code == (0 if arguments else 2)


@pytest.mark.parametrize("command", [["languages"], ["languages", "--json"], ["list", "metrics"]])
def test_a_closed_pipe_is_no_error(command: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, "-m", "attrition", *command], stdout=write, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_version(say: Say) -> None:
    said = say("--version")
    assert (said.code, said.out.split()[0]) == (0, "attrition")


@pytest.mark.parametrize(
    "arguments",
    [
        ("rnu",),
        ("run",),
        ("run", "a.toml", "b.toml"),
        ("run", "--bogus"),
        ("list",),
        ("list", "metods"),
        ("report",),
        ("metrics",),
        ("params", "--languages", "0"),
        ("params", "--languages", "many"),
        ("params", "--rank", "0"),
        ("params", "--model", "nothing"),
        ("metrics", "nothing.csv"),
        ("metrics", "."),
        ("report", "nothing"),
        ("report", "/dev/null"),
        ("run", "nothing.toml"),
        ("run", "."),
        ("export", "nothing", "a:b", "out"),
        ("languages", "--where", "script"),
        ("languages", "--where", "scirpt=Latn"),
        ("languages", "--where", "script=Ltn"),
        ("data", "check", "nothing.tar"),
        ("data", "check", "."),
        ("data", "describe", "--corpus", "masive"),
        ("data", "describe", "--corpus", "columns"),
        ("data", "describe", "--corpus", "phrasebook", "-l", "[bold]xx"),
        ("data", "describe", "--corpus", "phrasebook", "-l", "en-US", "--csv", "no/such/folder/x.csv"),
        ("data", "describe", "--corpus", "phrasebook", "-l", "en-US", "--model", "tiny:gpt"),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    arguments: tuple[str, ...], say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say(*arguments)
    assert said.code == 2
    assert "Error" in said.err or "Usage" in said.err
    assert "Traceback" not in said.err
    assert "Internal error" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_the_trace_wherever_it_stands() -> None:
    command = [sys.executable, "-m", "attrition"]
    for arguments in (["--debug", "report", "nothing"], ["report", "nothing", "--debug"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback (most recent call last)" in done.stderr
        assert "AttritionError: nothing is not a results folder" in done.stderr


def test_users_own_names_are_not_markup(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "[bold]x[/red]" in say("report", "[bold]x[/red]").err
    Path("m.csv").write_text("trained,[bold]a,b[/]\n[bold]a,0.5,\nb[/],0.2,0.3\n")
    said = say("metrics", "m.csv")
    assert (said.code, "[bold]a" in said.out, "b[/]" in said.out) == (0, True, True)


def test_long_paths_stay_whole(say: Say) -> None:
    path = "/".join(["nowhere"] * 40)
    assert path in say("report", path).err


@pytest.mark.parametrize("arguments", [("list", "methods"), ("demo",), ("run", "x.toml")])
def test_ctrl_c(arguments: tuple[str, ...], say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(listing._LISTS, "methods", stop)
    monkeypatch.setattr("attrition.study.spec.read_study", stop)
    said = say(*arguments)
    assert said.code == 130
    assert "Stopped." in said.err
    assert ("Run the same command to resume" in said.err) == (arguments[0] != "list")


def test_our_own_mistakes_ask_to_be_reported(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("division by [zero]")

    monkeypatch.setitem(listing._LISTS, "methods", fail)
    said = say("list", "methods")
    assert said.code == 70
    assert "Internal error in attrition: ZeroDivisionError: division by [zero]" in said.words
    assert "--debug" in said.err
    with pytest.raises(ZeroDivisionError):
        app(args=["list", "methods"], standalone_mode=False)


def test_a_reader_that_has_enough_is_no_error() -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = f"{sys.executable} -m attrition languages --json | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=environment)
    assert done.stdout == "{\n"
    assert "Error" not in done.stderr
    assert "Traceback" not in done.stderr


def test_shells_complete_commands() -> None:
    """As the script does that `attrition --install-completion` writes."""
    asked = {"_ATTRITION_COMPLETE": "complete_bash", "COMP_WORDS": "attrition r", "COMP_CWORD": "1"}
    command = [sys.executable, "-m", "attrition"]
    found = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["run", "report"]


@pytest.mark.parametrize("width", [20, 60, 200])
def test_narrow_terminals_lose_no_data(width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(console.out, "_width", width)
    table = Table("Language", box=None, title="Worst first")
    table.add_column(Text("donor, learned"))
    table.add_column("P(worst)")
    table.add_row("Mandarin-Chinese", Text("-2.0 [-3.4 -0.6]", style="red"), "0.93")
    console.show(table)
    said = capsys.readouterr().out
    assert all(word in said for word in ("Worst", "Mandarin-Chinese", "[-3.4", "0.93", "P(worst)"))
    assert ("  donor, learned: -2.0 [-3.4 -0.6]" in said) == (width == 20)
