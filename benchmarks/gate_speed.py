"""The time of `attrition gate` on 52 languages x 3,000 generated utterances, from three folders of JSONL files to the page.

Seconds are those of the clock, processor seconds those in which this process worked: on a shared machine the two differ.

python -m benchmarks.gate_speed                   # benchmarks/results/gate_speed.json; under a minute
python -m benchmarks.gate_speed --utterances 50   # a short form
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attrition.gate.checks import Settings
from attrition.gate.outputs import to_markdown
from attrition.gate.page import to_html
from attrition.gate.release import gate_files
from attrition.gate.worlds import SPANS_PER_UTTERANCE
from attrition.languages import LANGUAGES
from attrition.streams import numpy_stream
from benchmarks.common import RESULTS, command_of, console, facts, write_result

WORDS, LABELS = 9, ("date", "time", "person", "place", "song", "list")


def write_folders(folder: Path, languages: Sequence[str], utterances: int) -> None:
    """Write gold/, old/ and new/: nine words an utterance, systems that err on a fifth of the spans."""
    for language in languages:
        rng = numpy_stream("gate", "speed", language)
        lines: dict[str, list[str]] = {"gold": [], "old": [], "new": []}
        for number in range(utterances):
            words = [f"{language}{word}" for word in rng.integers(0, 5_000, WORDS)]
            tags = {side: ["O"] * WORDS for side in lines}
            for span in range(rng.choice(len(SPANS_PER_UTTERANCE), p=SPANS_PER_UTTERANCE)):
                start, label = min(2 * span, WORDS - 2), str(rng.choice(LABELS))
                shared = rng.random() < 0.18
                for side in lines:
                    wrong = side != "gold" and (shared or rng.random() < 0.03)
                    tags[side][start] = "O" if wrong and rng.random() < 0.5 else f"B-{label}"
                    tags[side][start + 1] = f"I-{label}" if tags[side][start] != "O" and not wrong else "O"
            for side, rows in lines.items():
                row = {"id": str(number), "words": words, "tags": tags[side], "domain": f"domain-{number % 18}"}
                rows.append(json.dumps(row, ensure_ascii=False))
        for side, rows in lines.items():
            path = folder / side / f"{language}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=3_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "gate_speed.json")
    given = parser.parse_args(arguments)
    seconds: dict[str, list[float]] = {"by language": [], "by language, domain and label": []}
    of_processor: dict[str, list[float]] = {what: [] for what in seconds}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_folders(folder, tuple(LANGUAGES), given.utterances)
        for _ in range(given.repeats):
            for (what, spent), slices in zip(seconds.items(), ((), ("domain", "label")), strict=True):
                began, worked = time.perf_counter(), time.process_time()
                release = gate_files(folder / "old", folder / "new", folder / "gold", Settings(slices=slices))
                to_markdown(release)
                to_html(release)
                spent.append(time.perf_counter() - began)
                of_processor[what].append(time.process_time() - worked)
                console.print(f"{what}: {spent[-1]:.1f} s, of the processor {of_processor[what][-1]:.1f} s, {release.verdict}")
    arguments = [] if given.utterances == 3_000 else [f"--utterances {given.utterances}"]
    result = {
        **facts(command_of("gate_speed", arguments)),
        "languages": len(LANGUAGES),
        "utterances": given.utterances,
        "load": [round(each, 1) for each in os.getloadavg()],
        "seconds": {what: round(float(np.median(spent)), 2) for what, spent in seconds.items()},
        "processor_seconds": {what: round(float(np.median(spent)), 2) for what, spent in of_processor.items()},
    }
    write_result(given.out, result)


if __name__ == "__main__":
    main()
