"""Tensors as a vector and back."""

from __future__ import annotations

import pytest
import torch

from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT, Group, Layout

SHAPES = {
    HEAD_BIAS: (2,),
    "a.weight": (2, 3),
    "a.bias": (2,),
    HEAD_WEIGHT: (2, 3),
    "x.LayerNorm.weight": (3,),
    "sa_layer_norm.weight": (4,),
    "q.lora_A": (1, 3),
    "scalar": (),
}


def random(stream_seed: int = 0) -> dict[str, torch.Tensor]:
    stream = torch.Generator().manual_seed(stream_seed)
    return {name: torch.randn(shape, generator=stream) for name, shape in SHAPES.items()}


def test_pack_and_unpack_are_inverse() -> None:
    layout, tensors = Layout.of(SHAPES), random()
    flat = layout.pack(tensors)
    assert flat.shape == (layout.size,) == (2 + 6 + 2 + 6 + 3 + 4 + 3 + 1,)
    back = layout.unpack(flat)
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)


def test_groups_by_hand() -> None:
    """With decay: a.weight 6, lora_A 3, scalar 1; without: a.bias 2, norms 3 + 4; the head's weight 6 and bias 2."""
    assert Layout.of(SHAPES).groups == (
        Group(head=False, decayed=True, start=0, end=10),
        Group(head=False, decayed=False, start=10, end=19),
        Group(head=True, decayed=True, start=19, end=25),
        Group(head=True, decayed=False, start=25, end=27),
    )


def test_a_population_is_seen_through_views() -> None:
    layout = Layout.of(SHAPES)
    members = [random(1), random(2)]
    flat_MP = torch.stack([layout.pack(each) for each in members])
    views = layout.views(flat_MP)
    for name, shape in SHAPES.items():
        assert views[name].shape == (2, *shape)
        assert all(torch.equal(views[name][row], members[row][name]) for row in range(2))
    views["a.weight"][1, 0, 0] = 42
    assert (flat_MP == 42).sum() == 1
    assert flat_MP[1, layout.starts["a.weight"]] == 42


def test_packing_copies() -> None:
    layout, tensors = Layout.of(SHAPES), random()
    flat = layout.pack(tensors)
    flat.zero_()
    assert tensors["a.weight"].abs().min() > 0


def test_the_order_given_does_not_matter_within_a_group_but_is_kept() -> None:
    layout = Layout.of({"b.weight": (1,), "a.weight": (1,)})
    assert layout.starts == {"b.weight": 0, "a.weight": 1}


def test_a_missing_tensor_is_our_own_mistake() -> None:
    with pytest.raises(KeyError):
        Layout.of(SHAPES).pack({HEAD_BIAS: torch.zeros(2)})
