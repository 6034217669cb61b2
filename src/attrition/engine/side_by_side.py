"""How many learners train side by side where the study leaves it to the machine.

On a CPU one at a time: several are no faster (measured on two cores, multilingual-E5-small, rank 32, products in bfloat16,
batches of 8: 81 utterances a second for one, 72, 84 and 94 for two, four and eight; batches of 32: 98, and 110, 117 and 69; in
float32, batches of 8: 82, and 72, 75 and 33). On a GPU as many as its free memory holds. Should the estimate be too high for
what else is there, `attrition.training.memory` makes the population smaller.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from attrition.encoder.precision import DTYPES
from attrition.prepare.prepare import Prepared
from attrition.study.plan import Job
from attrition.training.learner import in_common

BYTES = 4
RESERVE = 0.15
"""Share of the free memory that is left alone: products need room to work in, and memory is handed out in blocks."""


@dataclass(frozen=True)
class Widths:
    """What an encoder's need for memory depends on; `product` is the size of a number in its products, `base` all of them."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    classes: int
    product: int
    base: int

    @staticmethod
    def of(prepared: Prepared) -> Widths:
        """Those of a study's encoder, which is one that takes populations."""
        config = prepared.model.pretrained.config
        return Widths(
            layers=config.num_hidden_layers,
            hidden=config.hidden_size,
            intermediate=config.intermediate_size,
            heads=config.num_attention_heads,
            classes=len(prepared.labels),
            product=torch.empty(0, dtype=DTYPES[prepared.precision]).element_size(),
            base=sum(num_out * num_in for num_out, num_in in prepared.model.backbone.linears.values()),
        )


@dataclass(frozen=True)
class Need:
    """What a learner's need for memory depends on: its parameters, rank, utterances in a batch, the longest's sub-tokens."""

    parameters: int
    rank: int
    batch_size: int
    longest: int

    @staticmethod
    def of(prepared: Prepared, job: Job) -> Need:
        """That of one stage's learner, which has LoRA factors."""
        trains = job.choice.method.trains
        assert trains.adapter is not None
        longest = max(int(prepared.encoded[language, "train"].lengths.max(initial=1)) for language in job.languages)
        size = prepared.model.layout(trains).size
        return Need(size, trains.adapter.rank, job.choice.training.batch_size, longest)

    def beside(self, other: Need) -> Need:
        """What each of two takes when they train side by side: as much as the larger, along every side."""
        return Need(*(max(one, two) for one, two in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def learner_bytes(need: Need, widths: Widths) -> int:
    """Memory that one more learner takes on a GPU: parameters, gradients, two moments, and what a step keeps for its way back.

    The weights of its best epoch are not there but in the processor's memory. For each sub-token and layer a step with dropout
    everywhere keeps, in the precision of products: the input of the factors and their mask for four groups of linear layers,
    queries, keys, values and what attention mixes of them, both sides of the feed-forward's activation, and what the factors
    make; in float32: residual streams and masks around two norms; three tables of attention, over all sub-tokens of the
    utterance. The way back itself works in as much as one layer keeps. All utterances are taken to be as long as the longest:
    batches are of like length, and one of them is the longest.
    """
    kept = widths.product * (2 * (3 * widths.hidden + widths.intermediate) + 4 * widths.hidden + 2 * widths.intermediate)
    kept += widths.product * 6 * need.rank
    kept += BYTES * 6 * widths.hidden
    kept += (2 * BYTES + widths.product) * widths.heads * need.longest
    tokens = need.batch_size * need.longest
    around = BYTES * (6 * widths.hidden + 3 * widths.classes)  # embeddings and classifier
    return 4 * BYTES * need.parameters + tokens * ((widths.layers + 1) * kept + around)


def most_that_fit(needs: Sequence[Need], widths: Widths, free_bytes: int) -> int:
    """How many of `needs`, from the first on, fit side by side into what is free; at least 1.

    Merging one learner's factors into the encoder, to score it, takes a copy of the encoder in float32 and one in the precision
    of products.

    >>> widths = Widths(layers=1, hidden=10, intermediate=10, heads=1, classes=2, product=4, base=1_000)
    >>> need = Need(parameters=100, rank=1, batch_size=1, longest=10)
    >>> learner_bytes(need, widths)
    23120
    >>> [most_that_fit([need] * 8, widths, free) for free in (0, 64_000, 119_000, 10**9)]
    [1, 2, 4, 8]
    """
    left = (1 - RESERVE) * free_bytes - (BYTES + widths.product) * widths.base
    largest = itertools.accumulate(needs, Need.beside)
    return max([1, *(count for count, need in enumerate(largest, 1) if count * learner_bytes(need, widths) <= left)])


def free_bytes(device: torch.device) -> int:
    """Memory of a GPU that nobody uses, what torch holds back for itself included."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def crew(prepared: Prepared, ready: Sequence[Job]) -> list[Job]:
    """The jobs that are trained together: the first, and those of the nearest ranks that can stand beside it.

    Args:
        prepared: the study.
        ready: jobs of which none waits for another; at least one.
    """
    first = ready[0]
    trains, setting = first.choice.method.trains, prepared.study.machine.population
    size = 1 if setting == "auto" and prepared.device.type == "cpu" else setting
    if size == 1 or trains.adapter is None or not prepared.model.backbone.populations or not _takes_others(first):
        return [first]
    rank = trains.adapter.rank
    alike = [job for job in ready if _takes_others(job) and _traits(job) == _traits(first)]
    alike.sort(key=lambda job: abs(_rank(job) - rank))
    if size == "auto":
        needs = [Need.of(prepared, job) for job in alike]
        size = most_that_fit(needs, Widths.of(prepared), free_bytes(prepared.device))
    return alike[:size]


def populations(prepared: Prepared, jobs: Iterable[Job]) -> list[list[Job]]:
    """Part jobs into those that train side by side, in the sequence of their first ones.

    The jobs alone decide, not which of them are finished when: whoever trains them where, the same learners are side by side,
    and sums are rounded alike. Only jobs at the same place of their chains come together, so that no population waits for
    itself.
    """
    left: dict[int, dict[str, Job]] = {}
    place: dict[str, int] = {}
    for job in jobs:
        place[job.key] = len(place)
        left.setdefault(len(job.chain), {})[job.key] = job
    found = []
    for level in left.values():
        while level:
            found.append(crew(prepared, list(level.values())))
            for job in found[-1]:
                del level[job.key]
    return sorted(found, key=lambda together: min(place[job.key] for job in together))


def largest_crews(prepared: Prepared, jobs: Iterable[Job]) -> list[list[Job]]:
    """The largest population of each kind of learner."""
    largest: dict[object, list[Job]] = {}
    for each in populations(prepared, jobs):
        if len(each) > len(largest.get(_traits(each[0]), ())):
            largest[_traits(each[0])] = each
    return list(largest.values())


def in_words(prepared: Prepared) -> str:
    """How many learners train side by side and why, in a sentence; empty where no more than one could."""
    jobs = [job for job in prepared.plan.jobs.values() if job.choice.method.trains.adapter is not None]
    setting = prepared.study.machine.population
    if not jobs or not prepared.model.backbone.populations:
        return ""
    if setting == "auto" and prepared.device.type == "cpu":
        return 'Learners train one at a time: on a CPU several are no faster (machine.population = "auto").'
    most = max(len(each) for each in largest_crews(prepared, jobs))
    many = "Learners train one at a time" if most == 1 else f"Up to {most} learners train side by side"
    if setting != "auto":
        return f"{many} (machine.population = {setting})."
    return f'{many}: {free_bytes(prepared.device) / 1e9:,.1f} GB of GPU memory are free (machine.population = "auto").'


def _traits(job: Job) -> object:
    return in_common(job.choice.method.trains, job.choice.training)


def _rank(job: Job) -> int:
    adapter = job.choice.method.trains.adapter
    assert adapter is not None
    return adapter.rank


def _takes_others(job: Job) -> bool:
    return all(hook.populations for hook in job.hooks)
