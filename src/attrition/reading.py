"""How a file that a stranger may have written is read as text, JSON or TOML: bounded, strict, every mistake a sentence."""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from attrition.names import AttritionError

MOST_BYTES = 100_000_000
"""The largest study file, matrix or result file that is read; real ones are a thousand times smaller."""

MOST_LEVELS = 32
"""How deep lists and tables may lie in each other; ours need six."""

# Escape sequences of a terminal among them; line ends and tabs are none.
_CONTROL = re.compile(r"[\x7f-\x9f]|\\u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f])", re.IGNORECASE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, *, advice: str = "Save it as UTF-8.") -> str:
    """The text of a UTF-8 file, a byte-order mark at its start dropped, line ends as "\\n".

    Args:
        path: the file; a pipe will do.
        advice: what to do about a file in another encoding.

    Raises:
        AttritionError: it cannot be read, is larger than MOST_BYTES, is not UTF-8, or holds U+0000; the message names it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise AttritionError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except ValueError as error:  # a name that holds U+0000
        raise AttritionError(f"{str(path)!r} cannot name a file: {error}.") from error
    if len(data) > MOST_BYTES:
        raise AttritionError(
            f"{path}: larger than {MOST_BYTES:,} bytes, which is more than such a file needs. Is it the right one?"
        )
    return decoded(data, str(path), advice=advice).replace("\r\n", "\n").replace("\r", "\n")


def decoded(data: bytes, where: str, *, advice: str = "Save it as UTF-8.") -> str:
    """UTF-8 bytes as text, without a byte-order mark at the start.

    Raises:
        AttritionError: they are not UTF-8, or hold U+0000, as UTF-16 does.

    >>> decoded("fünf".encode("latin-1"), "mine.csv")
    Traceback (most recent call last):
    attrition.names.AttritionError: mine.csv: not UTF-8 text (byte 1). Save it as UTF-8.
    """
    guess = " It seems to be UTF-16." if data.startswith(_UTF16) else ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AttritionError(f"{where}: not UTF-8 text (byte {error.start}).{guess} {advice}") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise AttritionError(f"{where}, line {line}: the character U+0000. Is the file UTF-16, or no text? {advice}")
    return text


def is_there(path: Path) -> bool:
    """Return True if a file or folder of this name exists; False for a name that no file can have.

    >>> is_there(Path("x" * 10_000)), is_there(Path("\\0"))
    (False, False)
    """
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def parse_json(text: str, where: str) -> dict[str, Any]:
    """The object that a JSON text is.

    Raises:
        AttritionError: it is not JSON (nor are NaN and Infinity), not an object, names a key twice, is nested deeper than
            MOST_LEVELS, or holds half a surrogate pair or a control character.

    >>> parse_json('{"f1": NaN}', "metrics.json")
    Traceback (most recent call last):
    attrition.names.AttritionError: metrics.json: not JSON: NaN is no number of JSON.
    """
    try:
        value = JSON.decode(text)
    except json.JSONDecodeError as error:
        raise AttritionError(f"{where}, line {error.lineno}: not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:
        raise AttritionError(f"{where}: not JSON: {_sentence(error)}") from error
    if not isinstance(value, dict):
        raise AttritionError(f"{where}: a JSON object is expected, not {type(value).__name__}.")
    refuse_depth(value, where)
    if "\\ud" in text.lower() and not is_text(json.dumps(value, ensure_ascii=False)):
        raise AttritionError(f"{where}: half a surrogate pair, which is no text. Was the file changed by hand?")
    if control := _CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise AttritionError(f"{where}, line {line}: a control character ({control[0]!a}), which is no text. Take it out.")
    return value


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The table that a TOML text is.

    Raises:
        AttritionError: it is not TOML, or is nested deeper than MOST_LEVELS.

    >>> parse_toml("seeds = [1, 2", "mine.toml")
    Traceback (most recent call last):
    attrition.names.AttritionError: mine.toml: not TOML: Unclosed array (at end of document).
    """
    try:
        value = tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:  # also a number of more digits than Python reads
        raise AttritionError(f"{where}: not TOML: {_sentence(error)}") from error
    refuse_depth(value, where)
    return value


def refuse_depth(value: Any, where: str) -> None:
    """Refuse lists and tables nested deeper than MOST_LEVELS, before anything walks them by recursion."""
    level = [value]
    for _ in range(MOST_LEVELS):
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [item for items in inner for item in items]
        if not level:
            return
    raise _too_deep(where)


def is_text(text: str) -> bool:
    """Return True if UTF-8 can encode a string: JSON and file names may contain half a surrogate pair.

    >>> is_text("fünf"), is_text("\\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(where: str) -> AttritionError:
    return AttritionError(f"{where}: nested deeper than {MOST_LEVELS} levels, which no file of ours is. Is it the right one?")


def _sentence(error: ValueError) -> str:
    return f"{str(error).partition('; use sys.')[0].rstrip('.')}."


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
"""Decodes JSON as its standard has it: no NaN, and no key twice, of which Python would silently drop the first."""
