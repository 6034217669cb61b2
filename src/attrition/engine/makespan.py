"""Estimates the time of a study with several workers by simulating the real schedule."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from attrition.engine.schedule import Schedule, Unit


def makespan(
    schedule: Schedule,
    training: Mapping[str, float],
    scoring: Mapping[str, float],
    slots: int,
    *,
    beginning: float = 0.0,
    chains: bool = False,
) -> float:
    """Return the seconds until the last of the schedule's stages is stored and scored.

    Args:
        schedule: of a whole study; this call empties it.
        training: by key, a stage's share of the seconds of its population.
        scoring: by key, seconds; meanwhile the next stage of the chain can start on another worker.
        slots: workers.
        beginning: seconds that each unit takes before its first step.
        chains: whether a worker continues with the next stage of its chain.

    >>> schedule = Schedule([("a",), ("b",), ("c",)], {"a": None, "b": "a", "c": None})
    >>> makespan(schedule, {"a": 2, "b": 2, "c": 3}, {"a": 1, "b": 1, "c": 1}, slots=2)
    6.0
    """
    now, idle = 0.0, slots
    events: list[tuple[float, int, str]] = []
    count = 0
    while True:
        while idle and (populations := schedule.take(chains=chains)):
            idle -= 1
            at = now + beginning
            for population in Unit(populations).populations:
                at += sum(training[key] for key in population)
                for key in population:
                    heapq.heappush(events, (at, count := count + 1, key))
                at += sum(scoring[key] for key in population)
            heapq.heappush(events, (at, count := count + 1, ""))
        if not events:
            return float(now)
        now, _, key = heapq.heappop(events)
        if key:
            schedule.stored(key)
        else:
            idle += 1
