"""Dropout: its streams, its probability and its expectation."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor

from attrition.encoder.batch import Extent
from attrition.encoder.dropout import BITS, LEVELS, Dropout, MaskStream, draw_mask, scale_of, with_bits


def stream(seed: int) -> MaskStream:
    return MaskStream("masks", seed)


def extent(tokens: int, utterances: int = 1, longest: int = 1) -> Extent:
    return Extent(tokens, tokens, utterances, utterances, longest)


def hidden_mask(shape_MNH: tuple[int, int, int], seeds: list[int], tokens: list[int]) -> Tensor:
    dropout = Dropout([stream(seed) for seed in seeds], [extent(count) for count in tokens], hidden=0.3)
    mask = dropout.hidden_mask(shape_MNH)
    assert mask is not None
    return mask


def test_a_learner_draws_the_same_masks_alone_and_in_a_population() -> None:
    alone = hidden_mask((1, 6, 8), [7], [6])
    population = hidden_mask((3, 8, 8), [1, 7, 2], [8, 6, 5])
    assert alone.unique().tolist() == [0.0, pytest.approx(scale_of(0.3))]
    assert torch.equal(population[1, :6], alone[0])
    assert (population[1, 6:] > 0).all(), "no stream is drawn from for padding"


@pytest.mark.parametrize("dtype", BITS)
def test_a_learner_draws_the_same_bits_alone_and_in_a_population(dtype: torch.dtype) -> None:
    alone = Dropout([stream(7)], [extent(6)], adapter=0.3).adapter_bits((1, 6, 8), dtype)
    both = Dropout([stream(1), stream(7)], [extent(8), extent(6)], adapter=0.3).adapter_bits((2, 8, 8), dtype)
    assert alone is not None
    assert both is not None
    assert alone.dtype == both.dtype == BITS[dtype]
    assert alone.unique().tolist() == [-1, 0]
    assert torch.equal(both[1, :6], alone[0])
    assert (both[1, 6:] == -1).all()


def test_a_learner_draws_for_what_fills_it_up_wherever_it_is() -> None:
    """Alone the mask is one draw; beside another learner it is a corner of a larger mask."""
    own, other = extent(6)._replace(filled=8), extent(16)
    alone = Dropout([stream(7)], [own], hidden=0.3).hidden_mask((1, 8, 4))
    both = Dropout([stream(1), stream(7)], [other, own], hidden=0.3).hidden_mask((2, 16, 4))
    assert alone is not None
    assert both is not None
    assert torch.equal(both[1, :8], alone[0])


def test_the_stream_stands_at_the_same_place_afterwards() -> None:
    """A second mask is also the same: padding uses no random numbers."""
    seconds = []
    for width in (6, 9):
        dropout = Dropout([stream(7)], [extent(6)], hidden=0.3)
        dropout.hidden_mask((1, width, 8))
        second = dropout.hidden_mask((1, width, 8))
        assert second is not None
        seconds.append(second[0, :6])
    assert torch.equal(seconds[0], seconds[1])


def test_a_hashed_stream_draws_alike_alone_and_in_a_population_and_goes_on() -> None:
    def hashed(seed: int) -> MaskStream:
        return MaskStream("masks", seed, hashed=True)

    own, other = extent(6, 2, 3), extent(15, 3, 5)
    alone, both = hashed(7), [hashed(1), hashed(7)]
    for _ in range(2):
        one = Dropout([alone], [own], hidden=0.3, attention=0.3)
        two = Dropout(both, [other, own], hidden=0.3, attention=0.3)
        hidden, attention = one.hidden_mask((1, 6, 8)), one.attention_mask((1, 2, 3), 4)
        hiddens, attentions = two.hidden_mask((2, 15, 8)), two.attention_mask((2, 3, 5), 4)
        assert hidden is not None
        assert hiddens is not None
        assert attention is not None
        assert attentions is not None
        assert torch.equal(hiddens[1, :6], hidden[0])
        assert torch.equal(attentions[1, :2, :, :3, :3], attention[0])
        assert not torch.equal(hiddens[0, :6], hidden[0])
    going_on = hashed(0)
    going_on.set_state(alone.state())
    assert torch.equal(going_on.draw(9), alone.draw(9))
    assert going_on.seed() == alone.seed() != hashed(7).seed()


def test_bits_are_the_mask() -> None:
    x, mask = torch.randn(1000), draw_mask((1000,), 0.3, stream(0), torch.float32)
    for dtype, whole in BITS.items():
        bits = draw_mask((1000,), 0.3, stream(0), whole)
        assert torch.equal(with_bits(x.to(dtype), bits), x.to(dtype) * mask.to(dtype))


def test_attention_masks_in_a_population() -> None:
    own, other = extent(6, 2, 3), extent(5, 1, 5)
    alone = Dropout([stream(3)], [own], attention=0.3).attention_mask((1, 2, 3), 4)
    both = Dropout([stream(4), stream(3)], [other, own], attention=0.3).attention_mask((2, 2, 5), 4)
    assert alone is not None
    assert both is not None
    assert alone.unique().tolist() == [0.0, pytest.approx(scale_of(0.3))]
    assert torch.equal(both[1, :, :, :3, :3], alone[0])


def test_word_masks_in_a_population() -> None:
    alone = Dropout([stream(3)], [extent(1)], hidden=0.3).on_words(torch.ones(1, 2, 8), [2])
    both = Dropout([stream(4), stream(3)], [extent(1)] * 2, hidden=0.3).on_words(torch.ones(2, 5, 8), [5, 2])
    assert torch.equal(both[1, :2], alone[0])


def test_zero_probabilities_return_the_very_tensor_and_draw_nothing() -> None:
    used = stream(0)
    dropout = Dropout([used], [extent(6, 2, 3)])
    x = torch.randn(1, 6, 8)
    assert dropout.hidden_mask((1, 6, 8)) is None
    assert dropout.adapter_bits((1, 6, 8), torch.float32) is None
    assert dropout.attention_mask((1, 2, 3), 4) is None
    assert dropout.adapter_scale == 1
    assert dropout.on_words(x, [6]) is x
    assert torch.equal(used.draw(8), stream(0).draw(8))


def test_every_value_of_a_draw_is_as_likely() -> None:
    """A chi-squared test of the highest and of the lowest eight bits."""
    drawn = stream(1).draw(1_000_000).int()
    for bits in ((drawn >> 8) & 255, drawn & 255):
        assert stats.chisquare(torch.bincount(bits, minlength=256).numpy()).pvalue > 1e-4


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("probability", [0.05, 0.1, 0.5, 0.9])
def test_share_and_expectation(probability: float, hashed: bool) -> None:
    count = 1_000_000
    mask = draw_mask((count,), probability, MaskStream("masks", 0, hashed=hashed), torch.float32)
    # Five standard deviations of a binomial share.
    bound = 5 * (probability * (1 - probability) / count) ** 0.5
    assert abs(float((mask == 0).float().mean()) - probability) < bound + 1 / LEVELS
    assert abs(float(mask.double().mean()) * scale_of(probability) - 1) < bound / (1 - probability) + 1e-6


def test_the_probability_is_rounded_and_the_scale_with_it() -> None:
    """0.1 is 6554 / 65536 = 0.100006; the scale 65536 / (65536 - 6554)."""
    mask = draw_mask((1000,), 0.1, stream(0), torch.float64)
    assert set(mask.tolist()) == {0.0, 1.0}
    assert scale_of(0.1) == 65536 / 58982
    nothing_dropped = draw_mask((1000,), 1e-6, stream(0), torch.float32)
    assert set(nothing_dropped.tolist()) == {1.0}
    assert scale_of(1e-6) == 1


@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (5, 7), (0, 3)])
def test_shapes_that_are_no_multiple_of_four(shape: tuple[int, ...]) -> None:
    mask = draw_mask(shape, 0.5, stream(0), torch.bfloat16)
    assert mask.shape == shape
    assert mask.dtype == torch.bfloat16
