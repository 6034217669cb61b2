"""Stores a learner's trainable parameters as one row, and a population's as one matrix.

All tensors of a learner form a vector of P floats, sorted into groups with equal learning rate and weight decay. A population
is `[M, P]`: clipping is a norm over rows, removing a learner drops its row, a checkpoint is one tensor. Learners of different
LoRA rank use the layout of the largest rank, padded with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

HEAD_WEIGHT, HEAD_BIAS = "classifier.weight", "classifier.bias"


class Group(NamedTuple):
    """Parameters with one learning rate and one weight decay: columns `start:end`."""

    head: bool
    decayed: bool
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """The position of each tensor: names, shapes and first columns, sorted by group."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @staticmethod
    def of(shapes: Mapping[str, tuple[int, ...]]) -> Layout:
        """Return the layout of tensors with these shapes.

        >>> layout = Layout.of({"classifier.bias": (2,), "q.lora_A": (1, 3), "x.LayerNorm.weight": (3,)})
        >>> [(name, start) for name, start in layout.starts.items()]
        [('q.lora_A', 0), ('x.LayerNorm.weight', 3), ('classifier.bias', 6)]
        """
        return Layout(tuple(sorted(shapes.items(), key=lambda item: (_is_head(item[0]), not _is_decayed(item[0])))))

    @cached_property
    def starts(self) -> dict[str, int]:
        """Return the first column of each tensor."""
        starts, at = {}, 0
        for name, shape in self.shapes:
            starts[name] = at
            at += _count(shape)
        return starts

    @cached_property
    def size(self) -> int:
        """Return P, the number of parameters of one learner."""
        return sum(_count(shape) for _, shape in self.shapes)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Return the groups in column order."""
        groups: list[Group] = []
        for name, shape in self.shapes:
            start = self.starts[name]
            head, decayed = _is_head(name), _is_decayed(name)
            if groups and (groups[-1].head, groups[-1].decayed) == (head, decayed):
                groups[-1] = groups[-1]._replace(end=start + _count(shape))
            else:
                groups.append(Group(head, decayed, start, start + _count(shape)))
        return tuple(groups)

    def views(self, flat_MP: Tensor) -> dict[str, Tensor]:
        """Return each tensor of the population, [M, *shape], as a view."""
        return {
            name: flat_MP[:, self.starts[name] : self.starts[name] + _count(shape)].view(len(flat_MP), *shape)
            for name, shape in self.shapes
        }

    def pack(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Return one learner's tensors as a vector [P]; the tensors are copied."""
        flat = torch.empty(self.size)
        for name, shape in self.shapes:
            start = self.starts[name]
            flat[start : start + _count(shape)] = tensors[name].reshape(-1)
        return flat

    def resized(self, flat_P: Tensor, to: Layout) -> Tensor:
        """Return a vector of this layout in the layout `to`, which has the same names: tensors are cut or padded with zeros.

        LoRA factors of rank r equal factors of a larger rank with zeros in the extra rows of A and columns of B. These stay
        zero in training: their gradients are products with each other, and AdamW and weight decay keep 0 at 0.

        >>> two, three = Layout.of({"q.lora_B": (2, 2)}), Layout.of({"q.lora_B": (2, 3)})
        >>> two.resized(torch.tensor([1.0, 2.0, 3.0, 4.0]), three)
        tensor([1., 2., 0., 3., 4., 0.])
        """
        return flat_P if self == to else self.taken(flat_P.unsqueeze(0), [0], to)[0]

    def taken(self, flat_MP: Tensor, rows: Sequence[int], to: Layout) -> Tensor:
        """Return a copy of a population's `rows` in the layout `to`; see `resized`."""
        if self == to:
            return flat_MP[list(rows)]
        found_MP = flat_MP.new_zeros(len(rows), to.size)
        ours, theirs = self.views(flat_MP), to.views(found_MP)
        assert list(ours) == list(theirs), "layouts of other tensors"
        for name, tensor in ours.items():
            common = [slice(min(sizes)) for sizes in zip(tensor.shape[1:], theirs[name].shape[1:], strict=True)]
            theirs[name][:, *common] = tensor[:, *common][list(rows)]
        return found_MP

    def unpack(self, flat_P: Tensor) -> dict[str, Tensor]:
        """Return one learner's tensors by name, as views of its vector."""
        return {name: view[0] for name, view in self.views(flat_P.unsqueeze(0)).items()}


def _is_head(name: str) -> bool:
    return name in (HEAD_WEIGHT, HEAD_BIAS)


def _is_decayed(name: str) -> bool:
    # ModernBERT and EuroBERT call a norm `attn_norm` or `input_layernorm`.
    is_norm = "LayerNorm" in name or "layer_norm" in name or name.removesuffix(".weight").endswith("norm")
    return not (name.endswith("bias") or is_norm)


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
