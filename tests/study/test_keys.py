"""Recorded names of stages: a new setting at its default must change none of them.

A key that changes has every stored stage trained again. If numbers do change, raise `run.keys.FORMAT` and record anew.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from attrition.methods import METHODS, Full, LoRA
from attrition.methods.decay import RateDecay
from attrition.methods.ewc import EWC
from attrition.methods.hook import Hook
from attrition.methods.interpolation import Interpolation
from attrition.methods.merging import Mean, Ties
from attrition.methods.replay import Replay
from attrition.registry import Registry
from attrition.study.keys import StepInputs, code_of, merge_key, step_key
from attrition.training.settings import TrainingSettings

FIRST = StepInputs(
    model="fingerprint",
    labels=("O", "B-city", "I-city"),
    trains=Full(),
    training=TrainingSettings(),
    data=(("en-US", "0123456789abcdef", "fedcba9876543210"),),
    seed=0,
    chain=(("en-US",),),
)
SECOND = dataclasses.replace(FIRST, chain=(("en-US",), ("de-DE",)), parent="0011223344556677")

RECORDED: dict[str, tuple[StepInputs, str]] = {
    "full": (FIRST, "19f0c5dbe47ef7c1"),
    "second": (SECOND, "68b64b5276d188de"),
    "training": (dataclasses.replace(FIRST, training=TrainingSettings(epochs=3, learning_rate=1e-4)), "8909c48639aa7912"),
    "bfloat16": (dataclasses.replace(FIRST, precision="bfloat16"), "de59a1af5c1fae08"),
    "lora": (dataclasses.replace(FIRST, trains=LoRA()), "b1bcb7024de01af4"),
    "rank 8": (dataclasses.replace(FIRST, trains=LoRA(rank=8, alpha=16)), "76aa8510de2ffa37"),
    "replay": (dataclasses.replace(SECOND, hooks=(Replay(),)), "576b185dd90c20dd"),
    "replay 0.1": (dataclasses.replace(SECOND, hooks=(Replay(share=0.1),)), "e28da64d286873e2"),
    "ewc": (dataclasses.replace(FIRST, hooks=(EWC(strength=10),)), "a4e062c0aa4fc151"),
    "two hooks": (dataclasses.replace(SECOND, hooks=(RateDecay(), Interpolation(weight=0.3))), "214bf5464717b979"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_stage_keys(name: str) -> None:
    inputs, recorded = RECORDED[name]
    assert step_key(inputs) == recorded


def test_recorded_merge_keys() -> None:
    assert merge_key(["a", "b"], Mean()) == "6cf2d4b0d0927e41"
    assert merge_key(["a", "b"], Ties(density=0.3)) == "9f140030ff83b1d6"


def test_all_recorded_keys_differ() -> None:
    assert len({key for _, key in RECORDED.values()}) == len(RECORDED)


def test_an_alpha_that_is_the_rank_is_the_default() -> None:
    assert step_key(dataclasses.replace(FIRST, trains=LoRA(alpha=32))) == RECORDED["lora"][1]


OWN = """
from attrition.methods import Hook, Method

class Own(Hook):
    name = "own"
    def begin(self, stage): ...

OWN = Method(name="OWN", hooks=(Own(),))
"""


def test_a_users_hook_is_named_by_its_code(tmp_path: Path) -> None:
    """Also two files of one name; ours are named by their settings alone."""
    keys, codes = [], []
    registry: Any = Registry("method", "attrition.none", {}, type(METHODS["VANILLA"]))
    for number, text in enumerate((OWN, OWN + "# other\n", OWN)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "own.py").write_text(text)
        found, _ = registry.from_file(str(tmp_path / str(number) / "own.py"))
        keys.append(step_key(dataclasses.replace(SECOND, hooks=found.hooks)))
        codes.append(code_of(type(found.hooks[0])))
    assert keys[0] == keys[2] != keys[1]
    assert codes[0] == codes[2] != codes[1]
    again, _ = registry.from_file(str(tmp_path / "0" / "own.py"))
    assert isinstance(again.hooks[0], Hook)
    assert step_key(dataclasses.replace(SECOND, hooks=again.hooks)) == keys[0], "found after another file of its name"
