"""Further data of a language that a study names: read, checked, and encoded like the language's own data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from attrition.corpus.annotation import refuse_hidden_in_name
from attrition.corpus.base import Split, Utterance
from attrition.corpus.encoded import Encoded
from attrition.corpus.formats import BY_ENDING, Layout, read_utterances
from attrition.corpus.rows import OnProblem, in_place, refuse
from attrition.files import sha256_of
from attrition.names import AttritionError, look_up, unknown
from attrition.study.spec_orders import Portion

PortionFacts = Mapping[str, str | int]
"""The facts about further data in the results: `language`, `file` (its name), `sha256` and the number of `utterances`."""


def read_portion(
    name: str, portion: Portion, layout: Layout, slots: Sequence[str] | None, warn: OnProblem
) -> tuple[Utterance, ...]:
    """Return the utterances of a file of further data, in its order. The file's ending determines its format.

    Args:
        name: of the portion. Utterances without an id get ids from it.
        portion: the language and the file.
        layout: the columns of words and tags in the file.
        slots: of the corpus; None if slots are not learned.
        warn: called with a sentence on skipped parts.

    Raises:
        AttritionError: the file does not exist, is malformed or empty, or has a slot that the corpus lacks.
    """
    path = Path(portion.data)
    if not path.is_file():
        raise AttritionError(
            f"There is no file {portion.data!r} with further data of {portion.language}. Give one that exists."
        )
    kind = look_up(path.suffix, BY_ENDING, kind="ending of a data file", where=portion.data)
    found = []
    for line, utterance in read_utterances(path, kind, language=name, split="train", layout=layout, warn=warn):
        try:
            for slot in utterance.slots:
                refuse_hidden_in_name(slot.name)
                if slots is not None and slot.name not in slots:
                    raise unknown(slot.name, slots, kind="slot of the corpus")
        except AttritionError as error:
            refuse(in_place(portion.data, line, error, unit=kind.unit))
        found.append(utterance)
    if not found:
        raise AttritionError(f"{portion.data} holds no utterance. Fill the file, or take its stage out of the order.")
    return tuple(found)


def with_portions(
    encoded: Mapping[tuple[str, Split], Encoded],
    portions: Mapping[str, Portion],
    read: Callable[[str, Portion], Sequence[Utterance]],
    encode: Callable[[Sequence[Utterance], str], Encoded],
) -> tuple[dict[tuple[str, Split], Encoded], dict[str, PortionFacts]]:
    """Return the utterances including further data, and the facts about these for the results.

    All utterances of a portion are train utterances. Its training uses the dev utterances of its language, and it has no test
    utterances.

    Args:
        encoded: by language and split.
        portions: by name.
        read: returns the utterances of a portion.
        encode: encodes utterances like those of a language.
    """
    found, facts = dict(encoded), dict[str, PortionFacts]()
    for name, portion in portions.items():
        dev = encoded[portion.language, "dev"]
        train = encode(read(name, portion), portion.language)
        found |= {(name, "train"): train, (name, "dev"): dev, (name, "test"): dev.select(np.zeros(0, np.int64))}
        path = Path(portion.data)
        facts[name] = {"language": portion.language, "file": path.name, "sha256": sha256_of(path), "utterances": len(train)}
    return found, facts
