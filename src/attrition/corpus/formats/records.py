"""Converts records with named fields (JSONL, tables) to rows: the fields of words, tags, slots and text.

    {"tokens": ["um", "fünf"], "ner_tags": ["O", "B-time"]}                     (and "text", where blanks do not join words)
    {"text": "um fünf", "spans": [{"start": 3, "end": 7, "label": "time"}]}     (in characters, the end not included)
    {"id": "17", "intent": "alarm_set", "utt": "um fünf", "annot_utt": "um [time : fünf]"}                (a row of MASSIVE)

`id` and `intent` are optional. Tags may be numbers: indices of the table's class names, or of the layout's labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from attrition.corpus.annotation import BLANKS, word_ranges
from attrition.corpus.base import Slot
from attrition.corpus.formats.row import Layout, Row
from attrition.corpus.rows import text_field
from attrition.names import AttritionError

WORDS = ("words", "tokens")
TAGS = ("tags", "ner_tags", "labels", "ner")
SLOTS = ("slots", "spans", "entities", "label")
_STARTS, _ENDS = ("start", "start_offset"), ("end", "end_offset")
_NAMES = ("name", "label", "type", "entity", "entity_type", "entity_group")


def row_of_record(line: int, record: Mapping[str, Any], layout: Layout, names: Mapping[str, Sequence[str]]) -> Row:
    """Return a record as a row.

    Args:
        line: its line or row.
        record: the fields.
        layout: the fields of words and tags, if they do not have the usual names; the meaning of numbers.
        names: the class names of a field, if the table has them.

    Raises:
        AttritionError: a field is missing or has a wrong type.

    >>> row_of_record(1, {"tokens": ["um", "fünf"], "ner_tags": [0, 1]}, Layout(), {"ner_tags": ["O", "B-time"]}).tags
    ('O', 'B-time')
    """
    if "annot_utt" in record:
        return Row(line, annotated=dict(record))
    name, intent = _id(record), _intent(record, names.get("intent", ()))
    words_in, tags_in = _field(record, layout.token, WORDS, "token"), _field(record, layout.tag, TAGS, "tag")
    slots_in = next((each for each in SLOTS if each in record), None)
    if words_in in record and (tags_in in record or slots_in is None):
        words, tags = _texts(record, words_in), _tags(record, tags_in, names.get(tags_in) or layout.labels)
        if len(words) != len(tags) or not words:
            raise AttritionError(f"there are {len(words)} words and {len(tags)} tags. Give each word one tag.")
        return Row(line, name, intent, text_field(record, "text") if "text" in record else None, words, tags)
    if slots_in is None:
        raise AttritionError(
            f"the row has the fields {', '.join(record) or '(none)'}. Give it 'words' and 'tags' (or 'tokens' and 'ner_tags'), "
            "or 'text' and 'slots', or 'utt' and 'annot_utt'; or name its fields by corpus.token and corpus.tag."
        )
    text = text_field(record, "text")
    if not word_ranges(text):
        raise AttritionError("the text is empty. Give the row its text, or take it out.")
    return Row(line, name, intent, text, slots=_slots(record[slots_in], slots_in, text))


def _field(record: Mapping[str, Any], given: int | str | None, usual: Sequence[str], key: str) -> str:
    if isinstance(given, int):
        raise AttritionError(f"fields have names, but corpus.{key} is {given}. Give the name of a field.")
    return given or next((each for each in usual if each in record), usual[0])


def _id(record: Mapping[str, Any]) -> str:
    found = record.get("id", "")
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else text_field({"id": found}, "id")


def _intent(record: Mapping[str, Any], names: Sequence[str]) -> str:
    if isinstance(record.get("intent"), int) and names:
        return _named(record["intent"], "intent", names)
    return text_field(record, "intent") if "intent" in record else ""


def _texts(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = record.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AttritionError(f'field {name!r} must be a list of texts. Write ["...", "..."].')
    for word in value:
        if not word or word_ranges(word) != ((0, len(word)),):
            raise AttritionError(f"the word {word!r} is empty or holds a blank. Write each word by itself.")
    return tuple(value)


def _tags(record: Mapping[str, Any], name: str, labels: Sequence[str]) -> tuple[str, ...]:
    value = record.get(name)
    if not isinstance(value, list):
        raise AttritionError(f'field {name!r} must be a list of tags. Write ["O", "B-time"].')
    return tuple(tag if isinstance(tag, str) else _named(tag, name, labels) for tag in value)


def _named(number: object, field: str, labels: Sequence[str]) -> str:
    """Return the label with this number."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise AttritionError(f"field {field!r} holds {str(number)[:40]!r}, which is neither a text nor a whole number.")
    if not labels:
        raise AttritionError(
            f"field {field!r} holds numbers, and the file does not say what they mean. Set corpus.labels to the list "
            'of labels, as ["O", "B-PER", "I-PER"].'
        )
    if not 0 <= number < len(labels):
        raise AttritionError(f"field {field!r} holds {number}, but there are {len(labels)} labels, counted from 0.")
    return labels[number]


def _slots(given: object, field: str, text: str) -> tuple[Slot, ...]:
    """Return slots from objects: sorted, without blanks at their edges."""
    if not isinstance(given, list):
        raise AttritionError(f"field {field!r} must be a list. Write [] for an utterance without slots.")
    slots = sorted(_slot(item, text) for item in given)
    for before, after in pairwise(slots):
        if after.start < before.end:
            raise AttritionError(f"slots {before.name!r} and {after.name!r} overlap in {text!r}. Keep one of them.")
    return tuple(slots)


def _slot(item: object, text: str) -> Slot:
    start, end, name = _parts(item)
    if not (_is_place(start) and _is_place(end) and isinstance(name, str) and name and 0 <= start < end <= len(text)):
        raise AttritionError(
            f"{item!r} is not a slot of {text!r}. A slot has a 'name' and whole numbers 'start' and 'end', "
            f"0 <= start < end <= {len(text)}."
        )
    value = text[start:end]
    inside = Slot(start + len(value) - len(value.lstrip(BLANKS)), start + len(value.rstrip(BLANKS)), name)
    if inside.start >= inside.end:
        raise AttritionError(f"slot {item!r} holds blanks only. Give it its words, or take it out.")
    return inside


def _parts(item: object) -> tuple[Any, Any, Any]:
    """Return start, end and name of a slot, from an object or a list of three."""
    if isinstance(item, Mapping):
        start, end, name = (next((item[key] for key in keys if key in item), None) for keys in (_STARTS, _ENDS, _NAMES))
        return start, end, name
    if isinstance(item, list) and len(item) == 3:
        return item[0], item[1], item[2]
    return None, None, None


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
