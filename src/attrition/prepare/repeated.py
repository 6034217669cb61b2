"""Finds test utterances that are also trained on."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from attrition.corpus.base import Split
from attrition.corpus.encoded import Encoded
from attrition.names import counted
from attrition.study.spec_orders import Portion

MOST = 0.2
"""The share of test utterances above which a corpus's own train utterances get a warning.

Short utterances repeat in any corpus. In MASSIVE 1.1, 0.7% (en-US) to 14.4% (km-KH) of the test utterances are also train
utterances.
"""


def said_of_repeated(
    encoded: Mapping[tuple[str, Split], Encoded],
    trained: Collection[str],
    portions: Mapping[str, Portion],
    splits: Collection[Split],
) -> tuple[str, ...]:
    """Return warnings about utterances that are scored and also trained on.

    A file of further data gets a warning for any repeated utterance, the corpus's own train utterances above `MOST`.

    Args:
        encoded: the study's utterances, by language and split.
        trained: the languages and the portions that the study trains on.
        portions: the further data, by name.
        splits: those that are scored.
    """
    found = []
    for name, split in itertools.product(trained, splits):
        further = portions.get(name)
        language = further.language if further else name
        scored, train = encoded.get((language, split)), encoded.get((name, "train"))
        if not scored or not train:
            continue
        seen = set(_utterances(train))
        repeated = sum(each in seen for each in _utterances(scored))
        if repeated and (further or repeated > MOST * len(scored)):
            where = Path(further.data).name if further else f"the train utterances of {language}"
            found.append(
                f"{repeated:,} of {counted(len(scored), f'{split} utterance')} of {language} "
                f"({100 * repeated / len(scored):.0f}%) also {'occurs' if repeated == 1 else 'occur'} in {where}. "
                "Scores on them show memory, not learning. Remove them from one of the two."
            )
    return tuple(found)


def _utterances(encoded: Encoded) -> Iterator[bytes]:
    ids = encoded.ids.astype("<i4")
    return (ids[start:end].tobytes() for start, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True))
