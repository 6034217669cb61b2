"""The results as Markdown: `python benchmarks/table.py`. Needs nothing but Python."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
Result = Mapping[str, Any]


def markdown(folder: Path) -> str:
    """Tables of all results in a folder; a benchmark that has not been run is left out."""
    parts = []
    for name, table in (("cpu", cpu), ("cpu-avx2", cpu), ("data", _data), ("growth", _growth), ("gpu", _gpu)):
        path = folder / f"{name}.json"
        if path.is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            parts.append("\n\n".join([f"### {name}", table(result), _where(result)]))
    return "\n\n".join(parts) + "\n" if parts else f"No results in {folder} yet.\n"


def rows(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is text and whose others are numbers.

    >>> print(rows(["", "s"], [["cold", "80"]]))
    |  | s |
    |---|---:|
    | cold | 80 |
    """
    lines = [header, *body]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([text[0], "|---|" + "---:|" * (len(header) - 1), *text[1:]])


def cpu(result: Result) -> str:
    """The tables of `cpu.json`: rates, and ratios to the Trainer. What was not measured has no column."""
    sides = ("ours", "ours_float32", "ours_processes", "trainer", "trainer_bfloat16", "trainer_stronger")
    body = []
    for name, rates in result["utterances_a_second"].items():
        seconds = result[name]["seconds"]
        body.append([name, *(f"{rates[side]:.1f} ({_spread(seconds[side])})" if side in rates else "" for side in sides)])
    header = [
        "utterances/s, median (slowest to fastest pass)", f"ours ({result['precision']})", "ours, float32",
        "ours in processes", "Trainer",
        "Trainer, bfloat16", "Trainer by length",
    ]  # fmt: skip
    scorer = {side: f"{1000 * statistics.median(spent):.2f} ms" for side, spent in result["scorer"]["seconds"].items()}
    body.append(["scorer alone", scorer["ours"], "", "", f"seqeval {scorer['seqeval']}", "", ""])
    ratios = []
    for name in result["utterances_a_second"]:
        kinds = ("float32_ratios", "processes_ratios", "bfloat16_ratios", "stronger_ratios")
        others = (f"{result[kind][name]:.2f}" if name in result.get(kind, {}) else "" for kind in kinds)
        ratios.append([name, f"{result[f'{name}_ratio']:.2f}", *others])
    ratios.append(["scorer alone", f"{result['scorer_ratio']:.0f}", "", "", "", ""])
    if result["memory"]:
        peak = {side: f"{each['peak_bytes'] / 1e6:,.0f} MB" for side, each in result["memory"].items()}
        body.append(["full, peak memory", peak["ours"], "", "", peak["trainer"], "", ""])
        ratios.append(["full, peak memory", f"{result['full_memory_ratio']:.2f}", "", "", "", ""])
    titles = [
        "ratio to",
        "Trainer (both by default)",
        "both in float32",
        "ours in processes",
        "both in bfloat16",
        "Trainer by length, float32",
    ]
    rate = result["product_operations_a_second"]["median"] / 1e9
    shares = ", ".join(f"{side} {share:.2f}" for side, share in result["gemm_fractions"].items())
    work = result["workload"]
    return (
        f"{rows(*_measured(header, body))}\n\n{rows(*_measured(titles, ratios))}\n\n"
        f"{work['model']} on {work['corpus']} ({', '.join(work['languages'])}). Share of the machine's "
        f"matrix-product rate ({rate:,.0f} GFLOP/s) in LoRA training: {shares}."
    )


def _measured(header: Sequence[str], body: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """Leave out the columns that no row fills.

    >>> _measured(["", "a", "b"], [["x", "", "1"]])
    (['', 'b'], [['x', '1']])
    """
    kept = [number for number in range(len(header)) if any(line[number] for line in body)]
    return [header[number] for number in kept], [[line[number] for number in kept] for line in body]


def _spread(seconds: Sequence[float]) -> str:
    """How far the passes lie apart, as shares of the median speed."""
    middle = statistics.median(seconds)
    return f"{middle / max(seconds):.0%} to {middle / min(seconds):.0%}"


def _data(result: Result) -> str:
    cold, warm = result["cold"], result["warm"][-1]
    body = [
        ["cold", f"{result['cold_seconds']:.1f}", f"{cold['resident_bytes'] / 1e6:.0f}", f"{cold['peak_bytes'] / 1e6:.0f}"],
        ["warm", f"{result['warm_seconds']:.2f}", f"{warm['resident_bytes'] / 1e6:.0f}", f"{warm['peak_bytes'] / 1e6:.0f}"],
    ]
    growth = result["resident_growth_bytes"] / 1e6
    header = [f"{cold['languages']} languages", "s", "resident MB", "peak MB"]
    return (
        f"{rows(header, body)}\n\n"
        f"{cold['utterances']:,} utterances, {cold['subtokens']:,} sub-tokens; the arrays take "
        f"{result['array_bytes'] / 1e6:.0f} MB, the process grew by {growth:.0f} MB."
    )


def _growth(result: Result) -> str:
    body = [
        [
            f"{axis} {point['value']}",
            f"{point['seconds']:.1f}",
            f"{point['utterances'] / point['training_seconds']:.1f}",
            f"{point['overhead']:.1%}",
            f"{point['peak_bytes'] / 1e6:,.0f}",
        ]
        for axis, points in result["points"].items()
        for point in points
    ]
    return rows(["", "s", "trained utterances/s", "overhead", "peak MB"], body)


def _gpu(result: Result) -> str:
    body = [
        [name, f"{rate:,.0f}", f"{result['share_of_card'][name]:.2f}" if name in result["share_of_card"] else ""]
        for name, rate in result["utterances_a_second"].items()
    ]
    costs = [
        [cost["method"], f"{cost['training_hours']:.2f}", f"{cost['evaluation_hours']:.2f}", cost["arithmetic"]]
        for cost in result["paper"]["ours"]
    ]
    hours = result["paper"]["hours"]
    ratios = ", ".join(f"{name} {result[f'{name}_ratio']:.1f}" for name in ("full", "shared", "non_shared", "evaluation"))
    return "\n\n".join(
        [
            rows([f"{result['plan']['model']}, {result['precision']}", "utterances/s", "share of the card"], body),
            f"Ratios to the Trainer: {ratios}.",
            rows([f"the whole paper, {result['paper']['epochs']:g} epochs", "training h", "evaluation h", "arithmetic"], costs),
            f"All: {hours['ours']:.1f} hours; Trainer, one after another: {hours['trainer']:.1f}.",
        ]
    )


def _where(result: Result) -> str:
    machine, versions = result["machine"], result["versions"]
    gpu = f", {machine['gpu']}" if machine["gpu"] else ""
    dirty = " with changes" if result["dirty"] else ""
    return (
        f"`{result['command']}`, {result['date'][:10]}, {machine['processor']}{gpu}, {machine['threads']} threads, "
        f"commit {result['commit'][:10]}{dirty}; Python {versions['python']}, torch {versions['torch']}, "
        f"transformers {versions['transformers']}, peft {versions['peft']}."
    )


if __name__ == "__main__":
    sys.stdout.write(markdown(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS))
