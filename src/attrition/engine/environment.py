"""Records versions, commit and machine, and switches torch to deterministic algorithms."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

VERSIONS = (
    "attrition", "torch", "transformers", "tokenizers", "safetensors", "numpy", "scipy", "pandas", "pyarrow", "babel",
)  # fmt: skip
_PACKAGE = Path(__file__).parents[1]
_GIT_SECONDS = 10


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions and machine. Nothing else of the environment is recorded.

    `revision` comes from `revision()`. `instructions` are the CPU instructions that torch uses. They and the number of threads
    affect rounding.
    """
    on_gpu = device.type == "cuda"
    return {
        "python": sys.version.split()[0],
        "versions": {name: _version(name) for name in VERSIONS},
        "revision": revision(_PACKAGE),
        "platform": f"{platform.system()} {platform.machine()}",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "cuda": torch.version.cuda if on_gpu else None,
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def in_words(made_with: Mapping[str, Any]) -> str:
    """Return an environment on one line, for people.

    >>> in_words({"versions": {"attrition": "0.1.0", "torch": "2.13.0"}, "revision": "13c4a15+changes", "python": "3.11.9",
    ...           "platform": "Linux x86_64", "instructions": "AVX2", "device": "cpu", "threads": 2})
    'attrition 0.1.0 (13c4a15+changes), torch 2.13.0, python 3.11.9; Linux x86_64 AVX2, cpu, threads: 2'
    """
    versions = dict(made_with.get("versions", {}))
    program = f"attrition {versions.pop('attrition', 'unknown')}"
    if made_with.get("revision"):
        program += f" ({made_with['revision']})"
    software = [program, *(f"{name} {number}" for name, number in versions.items()), f"python {made_with.get('python')}"]
    machine = [f"{made_with.get('platform')} {made_with.get('instructions', '')}".strip(), str(made_with.get("device"))]
    machine += [f"{name}: {made_with[name]}" for name in ("cuda", "threads", "deterministic") if made_with.get(name)]
    return f"{', '.join(software)}; {', '.join(machine)}"


@cache
def revision(folder: Path) -> str | None:
    """Return the commit of the checkout that holds `folder`, with `+changes` if files in `folder` differ from it.

    None for an installed package, even inside another repository, and without git.
    """

    def git(*arguments: str) -> str:
        # Git sets variables for its hooks that point to another repository.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, check=True, timeout=_GIT_SECONDS, env={**own, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
        return done.stdout.decode(errors="replace").strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")
        commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--", ".")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if changes else commit


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Context manager: torch uses only algorithms that give the same bits every time. The old setting returns at the end.

    Nothing changes if `wanted` is false. cuBLAS reads its variable at first use, so on a GPU enter this before any other work.

    >>> with deterministic(True):
    ...     torch.are_deterministic_algorithms_enabled()
    True
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before, only_warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
