"""Text, JSON and TOML of strangers: what is refused, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from attrition import reading
from attrition.names import LONGEST_MESSAGE, AttritionError
from attrition.reading import parse_json, parse_toml, read_text, refuse_depth


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfea\0", r"x: not UTF-8 text \(byte 0\)\. It seems to be UTF-16\. Save it"),
        (b"one\ntw\xf6", r"x: not UTF-8 text \(byte 6\)\. Save it"),
        (b"one\na\0b\0", r"x, line 2: the character U\+0000"),
    ],
)
def test_what_is_no_text(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(AttritionError, match=said):
        read_text(tmp_path / "x")


def test_marks_and_line_ends_of_other_editors(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes("\ufeffeins\r\nzwei\rdrei\n".encode())
    assert read_text(tmp_path / "x") == "eins\nzwei\ndrei\n"


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / ("x" * 10_000), Path("\0")):
        with pytest.raises(AttritionError, match="cannot"):
            read_text(path)


def test_a_file_that_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    endless = Path("/dev/zero")
    if not endless.exists():
        pytest.skip("this system has no /dev/zero")
    monkeypatch.setattr(reading, "MOST_BYTES", 1_000)
    with pytest.raises(AttritionError, match="larger than 1,000 bytes"):
        read_text(endless)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n"a": }', "x, line 2: not JSON"),
        ("[]", "x: a JSON object is expected, not list"),
        ('{"a": 1, "a": 2}', "x: not JSON: the key 'a' is there twice"),
        ('{"a": -Infinity}', "-Infinity is no number of JSON"),
        ('{"a": %s}' % ("9" * 5_000), r"not JSON: Exceeds the limit \(4300 digits\)"),
        ('{"a":' * 100_000, "nested deeper"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper than 32 levels"),
        ('{"a": "\\udc00"}', "half a surrogate pair"),
        ('{\n"a": "\\u001b[2J"}', r"x, line 2: a control character"),
        ('{"a": "\x9b2J"}', r"x, line 1: a control character"),
    ],
)
def test_what_is_no_json_of_ours(text: str, said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        parse_json(text, "x")


def test_json_as_it_should_be() -> None:
    assert parse_json('{"a": "\\u00fc\\ud83d\\ude00\\n", "b": [1e999]}', "x") == {"a": "ü😀\n", "b": [float("inf")]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = x", "x: not TOML: .*line 1"),
        ("a = " + "9" * 5_000, r"x: not TOML: Exceeds the limit \(4300 digits\)"),
        ("a = " + "[" * 50_000, "x: nested deeper"),
        (".".join("a" * 5_000) + " = 1", "x: nested deeper"),  # read without recursion: every level is a table
    ],
)
def test_what_is_no_toml_of_ours(text: str, said: str) -> None:
    with pytest.raises(AttritionError, match=said):
        parse_toml(text, "x")


def test_depth_is_counted_without_recursion() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(AttritionError, match="nested deeper"):
        refuse_depth(value, "x")
    refuse_depth({"a": [{"b": [1]}]}, "x")


def test_a_long_message_keeps_its_ends() -> None:
    message = str(AttritionError("where: " + "x" * 100_000 + " what to do."))
    assert message.startswith("where: xxx")
    assert message.endswith("xxx what to do.")
    assert len(message) < LONGEST_MESSAGE + 20
