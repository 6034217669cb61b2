"""Decides which learners train side by side.

With `machine.population = "auto"` a CPU trains one learner at a time, since several are not faster there (measurements in
docs/log.md). A GPU trains as many as fit in its free memory. If the estimate is too high, `attrition.training.memory` makes the
population smaller.
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
"""Share of the free memory that stays unused, for work space and fragmentation."""


@dataclass(frozen=True)
class Widths:
    """The sizes that determine an encoder's memory; `product`: bytes of a number in products; `base`: linear weights."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    classes: int
    product: int
    base: int

    @staticmethod
    def of(prepared: Prepared) -> Widths:
        """Return the sizes of a study's encoder, which must accept several learners."""
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
    """The sizes that determine a learner's memory; `longest`: sub-tokens of its longest utterance."""

    parameters: int
    rank: int
    batch_size: int
    longest: int

    @staticmethod
    def of(prepared: Prepared, job: Job) -> Need:
        """Return the sizes of one stage's learner, which must be LoRA."""
        trains = job.choice.method.trains
        assert trains.adapter is not None
        longest = max(int(prepared.encoded[language, "train"].lengths.max(initial=1)) for language in job.languages)
        size = prepared.model.layout(trains).size
        return Need(size, trains.adapter.rank, job.choice.training.batch_size, longest)

    def beside(self, other: Need) -> Need:
        """Return the maximum of each size: what each learner takes when both train side by side."""
        return Need(*(max(one, two) for one, two in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def learner_bytes(need: Need, widths: Widths) -> int:
    """Return the bytes that one more learner takes on a GPU: parameters, gradients, two moments, and activations of a step.

    The weights of its best epoch are in CPU memory. With dropout everywhere, a step keeps for each sub-token and layer, in the
    precision of products: inputs and masks of the LoRA factors for four groups of linear layers; queries, keys, values and the
    output of attention; both sides of the feed-forward activation; outputs of the factors. In float32 it keeps residual
    streams and masks around two norms, and three attention matrices over all sub-tokens of the utterance. The backward pass
    needs as much as one layer keeps. All utterances count as the longest one: a batch holds utterances of similar length, and
    one batch holds the longest.
    """
    kept = widths.product * (2 * (3 * widths.hidden + widths.intermediate) + 4 * widths.hidden + 2 * widths.intermediate)
    kept += widths.product * 6 * need.rank
    kept += BYTES * 6 * widths.hidden
    kept += (2 * BYTES + widths.product) * widths.heads * need.longest
    tokens = need.batch_size * need.longest
    around = BYTES * (6 * widths.hidden + 3 * widths.classes)  # embeddings and classifier
    return 4 * BYTES * need.parameters + tokens * ((widths.layers + 1) * kept + around)


def most_that_fit(needs: Sequence[Need], widths: Widths, free_bytes: int) -> int:
    """Return how many of the first `needs` fit side by side into `free_bytes`; at least 1.

    To score one learner, its factors are merged into a copy of the encoder in float32 and one in the precision of products.

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
    """Return the free memory of a GPU, including the unused memory that torch has reserved."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def first_population(prepared: Prepared, ready: Sequence[Job]) -> list[Job]:
    """Return the jobs that train together: the first job, and compatible jobs of the nearest ranks.

    Args:
        prepared: the study.
        ready: at least one job; none waits for another.
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
    """Split jobs into groups that train side by side, in the order of their first jobs.

    The split depends on the jobs only, not on which stages finish first. So every worker trains the same learners side by
    side, with the same rounding. A group holds jobs at the same position of their chains, so that it never waits for itself.
    """
    left: dict[int, dict[str, Job]] = {}
    place: dict[str, int] = {}
    for job in jobs:
        place[job.key] = len(place)
        left.setdefault(len(job.chain), {})[job.key] = job
    found = []
    for level in left.values():
        while level:
            found.append(first_population(prepared, list(level.values())))
            for job in found[-1]:
                del level[job.key]
    return sorted(found, key=lambda together: min(place[job.key] for job in together))


def largest_populations(prepared: Prepared, jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the largest population of each kind of learner."""
    largest: dict[object, list[Job]] = {}
    for each in populations(prepared, jobs):
        if len(each) > len(largest.get(_traits(each[0]), ())):
            largest[_traits(each[0])] = each
    return list(largest.values())


def in_words(prepared: Prepared) -> str:
    """Return how many learners train side by side and why, in a sentence; empty if only one can."""
    jobs = [job for job in prepared.plan.jobs.values() if job.choice.method.trains.adapter is not None]
    setting = prepared.study.machine.population
    if not jobs or not prepared.model.backbone.populations:
        return ""
    if setting == "auto" and prepared.device.type == "cpu":
        return 'Learners train one at a time: on a CPU several at once are not faster (machine.population = "auto").'
    most = max(len(each) for each in largest_populations(prepared, jobs))
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
