"""Further data of a language that a study names: read, checked, and encoded as the language's own."""

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
"""What results say of further data: `language`, `file` (its name), `sha256` and the number of `utterances`."""


def read_portion(
    name: str, portion: Portion, layout: Layout, slots: Sequence[str] | None, warn: OnProblem
) -> tuple[Utterance, ...]:
    """Return the utterances of a file of further data, in its order. The ending of the file says its format.

    Args:
        name: of the portion. Utterances without an id are named after it.
        portion: the language and the file.
        layout: where words and tags are in the file.
        slots: of the corpus; None where slots are not learned.
        warn: told of what was skipped.

    Raises:
        AttritionError: the file is not there, is malformed or empty, or has a slot that the corpus lacks.
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
    """Return the utterances with those of further data, and what results say of these.

    A portion has train utterances only: all of its file. It is trained against the dev utterances of its language, and has no
    test utterances.

    Args:
        encoded: by language and split.
        portions: by name.
        read: gives the utterances of a portion.
        encode: encodes utterances as those of a language.
    """
    found, facts = dict(encoded), dict[str, PortionFacts]()
    for name, portion in portions.items():
        dev = encoded[portion.language, "dev"]
        train = encode(read(name, portion), portion.language)
        found |= {(name, "train"): train, (name, "dev"): dev, (name, "test"): dev.select(np.zeros(0, np.int64))}
        path = Path(portion.data)
        facts[name] = {"language": portion.language, "file": path.name, "sha256": sha256_of(path), "utterances": len(train)}
    return found, facts
