"""MASSIVE from archive to encoded arrays: `python -m benchmarks.data`.

Cold starts from an empty cache folder (unpack, check, read, cut, tokenise, align, store); warm finds what cold left. Each is a
process of its own; the time starts when the model's tokeniser is loaded. The system's own file cache is not emptied.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.table import Table

from attrition.corpus.base import Corpus
from attrition.corpus.cache import cache_folder
from attrition.corpus.dataset import Dataset, Sizes
from attrition.corpus.encoded import EncodingSettings
from attrition.corpus.massive import Massive, find_massive
from attrition.corpus.phrasebook import Phrasebook
from attrition.encoder.sources import load_pretrained
from benchmarks import common

WARM_REPEATS = 3
TOY_LANGUAGES = ("en-US", "th-TH")


def measure(*, toy: bool) -> dict[str, Any]:
    """Encode every language of the corpus in this process; seconds and bytes."""
    pretrained = load_pretrained("tiny:bert" if toy else "embedded:e5-small")
    before = common.resident_memory()
    began = time.perf_counter()
    corpus: Corpus = Phrasebook(train=8, dev=2, test=4, languages=TOY_LANGUAGES) if toy else Massive(find_massive())
    languages = corpus.languages
    unpacked = time.perf_counter()
    assert corpus.fingerprint
    checked = time.perf_counter()
    dataset = Dataset(
        corpus=corpus,
        languages=languages,
        tokenizer=pretrained.tokenizer,
        tokenizer_fingerprint=pretrained.tokenizer_fingerprint,
        settings=EncodingSettings(),
        cuts={},
        sizes=Sizes(),
        cache=cache_folder(),
    )
    encoded = dataset.encode()
    ended = time.perf_counter()
    arrays = [array for each in encoded.values() for array in each.arrays().values()]
    return {
        "seconds": ended - began,
        "unpack_seconds": unpacked - began,
        "checksum_seconds": checked - unpacked,
        "encode_seconds": ended - checked,
        "array_bytes": sum(array.nbytes for array in arrays),
        "resident_bytes": common.resident_memory(),
        "resident_before_bytes": before,
        "peak_bytes": common.peak_memory(),
        "corpus": corpus.name,
        "languages": len(languages),
        "utterances": sum(len(each) for each in encoded.values()),
        "subtokens": sum(each.num_tokens for each in encoded.values()),
    }


def run(*, toy: bool) -> dict[str, Any]:
    """Cold once, then warm several times, all with one new cache folder."""
    size = ["--toy"] if toy else []
    with tempfile.TemporaryDirectory() as folder:
        place = {"ATTRITION_CACHE": folder} | ({} if toy else {"ATTRITION_MASSIVE": str(find_massive())})
        cold, *warm = (
            common.in_process_of_its_own("data", "--measure", *size, env=place) for _ in range(1 + (1 if toy else WARM_REPEATS))
        )
    return {
        "cold_seconds": cold["seconds"],
        "warm_seconds": statistics.median(each["seconds"] for each in warm),
        "resident_bytes": warm[-1]["resident_bytes"],
        "resident_growth_bytes": warm[-1]["resident_bytes"] - warm[-1]["resident_before_bytes"],
        "array_bytes": warm[-1]["array_bytes"],
        "peak_bytes": {"cold": cold["peak_bytes"], "warm": max(each["peak_bytes"] for each in warm)},
        "source": None if toy else ("folder" if find_massive().is_dir() else "archive"),
        "cold": cold,
        "warm": warm,
    }


def show(result: dict[str, Any]) -> None:
    """Print a result as a table."""
    cold = result["cold"]
    table = Table(title=f"{cold['corpus']}: {cold['languages']} languages, {cold['utterances']:,} utterances")
    for column in ("", "seconds", "unpack", "checksums", "encode", "resident MB", "peak MB"):
        table.add_column(column, justify="right" if column else "left")
    for name, each in (("cold", cold), ("warm", result["warm"][-1])):
        seconds = [f"{each[key]:.2f}" for key in ("seconds", "unpack_seconds", "checksum_seconds", "encode_seconds")]
        table.add_row(name, *seconds, f"{each['resident_bytes'] / 1e6:.0f}", f"{each['peak_bytes'] / 1e6:.0f}")
    common.console.print(table)
    common.console.print(f"The arrays alone: {result['array_bytes'] / 1e6:.0f} MB.")


def main(arguments: list[str]) -> dict[str, Any]:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument("--toy", action="store_true", help="a few generated utterances: for tests")
    parser.add_argument("--measure", action="store_true", help="measure once, in this process, with the cache as it is")
    parser.add_argument("--out", type=Path, default=common.RESULTS / "data.json")
    given = parser.parse_args(arguments)
    if given.measure:
        once = measure(toy=given.toy)
        common.answer(once)
        return once
    result = run(toy=given.toy) | common.facts(common.command_of("data", arguments))
    common.write_result(given.out, result)
    show(result)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
