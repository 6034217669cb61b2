"""What a study will cost, before it runs: arithmetic from counts, and this machine's own speed.

A forward pass costs 2 operations a parameter of a linear layer and sub-token, a backward pass twice that for what is trained
and once for what is only passed through (Kaplan et al. 2020, section 2.1). The rest of a transformer is not counted: it is
in the share of the machine's matrix-product rate that training reaches, which is an assumption stated with the estimate.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import torch

from attrition.encoder.precision import Precision
from attrition.methods import Trains
from attrition.names import AttritionError
from attrition.run.keys import evaluation_key
from attrition.run.prepare import Prepared
from attrition.run.side_by_side import largest_crews

EFFICIENCY: dict[Precision, float] = {"float32": 0.35, "bfloat16": 0.55}
"""Share of the machine's *float32* rate: what is not a matrix product is no faster in bfloat16."""
BYTES = 4


@dataclass(frozen=True)
class Estimate:
    """Seconds, peak memory and disk of a study; `operations_a_second` is what this machine's matrix products reached."""

    seconds: float
    memory_bytes: int
    disk_bytes: int
    operations_a_second: float


def matrix_rate(device: torch.device, size: int = 1024, repeats: int = 8) -> float:
    """Floating point operations a second of a large float32 matrix product, measured now."""
    left = torch.ones(size, size, device=device)
    torch.mm(left, left)
    began = time.perf_counter()
    for _ in range(repeats):
        torch.mm(left, left)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return repeats * 2 * size**3 / (time.perf_counter() - began)


def operations_a_token(prepared: Prepared, trains: Trains) -> tuple[float, float]:
    """Operations a sub-token of training and of evaluation."""
    linears = prepared.model.backbone.linears
    base = sum(num_out * num_in for num_out, num_in in linears.values())
    if trains.adapter is not None:
        own = sum(trains.adapter.rank * (num_out + num_in) for num_out, num_in in linears.values())
        return 4.0 * base + 6.0 * own, 2.0 * base
    return 6.0 * base, 2.0 * base


def estimate(prepared: Prepared, stored: frozenset[str] = frozenset(), scored: frozenset[str] = frozenset()) -> Estimate:
    """The cost of the stages that are not yet in `stored`, if no learner stops early, and of what is not yet in `scored`.

    Args:
        prepared: a study.
        stored: keys of stages that need not be trained.
        scored: keys of evaluations that need not be made.
    """
    rate = matrix_rate(prepared.device)
    encoded = prepared.encoded
    test_tokens = {language: each.num_tokens for language, each in prepared.scored_on.sets.items()}
    operations, disk = 0.0, 0
    for job in prepared.plan.jobs.values():
        trains, settings = job.choice.method.trains, job.choice.training
        train, score = operations_a_token(prepared, trains)
        tests = prepared.scored_on.of(job)
        if evaluation_key(job.key, tests) not in scored:
            operations += score * sum(test_tokens[language] for language in tests)
        if job.key in stored:
            continue
        disk += prepared.model.layout(trains).size * BYTES
        tokens = {split: sum(encoded[language, split].num_tokens for language in job.languages) for split in ("train", "dev")}
        operations += settings.epochs * (train * tokens["train"] + score * tokens["dev"])
    return Estimate(operations / (rate * EFFICIENCY[prepared.precision]), parameter_bytes(prepared), disk, rate)


def parameter_bytes(prepared: Prepared) -> int:
    """The encoder, and of the largest population that trains at once parameters, gradients and AdamW's two moments."""
    jobs = prepared.plan.jobs.values()
    sizes = {trains: prepared.model.layout(trains).size for trains in {job.choice.method.trains for job in jobs}}
    most = max(
        4 * BYTES * len(crew) * max(sizes[job.choice.method.trains] for job in crew) for crew in largest_crews(prepared, jobs)
    )
    return sum(tensor.numel() for tensor in prepared.model.base.values()) * BYTES + most


def refuse_too_large(prepared: Prepared) -> None:
    """Say before the first step that the parameters alone are more than the machine's memory.

    Raises:
        AttritionError: they are.
    """
    needed, there = parameter_bytes(prepared), memory_bytes(prepared.device)
    if there is not None and needed > there:
        raise AttritionError(
            f"The parameters of this study take {needed / 1e9:,.0f} GB while they are trained, and there are "
            f"{there / 1e9:,.0f} GB of memory. Lower a rank or machine.population, or take a smaller model."
        )


def memory_bytes(device: torch.device) -> int | None:
    """All memory of a device, or None where it cannot be told."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
