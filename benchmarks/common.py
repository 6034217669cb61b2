"""What every benchmark does alike: measure in turns, count, say on which machine, write down."""

from __future__ import annotations

import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from attrition.files import write_whole
from attrition.methods import LoRA, Trains
from attrition.prepare.prepare import num_threads
from attrition.training.model import Model

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
FORMAT = 1
PACKAGES = ("attrition", "torch", "transformers", "peft", "accelerate", "seqeval", "tokenizers", "numpy")

console = Console(highlight=False)

Prepare = Callable[[], Callable[[], object]]
"""Makes one pass ready, outside the time measured, and returns what is timed."""


def set_threads(asked: int | None) -> int:
    """Use `asked` threads, or all cores this process may use, on every side; returns their number."""
    torch.set_num_threads(num_threads(asked))
    return torch.get_num_threads()


def seconds_of(work: Callable[[], object], device: torch.device | None = None) -> float:
    """The time of one call, until the device has finished too."""
    gc.collect()
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)


def interleave(
    sides: Mapping[str, Prepare],
    repeats: int,
    *,
    between: Callable[[], object] = lambda: None,
    device: torch.device | None = None,
) -> dict[str, list[float]]:
    """Seconds of each side's passes: the sides take turns, the first round is discarded.

    Identical work varies by nearly two times on a busy machine, so what is compared must be measured at the same time; who
    begins changes from round to round, so that nobody always comes first.

    >>> sorted(interleave({"a": lambda: lambda: None, "b": lambda: lambda: None}, 3))
    ['a', 'b']
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(repeats + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            spent = seconds_of(sides[name](), device)
            if turn:
                seconds[name].append(spent)
        between()
    return seconds


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times as fast ours is: the median over rounds of the ratio within a round.

    >>> ratio([1.0, 2.0, 4.0], [3.0, 6.0, 4.0])
    3.0
    """
    return statistics.median(slow / fast for fast, slow in zip(ours, theirs, strict=True))


def operations_a_token(model: Model, trains: Trains) -> tuple[float, float]:
    """Floating point operations a sub-token of training and of evaluation, which the linear layers of the encoder need.

    A forward pass costs 2 a weight; a backward pass 2 a weight for what is passed through and 2 for what is trained (Kaplan et
    al. 2020, section 2.1). Attention's own products and the classifier are not counted: under 2% at these lengths.
    """
    shapes = model.backbone.linears.values()
    base = sum(num_out * num_in for num_out, num_in in shapes)
    if isinstance(trains, LoRA):
        own = sum(trains.rank * (num_out + num_in) for num_out, num_in in shapes)
        return 4.0 * base + 6.0 * own, 2.0 * base
    return 6.0 * base, 2.0 * base


def product_rate(
    device: torch.device | str = "cpu", *, sizes: Sequence[int] = (1024, 1536, 2048), dtype: torch.dtype = torch.float32
) -> float:
    """Operations a second of large matrix products, measured now: the median over some sizes, each the best of three."""
    device = torch.device(device)
    rates = []
    for size in sizes:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        out = torch.mm(left, right)
        spent = min(seconds_of(lambda a=left, b=right, c=out: torch.mm(a, b, out=c), device) for _ in range(3))  # type: ignore[misc]
        rates.append(2.0 * size**3 / spent)
    return statistics.median(rates)


def peak_memory() -> int:
    """The most memory this process has held, in bytes.

    On Linux from /proc: `ru_maxrss` of a process starts at that of the process which started it, since it outlives `exec`.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return _status_bytes(status.read_text(encoding="ascii", errors="replace"), "VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def resident_memory() -> int:
    """The memory this process holds now, in bytes (its peak where the system does not say)."""
    status = Path("/proc/self/status")
    if status.is_file():
        return _status_bytes(status.read_text(encoding="ascii", errors="replace"), "VmRSS")
    return peak_memory()


def _status_bytes(text: str, key: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(f"{key}:"))


def in_process_of_its_own(module: str, *arguments: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run `python -m benchmarks.MODULE ARGUMENTS` and read the JSON object that is the last line it writes."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, check=True, stdout=subprocess.PIPE, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def answer(values: Mapping[str, Any]) -> None:
    """What such a process says to the one that started it."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def facts(command: str) -> dict[str, Any]:
    """Where, when and with what a result was measured."""
    return {
        "format": FORMAT,
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {
            "processor": processor(),
            "cores": num_threads(None),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def processor() -> str:
    """The processor's name."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8", errors="replace").splitlines() if table.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def write_result(path: Path, values: Mapping[str, Any]) -> None:
    """Write one result whole, and say where."""
    write_whole(path, json.dumps(values, indent=1) + "\n")
    console.print(f"written: {path}")


def command_of(module: str, arguments: Sequence[str]) -> str:
    """The line that a result was made with.

    >>> command_of("cpu", ["--quick"])
    'python -m benchmarks.cpu --quick'
    """
    return " ".join(["python", "-m", f"benchmarks.{module}", *arguments])
