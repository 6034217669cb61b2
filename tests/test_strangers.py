"""What the package never does, whatever file it is given: read off its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "attrition"
MODULES = sorted(SOURCE.rglob("*.py"))

UNSAFE_MODULES = {
    "pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "xmlrpc",
    "telnetlib",
    "ftplib",
}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {
    "torch": {"load", "save", "hub"},
    "pd": {"read_pickle", "to_pickle"},
    "os": {"system", "popen"},
    "np": {"fromfile", "memmap"},
}
UNSAFE_ANYWHERE = {"to_pickle", "read_pickle", "extractall", "load_state_dict_from_url"}
NETWORK_MODULES = {"socket", "http", "urllib", "requests", "httpx", "ftplib", "smtplib", "huggingface_hub", "pooch"}
MAY_ASK_THE_NETWORK = {"corpus/massive_files.py", "corpus/cache.py", "export/card.py", "export/push.py", "report/dataset.py"}
"""`attrition data fetch`; pooch's name of the cache folder; huggingface_hub for cards and `attrition export --push`."""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imported(tree: ast.AST) -> set[str]:
    found = {name.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    modules = (node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0)
    return found | {module.split(".")[0] for module in modules if module}


def asks_the_network(text: str) -> set[str]:
    """Every module imported that can reach the network; a machine may ask for its own name."""
    tree = ast.parse(text)
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "socket"}
    return (imported(tree) & NETWORK_MODULES) - ({"socket"} if used == {"gethostname"} else set())


def unsafe(text: str) -> set[str]:
    """Everything in a module's source that could run what a file says."""
    tree = ast.parse(text)
    found = imported(tree) & UNSAFE_MODULES
    for call in calls(tree):
        keywords = {word.arg: word.value for word in call.keywords}
        for name in ("trust_remote_code", "allow_pickle"):
            if name in keywords and not (isinstance(keywords[name], ast.Constant) and keywords[name].value is False):  # type: ignore[attr-defined]
                found.add(name)
        match call.func:
            case ast.Name(id=name) if name in UNSAFE_CALLS:
                found.add(name)
            case ast.Attribute(value=ast.Name(id=owner), attr=attr) if attr in UNSAFE_METHODS.get(owner, ()):
                found.add(f"{owner}.{attr}")
            case ast.Attribute(attr=attr) if attr in UNSAFE_ANYWHERE:
                found.add(attr)
            case ast.Attribute(attr=("from_pretrained" | "from_config") as attr):
                if "trust_remote_code" not in keywords:
                    found.add(f"{attr} without trust_remote_code=False")
            case _:
                pass
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_runs_what_a_file_says(path: Path) -> None:
    assert unsafe(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_fetching_of_data_asks_the_network(path: Path) -> None:
    if path.relative_to(SOURCE).as_posix() not in MAY_ASK_THE_NETWORK:
        assert asks_the_network(path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "eval(text)", "frame.to_pickle(path)",
        "tar.extractall(path)", "np.load(path, allow_pickle=True)", "AutoModel.from_pretrained(x)",
        "AutoModel.from_pretrained(x, trust_remote_code=trust)",
    ],
)  # fmt: skip
def test_what_is_looked_for_is_found(text: str) -> None:
    assert unsafe(text)


def test_a_network_module_is_found() -> None:
    assert asks_the_network("import socket\nsocket.socket()")
    assert asks_the_network("from urllib.request import urlopen")
    assert not asks_the_network("import socket\nsocket.gethostname()")
