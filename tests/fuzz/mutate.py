"""Damages bytes at random, the same way for the same seed: what discs, editors, wrong encodings and strangers do to files."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

Mutation = Callable[[bytes, Random], bytes]

NUMBERS = (b"9" * 5_000, b"1e999", b"-1e999", b"NaN", b"nan", b"Infinity", b"-1", b"1e-400", b"1" + b"0" * 40, b"0x10", b"1_0")
NOISE = (
    b"\0", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\x8b", b"\xe2\x80\xa8", b"\xc2\x85", b"\r", b"\n",
    b"\n\n", b"\t", b'"', b"'", b"\\", b"[", b"]", b"{", b"}", b",", b":", b"#", b"=", b"+", b"\\ud800", b"\\u0000",
    b"\\u001b[2J", b"../", b"%s", b"</script>", b"__proto__", b"null", b"true", b"[]", b"{}", b'""',
)  # fmt: skip
LONG = 200_000
DEEP = 3_000


def _place(data: bytes, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, min(len(data), start + random.choice((1, 1, 2, 5, 20, 300)))


def flip(data: bytes, random: Random) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 4))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def delete(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:start] + data[end:]


def double(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    return data[:end] + data[start:end] * random.choice((1, 1, 50)) + data[end:]


def insert(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(NOISE) + data[at:]


def move(data: bytes, random: Random) -> bytes:
    start, end = _span(data, random)
    rest = data[:start] + data[end:]
    at = _place(rest, random)
    return rest[:at] + data[start:end] + rest[at:]


def truncate(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def zero(data: bytes, random: Random) -> bytes:
    start = _place(data, random) // 512 * 512
    size = len(data[start : start + 512])
    return data[:start] + bytes(size) + data[start + size :]


def swap_lines(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    one, other = random.randrange(len(lines)), random.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"\n".join(lines)


def double_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    number = random.randrange(len(lines))
    return b"\n".join([*lines[:number], lines[number], *lines[number:]])


def empty_line(data: bytes, random: Random) -> bytes:
    lines = data.split(b"\n")
    lines.insert(random.randrange(len(lines) + 1), random.choice((b"", b" ", b"\t", b"#", b"# x", b"-DOCSTART- O")))
    return b"\n".join(lines)


def number(data: bytes, random: Random) -> bytes:
    found = list(re.finditer(rb"\d+(?:\.\d+)?", data))
    if not found:
        return data
    chosen = random.choice(found)
    return data[: chosen.start()] + random.choice(NUMBERS) + data[chosen.end() :]


def value(data: bytes, random: Random) -> bytes:
    """Another type in the place of a text or a number."""
    found = list(re.finditer(rb'"[^"\n]*"|\d+(?:\.\d+)?|true|false|null', data))
    if not found:
        return data
    chosen, other = random.choice(found), random.choice(found)[0]
    given = random.choice((other, b"null", b"[]", b"{}", b"true", b'""', b"-1", b"0", b'"x"', b"[[1]]", b'{"a": 1}', b"1.5"))
    return data[: chosen.start()] + given + data[chosen.end() :]


def nest(data: bytes, random: Random) -> bytes:
    depth, at = random.choice((40, 400, DEEP)), _place(data, random)
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"[a.", b"]"), (b"a.", b""), (b"[", b"")))
    return data[:at] + opening * depth + b"1" + closing * depth + data[at:]


def long(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    piece = random.choice((b"a", b" ", b"[", b"\xe0\xb8\x81", b"a ", b"[time : a] ", b"1", b",", b"]"))
    return data[:at] + piece * LONG + data[at:]


def encode(data: bytes, random: Random) -> bytes:
    text = data.decode("utf-8", errors="replace")
    encoding = random.choice(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-7", "shift-jis"))
    return text.encode(encoding, errors="replace")


def mark(data: bytes, _random: Random) -> bytes:
    return b"\xef\xbb\xbf" + data


def carriage_returns(data: bytes, random: Random) -> bytes:
    return data.replace(b"\n", random.choice((b"\r\n", b"\r\n", b"\r")))


def nothing(_data: bytes, _random: Random) -> bytes:
    return b""


TEXTUAL: tuple[Mutation, ...] = (
    flip, flip, delete, double, insert, insert, move, truncate, swap_lines, double_line, empty_line, number, value, value, nest,
    long, encode, mark, carriage_returns, nothing,
)  # fmt: skip
BINARY: tuple[Mutation, ...] = (flip, flip, flip, delete, double, insert, move, truncate, zero, zero)


def mutated(data: bytes, random: Random, mutations: tuple[Mutation, ...] = TEXTUAL) -> bytes:
    """The data after one to three mutations."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(mutations)(data, random)
    return data
