"""What is replayed of a learned language that has no train utterances."""

from __future__ import annotations

from collections.abc import Callable

from attrition.prepare.materials import with_memory
from attrition.prepare.prepare import Prepared
from attrition.study.spec import Study


def test_half_of_the_dev_utterances_are_replayed_and_only_the_others_scored(
    make_study: Callable[..., Study], prepared_of: Callable[[Study], Prepared]
) -> None:
    encoded = dict(prepared_of(make_study()).encoded)
    whole = encoded["de-DE", "dev"]
    assert with_memory(encoded, ["de-DE"]) == encoded
    encoded["de-DE", "train"] = whole.select(whole.lengths[:0])
    found = with_memory(encoded, ["de-DE"])
    memory, scored = (set(found["de-DE", split].utterance_ids.tolist()) for split in ("train", "dev"))
    assert (len(memory), len(scored)) == (3, 3)
    assert memory | scored == set(whole.utterance_ids.tolist())
    assert found["en-US", "dev"] is encoded["en-US", "dev"]
