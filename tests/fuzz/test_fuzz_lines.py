"""Damaged files of lines: every line is read as before or refused by its number, and none is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attrition.corpus import release
from attrition.corpus.columns import Columns
from attrition.corpus.formats import BY_ENDING, read_utterances
from attrition.corpus.rows import Problem, massive_rows
from attrition.corpus.words import cut_words
from attrition.languages.orders import read_order
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError

Hunt = Callable[[Callable[[Random], None], int, int], None]
Refusal = Callable[..., None]
SLOTS, INTENTS = frozenset(release.SLOTS), frozenset(release.INTENTS)


def massive_row(number: int, text: str, annotation: str, partition: str = "train") -> str:
    row = {"id": str(number), "locale": "de-DE", "partition": partition, "scenario": "alarm", "intent": "alarm_set"}
    return json.dumps({**row, "utt": text, "annot_utt": annotation, "worker_id": "1"}, ensure_ascii=False)


MASSIVE = "\n".join(
    massive_row(number, f"weck mich am {number} um fünf", f"weck mich am [date : {number}] um [time : fünf]", partition)
    for number, partition in enumerate(["train", "dev", "test", "train", "train", "test"])
).encode()
CONLL = """# id = 1
# intent = alarm_set
# text = weck mich um fünf
weck\tO
mich\tO
um\tO
fünf\tB-time

# id = 2
regnet O
in O
bad B-place
homburg I-place

# id = 3
# a remark
spiel\tO
ราคา\tB-price
""".encode()
JSONL = "\n".join(
    [
        '{"id": "1", "words": ["um", "fünf"], "tags": ["O", "B-time"]}',
        '{"id": "2", "text": "um fünf uhr", "slots": [{"start": 3, "end": 7, "name": "time"}], "intent": "alarm_set"}',
        '{"id": "3", "intent": "alarm_set", "utt": "um fünf", "annot_utt": "um [time : fünf]"}',
        '{"id": "4", "words": ["時", "間"], "tags": ["B-time", "I-time"], "text": "時間"}',
        '{"id": "5", "text": "hallo", "slots": []}',
    ]
).encode()
CONLLU = """# sent_id = 1
# text = um fünf
1\tum\t_\t_\t_\t_\t_\t_\t_\t_
2\tfünf\t_\t_\t_\t_\t_\t_\t_\tNER=B-time

# sent_id = 2
1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_
1\tzu\t_\t_\t_\t_\t_\t_\t_\t_
2\tdem\t_\t_\t_\t_\t_\t_\t_\t_
3\tSee\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No|NER=B-place
4\t.\t_\t_\t_\t_\t_\t_\t_\t_
""".encode()
ORDER = b"# mine\nen-US, de-DE\n  th-TH sw-KE # far\nja-JP\n"
MATRIX = b"trained,en-US,de-DE,sw-KE\n,0.01,0.02,\nen-US,0.5,0.25,0.125\nde-DE,0.375,0.75,0.0625\nsw-KE,0.3,0.5,0.6\n"


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a file, in the plainest way."""
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    return [line.removesuffix(b"\r") for line in (lines[:-1] if lines[-1] == b"" else lines)]


def test_massive_rows(hunt: Hunt, mutate: ModuleType) -> None:
    def read(data: bytes, problems: list[Problem]) -> dict[int, Any]:
        rows = massive_rows(
            data, "de-DE", "de-DE.jsonl", slots=SLOTS, intents=INTENTS, blanks_may_differ=False, on_problem=problems.append
        )
        return {row.line: row for row in rows}

    sound = {line: row.utterance for line, row in zip(lines_of(MASSIVE), read(MASSIVE, []).values(), strict=True)}

    def attempt(random: Random) -> None:
        data = mutate.mutated(MASSIVE, random)
        problems: list[Problem] = []
        found = read(data, problems)
        lines = lines_of(data)
        refused = {problem.line for problem in problems}
        assert all(str(problem).startswith(f"de-DE.jsonl, line {problem.line}: ") for problem in problems)
        assert all(len(str(problem)) < 4_000 for problem in problems)
        assert len({row.utterance.id for row in found.values()}) == len(found)
        if "UTF-16" not in str(problems[:1]):
            assert sorted([*found, *refused]) == list(range(1, len(lines) + 1)), "a line is neither read nor refused"
        for number, row in found.items():
            if lines[number - 1] in sound:
                assert row.utterance == sound[lines[number - 1]]
            for cut in ("characters", "graphemes"):
                cut_words(row.utterance, cut)  # type: ignore[arg-type]
        whole = {row.utterance.id for row in found.values()}
        for number, line in enumerate(lines, start=1):  # an unchanged row may only be refused as the second of its id
            if line in sound and number in refused and "UTF-16" not in str(problems[0]):
                assert sound[line].id in whole

    hunt(attempt, 120, 3_000)


def test_jsonl(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    sound = {line: found.utterance for line, found in zip(lines_of(JSONL), read_own(JSONL, tmp_path, ".jsonl"), strict=True)}

    def attempt(random: Random) -> None:
        data = mutate.mutated(JSONL, random)
        lines = lines_of(data)
        try:
            found = read_own(data, tmp_path, ".jsonl")
        except ValueError as error:
            refusal(error, "own.jsonl, line ")
            return
        assert [each.line for each in found] == list(range(1, len(lines) + 1))
        for each in found:
            if lines[each.line - 1] in sound:
                assert each.utterance == sound[lines[each.line - 1]]

    hunt(attempt, 80, 2_000)


def read_own(data: bytes, folder: Path, ending: str, problems: list[Problem] | None = None) -> list[Any]:
    """What a file of a user's own holds."""
    path, problems = folder / f"own{ending}", [] if problems is None else problems
    path.write_bytes(data)
    found = read_utterances(path, BY_ENDING[ending], language="de", split="train", file=path.name, warn=problems.append)
    return list(found)


def test_conll(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    sound = {block: found.utterance for block, found in zip(_blocks(CONLL), read_own(CONLL, tmp_path, ".conll"), strict=True)}

    def attempt(random: Random) -> None:
        data = mutate.mutated(CONLL, random)
        try:
            skipped: list[Problem] = []
            found = read_own(data, tmp_path, ".conll", skipped)
        except ValueError as error:
            refusal(error, "own.conll, line ")
            return
        lines = [line.decode() for line in lines_of(data)]
        rows = [line for line in lines if line.strip(" \t")]
        remarks = [line for line in rows if line.startswith("#") or line.strip(" \t").startswith("-DOCSTART-")]
        words = sum(len(each.utterance.words) for each in found)
        assert len(rows) - len(remarks) - len(skipped) <= words <= len(rows), "a word was lost, or made"
        texts = [each.utterance for each in found]
        for block in _blocks(data):
            if block in sound:
                assert sound[block] in texts

    hunt(attempt, 80, 2_000)


def test_conllu(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    def attempt(random: Random) -> None:
        data = mutate.mutated(CONLLU, random)
        try:
            found = read_own(data, tmp_path, ".conllu")
        except ValueError as error:
            refusal(error, "own.conllu")
            return
        assert len(found) <= len(lines_of(data))
        for each in found:
            cut_words(each.utterance, "blanks")

    hunt(attempt, 80, 2_000)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_tables(ending: str, hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    table = pa.table({"tokens": [["um", "fünf"], ["da"]], "ner_tags": [["O", "B-time"], ["O"]]})
    sink = pa.BufferOutputStream()
    if ending == ".parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    content = sink.getvalue().to_pybytes()
    assert len(read_own(content, tmp_path, ending)) == 2

    def attempt(random: Random) -> None:
        try:
            found = read_own(mutate.mutated(content, random), tmp_path, ending)
        except ValueError as error:
            refusal(error, f"own{ending}")
            return
        for each in found:
            assert each.utterance.text.encode()

    hunt(attempt, 60, 1_000)


def _blocks(data: bytes) -> list[bytes]:
    found: list[list[bytes]] = [[]]
    for line in lines_of(data):
        if line.strip(b" \t"):
            found[-1].append(line)
        else:
            found.append([])
    return [b"\n".join(block) for block in found if block]


def test_a_folder_of_columns(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    contents = {"de.train.conll": CONLL, "de.dev.jsonl": JSONL, "th.train.tsv": CONLL}

    def attempt(random: Random) -> None:
        name = random.choice(list(contents))
        for other, content in contents.items():
            (tmp_path / other).write_bytes(mutate.mutated(content, random) if other == name else content)
        corpus = Columns(tmp_path)
        try:
            slots, intents = corpus.slots, corpus.intents
        except ValueError as error:
            refusal(error, str(tmp_path / name))
            return
        for each in (*slots, *intents):
            assert each.encode()
        ids = [utterance.id for utterance in corpus.read("de", "train")]
        assert len(set(ids)) == len(ids)

    hunt(attempt, 40, 1_000)


def test_order_files(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"

    def attempt(random: Random) -> None:
        data = mutate.mutated(ORDER, random)
        path.write_bytes(data)
        try:
            order = read_order(path)
        except ValueError as error:
            refusal(error, str(path))
            return
        text = data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").replace("\r", "\n")
        words = [word for line in text.split("\n") for word in re.split(r"[\s,]+", line.partition("#")[0]) if word]
        assert list(order) == words

    hunt(attempt, 60, 1_500)


def test_matrices(hunt: Hunt, mutate: ModuleType, refusal: Refusal, tmp_path: Path) -> None:
    path = tmp_path / "matrix.csv"
    rows = dict(zip(MATRIX.split(b"\n")[2:], RMatrix.parse(MATRIX.decode()).scores_SL.tolist(), strict=False))

    def attempt(random: Random) -> None:
        data = mutate.mutated(MATRIX, random)
        path.write_bytes(data)
        try:
            R = RMatrix.from_csv(path)
        except ValueError as error:
            refusal(error, str(path))
            of_the_whole = ("UTF-8", "the file is empty", "no stage of training")
            if not any(words in str(error) for words in of_the_whole):
                refusal(error, ", line ")
            return
        assert RMatrix.parse(R.to_csv()) == R
        text = data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n").replace("\r", "\n")
        lines = [line for line in text.split("\n") if line.strip(' ,\t"\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029\u3000\xa0')]
        if '"' not in text:
            assert R.num_stages + (R.before_L is not None) >= len(lines) - 1 - text.count("\n,,,")
        if lines[0] == "trained,en-US,de-DE,sw-KE":
            for line, row in zip(lines[-R.num_stages :], R.scores_SL.tolist(), strict=False):
                if line.encode() in rows:
                    assert row == rows[line.encode()]

    hunt(attempt, 100, 2_500)


def test_every_refusal_is_for_users() -> None:
    """The checks above would pass any ValueError if the error of users were not one of its own."""
    assert AttritionError is not ValueError
    assert issubclass(AttritionError, ValueError)
