"""Every format gives the same utterances; what is missing or wrong is named by file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attrition.corpus.base import Slot, Utterance
from attrition.corpus.columns import Columns
from attrition.corpus.formats import BY_ENDING, FORMATS, Layout
from attrition.names import AttritionError

WORDS, TAGS = [["Ade", "lives", "in", "New", "York"], ["Hello"]], [["B-PER", "O", "O", "B-LOC", "I-LOC"], ["O"]]
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
EXPECTED = [("Ade lives in New York", (Slot(0, 3, "PER"), Slot(13, 21, "LOC"))), ("Hello", ())]

CONLLU = """\
# newdoc
# sent_id = s1
# text = Ade lives in New York
1\tAde\t_\tPROPN\t_\t_\t_\t_\t_\tNER=B-PER
2\tlives\t_\tVERB\t_\t_\t_\t_\t_\t_
3\tin\t_\tADP\t_\t_\t_\t_\t_\t_
4\tNew\t_\tPROPN\t_\t_\t_\t_\t_\tSpaceAfter=Yes|NER=B-LOC
5\tYork\t_\tPROPN\t_\t_\t_\t_\t_\tNER=I-LOC

# text = Hello
1\tHello\t_\tINTJ\t_\t_\t_\t_\t_\t_
"""


def conll(separator: str = "\t", tags: list[list[str]] = TAGS, extra: str = "") -> str:
    blocks = [
        "\n".join(f"{extra}{word}{separator}{tag}" for word, tag in zip(*each, strict=True))
        for each in zip(WORDS, tags, strict=True)
    ]
    return "\n\n".join(blocks) + "\n"


def jsonl(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def features(names: list[str], kind: str = "Sequence") -> dict[str, Any]:
    label = {"names": names, "_type": "ClassLabel"}
    return {
        "id": {"dtype": "string", "_type": "Value"},
        "ner_tags": [label] if kind == "[]" else {"feature": label, "_type": kind},
    }


def table(kind: str | None = "Sequence", **more: Any) -> pa.Table:
    numbers = [[NAMES.index(tag) for tag in tags] for tags in TAGS]
    found = pa.table({"id": ["0", "1"], "tokens": WORDS, "ner_tags": numbers, **more})
    if kind is None:
        return found
    info = {"info": {"features": features(NAMES, kind)}}
    return found.replace_schema_metadata({"huggingface": json.dumps(info)})


def stream(path: Path, content: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, content.schema) as writer:
        writer.write_table(content)


def read(folder: Path, name: str, content: str | bytes, **layout: Any) -> tuple[Utterance, ...]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Columns(folder, layout=Layout(**layout)).read("yor", "train")


def plain(found: tuple[Utterance, ...]) -> list[tuple[str, tuple[Slot, ...]]]:
    return [(each.text, each.slots) for each in found]


BIOES = [["S-PER", "O", "O", "B-LOC", "E-LOC"], ["O"]]
BILOU = [["U-PER", "O", "O", "B-LOC", "L-LOC"], ["O"]]
IOB1 = [["I-PER", "O", "O", "I-LOC", "I-LOC"], ["O"]]
PLAIN = [["PER", "O", "O", "LOC", "LOC"], ["O"]]
SPANS = [[(0, 3, "PER"), (13, 21, "LOC")], []]


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        ("yor/train.txt", conll(" "), {}),
        ("data/yor/train.conll", conll(), {}),
        ("yor.train.tsv", conll(), {}),
        ("yor-train.iob2", conll(), {}),
        ("yor_train.bio", conll("   "), {}),
        ("yor/train", conll(" "), {}),
        ("yor.train", conll(" "), {}),
        ("yor.train.conll", conll("\t", BIOES), {}),
        ("yor.train.conll", conll("\t", BILOU), {}),
        ("yor.train.conll", conll("\t", IOB1), {"scheme": "iob1"}),
        ("yor.train.conll", conll("\t", PLAIN), {}),
        ("yor.train.conll", conll("\t", extra="7\t"), {"token": 1, "tag": 2}),
        ("yor.train.conll", "ID\tFORM\tTAG\n" + conll("\t", extra="7\t"), {"token": "FORM", "tag": "TAG"}),
        ("yor.train.conll", "# c\nword tag\n\n" + conll(" "), {"tag": "tag"}),
        ("yor.train.conll", conll("\tx\t") + "\n# the end\n", {"tag": -1}),
        ("yor.train.conllu", CONLLU, {}),
        ("yor.train.conllu", CONLLU.replace("NER=", "Name="), {"tag": "Name"}),
        ("yor.train.jsonl", jsonl(*({"words": w, "tags": t} for w, t in zip(WORDS, TAGS, strict=True))), {}),
        (
            "yor.train.jsonl",
            jsonl(*({"id": len(w), "tokens": w, "ner_tags": t} for w, t in zip(WORDS, TAGS, strict=True))),
            {},
        ),
        (
            "yor.train.jsonl",
            jsonl(*({"tokens": w, "ner_tags": [NAMES.index(tag) for tag in t]} for w, t in zip(WORDS, TAGS, strict=True))),
            {"labels": tuple(NAMES)},
        ),
        ("yor.train.jsonl", jsonl(*({"w": w, "t": t} for w, t in zip(WORDS, TAGS, strict=True))), {"token": "w", "tag": "t"}),
        (
            "yor.train.jsonl",
            jsonl(*({"text": text[0], "label": spans} for text, spans in zip(EXPECTED, SPANS, strict=True))),
            {},
        ),
        (
            "yor.train.jsonl",
            jsonl(
                *(
                    {"text": text[0], "spans": [{"start": a, "end": b, "label": name} for a, b, name in spans]}
                    for text, spans in zip(EXPECTED, SPANS, strict=True)
                )
            ),
            {},
        ),
    ],
)
def test_one_content_in_every_text_format(tmp_path: Path, name: str, content: str, layout: dict[str, Any]) -> None:
    assert plain(read(tmp_path, name, content, **layout)) == EXPECTED


@pytest.mark.parametrize("kind", ["Sequence", "List", "LargeList", "[]"])
def test_parquet_with_the_names_of_its_classes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "yor" / "train-00000-of-00001.parquet"
    path.parent.mkdir()
    pq.write_table(table(kind), path)
    found = Columns(tmp_path).read("yor", "train")
    assert plain(found) == EXPECTED
    assert [each.id for each in found] == ["yor/train/1", "yor/train/2"], "ids that only count rows are none"


def test_parts_of_a_split_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "yor").mkdir()
    for part in (1, 0):
        pq.write_table(table().slice(part, 1), tmp_path / "yor" / f"train-0000{part}-of-00002.parquet")
    corpus = Columns(tmp_path)
    assert plain(corpus.read("yor", "train")) == EXPECTED
    assert [each.id for each in corpus.read("yor", "train")] == ["yor/train/1", "1"]


@pytest.mark.parametrize("in_metadata", [True, False])
def test_a_saved_folder_of_datasets(tmp_path: Path, in_metadata: bool) -> None:
    stream(tmp_path / "yor" / "train" / "data-00000-of-00001.arrow", table("Sequence" if in_metadata else None))
    (tmp_path / "yor" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    (tmp_path / "yor" / "train" / "state.json").write_text("{}")
    if not in_metadata:
        (tmp_path / "yor" / "train" / "dataset_info.json").write_text(json.dumps({"features": features(NAMES)}))
    assert plain(Columns(tmp_path).read("yor", "train")) == EXPECTED


def test_what_the_library_itself_saves(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    label = datasets.ClassLabel(names=NAMES)
    schema = datasets.Features({"tokens": datasets.Sequence(datasets.Value("string")), "ner_tags": datasets.Sequence(label)})
    saved = datasets.Dataset.from_dict({"tokens": WORDS, "ner_tags": [[NAMES.index(t) for t in tags] for tags in TAGS]}, schema)
    datasets.DatasetDict({"train": saved}).save_to_disk(str(tmp_path / "yor"))
    assert plain(Columns(tmp_path).read("yor", "train")) == EXPECTED


def test_a_table_of_texts_and_tags_of_text(tmp_path: Path) -> None:
    path = tmp_path / "yor.train.arrow"
    content = pa.table({"tokens": WORDS, "ner_tags": TAGS, "intent": ["greet", None]})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, content.schema) as writer:  # a file, not a stream
        writer.write_table(content)
    found = Columns(tmp_path).read("yor", "train")
    assert plain(found) == EXPECTED
    assert [each.intent for each in found] == ["greet", ""]


def test_conllu_reads_surface_words(tmp_path: Path) -> None:
    content = """\
# sent_id = fr-1
# text = du Monde, 200 000
1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_
1\tde\t_\t_\t_\t_\t_\t_\t_\t_
2\tle\t_\t_\t_\t_\t_\t_\t_\tNER=B-ORG
3\tMonde\t_\t_\t_\t_\t_\t_\t_\tNER=I-ORG|SpaceAfter=No
3.1\tghost\t_\t_\t_\t_\t_\t_\t_\tNER=B-X
4\t,\t_\t_\t_\t_\t_\t_\t_\t_
5\t200 000\t_\t_\t_\t_\t_\t_\t_\tNER=B-NUM
"""
    (found,) = read(tmp_path, "yor.train.conllu", content)
    assert found.id == "fr-1"
    assert found.slots == (Slot(0, 8, "ORG"), Slot(10, 17, "NUM"))
    assert [found.text[start:end] for start, end in found.words] == ["du", "Monde", ",", "200", "000"]
    (without,) = read(tmp_path, "yor.train.conllu", "\n".join(content.splitlines()[2:]))
    assert (without.text, without.slots) == (found.text, found.slots)


def test_a_word_cut_in_two_stays_one_slot_in_any_scheme(tmp_path: Path) -> None:
    line = "1\ta b c\t_\t_\t_\t_\t_\t_\t_\tNER={}\n2\td\t_\t_\t_\t_\t_\t_\t_\tNER={}\n"
    for first, second, expected in (
        ("S-x", "S-x", (Slot(0, 5, "x"), Slot(6, 7, "x"))),
        ("B-x", "E-x", (Slot(0, 7, "x"),)),
        ("U-x", "O", (Slot(0, 5, "x"),)),
        ("x", "y", (Slot(0, 5, "x"), Slot(6, 7, "y"))),
    ):
        assert read(tmp_path, "yor.train.conllu", line.format(first, second))[0].slots == expected


def test_conllu_plus_names_its_columns(tmp_path: Path) -> None:
    content = "# global.columns = ID FORM NE\n1\tAde\tB-PER\n2\tlives\t_\n"
    assert plain(read(tmp_path, "yor.train.conllup", content)) == [("Ade lives", (Slot(0, 3, "PER"),))]


def test_a_line_without_a_word_is_reported_and_skipped(tmp_path: Path) -> None:
    (tmp_path / "yor.train.txt").write_text("a O\n O\nb B-x\n\n\tO\n\nc O\n\tO\n")
    corpus = Columns(tmp_path)
    assert [each.text for each in corpus.read("yor", "train")] == ["a b", "c"]
    path = tmp_path / "yor.train.txt"
    assert [str(each) for each in corpus.notices] == [
        f"{path}, line {line}: a tag 'O' without a word. The line is skipped." for line in (2, 5, 8)
    ]


def test_plain_labels_are_said(tmp_path: Path) -> None:
    (tmp_path / "yor.train.txt").write_text(conll(" ", PLAIN))
    corpus = Columns(tmp_path)
    assert corpus.slots == ("LOC", "PER")
    assert "no tag has a prefix such as 'B-'" in str(corpus.notices[0])


@pytest.mark.parametrize(
    ("name", "content", "layout", "said"),
    [
        ("yor.train.conll", "w tag\na O\n", {"tag": "ner"}, r"line 1: the header, for 'tag': unknown column 'ner'"),
        ("yor.train.conll", "a O\n", {"tag": 2}, r"line 1: the line has 2 columns, but 'tag' asks for number 2"),
        ("yor.train.conll", "word tag\na B-x\n", {}, r"line 1: 'tag' is not a tag of BIO.*name the column of tags"),
        ("yor.train.conll", "a O\nb x\n", {"scheme": "bio"}, "line 2: 'x' is not a tag of BIO"),
        ("yor.train.conllu", "a\tB-x\n", {}, r"line 1: 2 columns separated by tabs, but a line has 10"),
        ("yor.train.conllu", CONLLU, {"tag": 2}, "CoNLL-U has named columns"),
        ("yor.train.conllu", CONLLU.replace("4\tNew", "four\tNew"), {}, "line 4: the ID 'four' is no number"),
        (
            "yor.train.conllu",
            CONLLU.replace("\tYork", "\tJersey"),
            {},
            "line 4: the text .* does not go on with .*'Jersey'",
        ),
        ("yor.train.conllu", CONLLU.replace("=I-LOC", "=LOC"), {}, "line 8: 'LOC' is not a tag of BIO"),
        ("yor.train.conllup", "# global.columns = ID FORM\n1\ta\n", {}, "line 2: corpus.tag: unknown column 'NER'"),
        (
            "yor.train.jsonl",
            '{"tokens": ["a"], "ner_tags": [3]}',
            {"labels": ("O",)},
            "line 1: .* 3, but there are 1 labels",
        ),
        (
            "yor.train.jsonl",
            '{"tokens": ["a"], "ner_tags": ["O"]}',
            {"tag": -1},
            "line 1: fields have names, but",
        ),
        ("yor.train.jsonl", '{"text": "a", "entities": [[0, 1]]}', {}, r"line 1: \[0, 1\] is not a slot of 'a'"),
        ("yor.train.parquet", b"PAR1 and more", {}, r"train\.parquet is damaged, or no file of a table"),
        ("yor.train.arrow", b"", {}, r"train\.arrow is damaged, or no file of a table"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, content: str | bytes, layout: dict[str, Any], said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        read(tmp_path, name, content, **layout)


def test_a_wrong_row_of_a_table_is_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"tokens": [["a"], ["b"]], "ner_tags": [["O"], []]}), tmp_path / "yor.train.parquet")
    with pytest.raises(AttritionError, match=r"yor\.train\.parquet, row 2: there are 1 words and 0 tags"):
        Columns(tmp_path).read("yor", "train")
    pq.write_table(table(None), tmp_path / "yor.train.parquet")
    with pytest.raises(AttritionError, match=r"row 1: field 'ner_tags' holds numbers.*Set corpus\.labels"):
        Columns(tmp_path).read("yor", "train")
    assert plain(Columns(tmp_path, layout=Layout(labels=tuple(NAMES))).read("yor", "train")) == EXPECTED


def test_a_layout_is_checked_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "yor.train.conll").write_text(conll())
    assert Columns(tmp_path).fingerprint != Columns(tmp_path, layout=Layout(scheme="bio")).fingerprint
    with pytest.raises(AttritionError, match="Unknown tagging scheme 'iobes'"):
        Layout(scheme="iobes")  # type: ignore[arg-type]
    with pytest.raises(AttritionError, match="tag is empty"):
        Layout(tag="")


def test_every_ending_belongs_to_one_format() -> None:
    assert sorted(BY_ENDING) == sorted(ending for each in FORMATS.values() for ending in each.endings)
