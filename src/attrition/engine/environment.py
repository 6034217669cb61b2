"""What numbers were made with: versions, the commit of the program, the machine; and arithmetic that repeats itself."""

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
    """Versions and machine, by a list of allowed names: nothing else of the environment is recorded.

    `revision` is that of `revision()`; `instructions` are those of the processor that torch makes use of: with others, or with
    another number of threads, sums are rounded otherwise.
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
    """An environment on one line, for people.

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
    """The commit of the checkout that `folder` is part of, `+changes` behind it if files in `folder` differ from it.

    None for an installed package (also one that happens to lie inside somebody's own repository), and where git is missing.
    """

    def git(*arguments: str) -> str:
        # Variables that git sets for its hooks would have it look at another repository.
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
    """Have torch use only algorithms that give the same bits every time; what it was set to before comes back afterwards.

    With `wanted` false nothing is changed. cuBLAS reads its own variable when it is first used, so on a GPU the process must
    not have used it before.

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
