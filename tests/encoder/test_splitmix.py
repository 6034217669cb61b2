"""SplitMix64 compared with its published numbers, and the properties that masks need."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from attrition.encoder.splitmix import GOLDEN, mix, numbers, signed

# For the seed 1234567, as printed by the authors' program.
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_the_published_numbers() -> None:
    assert [mix(1234567 + n * GOLDEN) for n in range(1, 6)] == PUBLISHED
    drawn = numbers(torch.tensor([1234567]), (20,)).numpy()
    assert drawn.view(np.uint64).ravel().tolist() == PUBLISHED


def test_every_number_is_that_of_its_coordinates() -> None:
    """A tensor of four axes, compared with the formula number by number."""
    keys, shape = [mix(1), mix(2)], (2, 3, 5, 6)
    drawn = numbers(torch.tensor([signed(key) for key in keys]), shape)
    assert drawn.shape == (2, *shape)
    for key, of_learner in zip(keys, drawn, strict=True):
        for place in np.ndindex(*shape):
            row, head, query, cell = place
            index = (row << 34) + (head << 24) + (query << 12) + cell // 4
            expected = mix(key + (index + 1) * GOLDEN).to_bytes(8, "little")[cell % 4 * 2 :][:2]
            assert int(of_learner[place]).to_bytes(2, "little", signed=True) == expected


@pytest.mark.parametrize("shape", [(7, 8), (4, 2, 9, 9), (13,)])
def test_more_beside_and_behind_changes_nothing(shape: tuple[int, ...]) -> None:
    one, other = torch.tensor([11]), torch.tensor([-5, 11, 3])
    larger = tuple(size + 3 for size in shape)
    within = tuple(slice(size) for size in shape)
    assert torch.equal(numbers(other, larger)[1][within], numbers(one, shape)[0])


def test_every_value_is_as_likely_and_neighbours_know_nothing_of_each_other() -> None:
    keys = torch.tensor([signed(mix(5 + n * GOLDEN)) for n in range(4)])
    drawn = numbers(keys, (500, 512)).int()
    for bits in ((drawn >> 8) & 255, drawn & 255):
        assert stats.chisquare(torch.bincount(bits.flatten(), minlength=256).numpy()).pvalue > 1e-4
    dropped = (drawn < -26214).double()  # a tenth
    count = dropped[0].numel()
    pairs = [(dropped[:, :-1], dropped[:, 1:]), (dropped[:, :, :-1], dropped[:, :, 1:]), (dropped[0], dropped[1])]
    for one, another in pairs:
        correlation = float(torch.corrcoef(torch.stack([one.flatten(), another.flatten()]))[0, 1])
        assert abs(correlation) < 5 / count**0.5


def test_an_axis_has_room() -> None:
    with pytest.raises(AssertionError, match="too large an axis"):
        numbers(torch.tensor([0]), (2, 4 * 4096 + 1))
