"""Tagging schemes against seqeval: its strict schemes where a sequence is allowed, its default mode everywhere."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, Tokens

from attrition.corpus.schemes import SCHEMES, SchemeName, TagError, has_prefix, scheme_of, tag_spans
from attrition.names import UnknownNameError


def sequences(prefixes: str, length: int, names: tuple[str, ...] = ("x", "y-z")) -> list[list[str]]:
    tags = ["O", *(f"{prefix}-{name}" for prefix in prefixes for name in names)]
    return [list(sequence) for sequence in product(tags, repeat=length)]


@pytest.mark.parametrize(
    ("scheme", "oracle", "prefixes"),
    [("bio", IOB2, "BI"), ("iob1", IOB1, "BI"), ("bioes", IOBES, "BIES"), ("bilou", BILOU, "BILU")],
)
def test_what_a_scheme_allows_means_what_seqeval_takes_it_to_mean(scheme: SchemeName, oracle: Any, prefixes: str) -> None:
    checked = 0
    for tags in sequences(prefixes, 3):
        expected = [(found.start, found.end, found.tag) for found in Tokens(tags, oracle).entities]
        inside = {place for start, end, _ in expected for place in range(start, end)}
        if all((tag == "O") != (place in inside) for place, tag in enumerate(tags)):  # every tag is part of a slot
            checked += 1
            assert tag_spans(tags, scheme) == expected, tags
            assert tag_spans(tags) == expected, tags
    assert checked == 41, "as many ways to cut three words into slots of two names and none"


def test_what_a_scheme_does_not_allow_means_what_seqevals_default_mode_takes_it_to_mean() -> None:
    for prefixes, length in (("BI", 4), ("BIES", 3)):
        for tags in sequences(prefixes, length):
            expected = [(first, last + 1, name) for name, first, last in get_entities(tags)]
            assert tag_spans(tags) == expected, tags


def test_bilou_is_bioes_with_other_letters() -> None:
    for tags in sequences("BIES", 3):
        renamed = [{"E": "L", "S": "U"}.get(tag[0], tag[0]) + tag[1:] for tag in tags]
        assert tag_spans(renamed, "bilou") == tag_spans(tags, "bioes")


def test_plain_labels_are_runs_of_equal_labels() -> None:
    for tags in product(["O", "x", "B-y"], repeat=4):
        expected, place = [], 0
        for label, run in groupby(tags):
            length = len(list(run))
            if label != "O":
                expected.append((place, place + length, label))
            place += length
        assert tag_spans(tags, "plain") == expected


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O O", "bio"),
        ("O B-x I-x", "bio"),
        ("I-x I-x", "bio"),
        ("B-x E-x", "bioes"),
        ("S-x", "bioes"),
        ("U-x B-x", "bilou"),
        ("L-x S-x", "bioes"),
        ("x O y", "plain"),
        ("x B-y", "bio"),
        ("B I O", "bio"),
        ("B- O", "bio"),
    ],
)
def test_the_scheme_is_found_by_the_tags(tags: str, expected: str) -> None:
    assert scheme_of(tags.split()) == expected


@pytest.mark.parametrize(
    ("tags", "scheme", "place"),
    [
        ("O B-x time", "auto", 2),
        ("B-x S-x U-x", "auto", 2),
        ("O S-x", "bio", 1),
        ("E-x", "iob1", 0),
        ("B-x B", "auto", 1),
        ("L-x", "bioes", 0),
    ],
)
def test_a_tag_that_the_scheme_lacks_is_named_with_its_place(tags: str, scheme: SchemeName, place: int) -> None:
    with pytest.raises(TagError, match=r"is not a tag of \w+, whose tags are 'O', 'B-name'") as caught:
        tag_spans(tags.split(), scheme)
    assert caught.value.place == place
    assert repr(tags.split()[place]) in str(caught.value)


def test_an_empty_plain_label_is_no_label() -> None:
    with pytest.raises(TagError, match="is not a label"):
        tag_spans(["x", " "], "plain")


def test_an_unknown_scheme_is_a_sentence() -> None:
    assert SCHEMES[0] == "auto"
    with pytest.raises(UnknownNameError, match="Unknown tagging scheme 'iob2'"):
        tag_spans(["O"], "iob2")  # type: ignore[arg-type]
    assert not has_prefix("")
