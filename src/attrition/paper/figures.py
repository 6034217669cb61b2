"""The paper's Figures 3 to 6, drawn from this study (its Figures 2 and 7 are the first two figures of the page).

Each series of runs is a variant: a method, averaged over its orders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrition.analysis.evidence import by_series, from_results
from attrition.metrics.hops import mbt_LH, mft_LH
from attrition.paper.changes import change_per_language, changes
from attrition.paper.hop_maps import hop_figure, hop_table
from attrition.report.figures import Figure
from attrition.report.progress import progress_figure
from attrition.results.read import Results, Run
from attrition.results.spec import Series

MULTI_HOP = (
    ("figure5", "backward", "MBT", "eq. 14", mbt_LH),
    ("figure6", "forward", "MFT", "eq. 13", mft_LH),
)
"""Figures 5 and 6: name, direction, symbol, equation, and the function of one run."""


def slug(label: str) -> str:
    """Return a label as part of a file name.

    >>> slug("SHARED LoRA · r = 32")
    'shared-lora-r-32'
    """
    return re.sub(r"\W+", "-", label.lower()).strip("-")


def file_names(labels: Sequence[str]) -> dict[str, str]:
    """Return the part of a file name for each label: its slug, with a number if an earlier label has the same slug.

    >>> file_names(["mine", "mine!", "mine-2", "mine?"])
    {'mine': 'mine', 'mine!': 'mine-3', 'mine-2': 'mine-2', 'mine?': 'mine-4'}
    """
    names: dict[str, str] = {}
    slugs = [slug(label) or "x" for label in labels]
    for place, (label, own) in enumerate(zip(labels, slugs, strict=True)):
        name, number = own, 1
        while name in names.values() or (number > 1 and name in slugs) or (number == 1 and own in slugs[:place]):
            number += 1
            name = f"{own}-{number}"
        names[label] = name
    return names


def sequential_series(results: Results) -> dict[Series, tuple[Run, ...]]:
    """Return the series in which one learner learns language after language, so that later ones can change earlier ones."""
    return {series: runs for series, runs in results.series.items() if all(run.spec.method.order_matters for run in runs)}


def series_choices(results: Results) -> list[tuple[str, str]]:
    """Return the variants of the figures by series, each with its label; VANILLA first, as in the paper."""
    chosen = sorted(sequential_series(results), key=lambda series: series.kind != "VANILLA")
    labels = [results.series_labels[series] for series in chosen]
    names = file_names(list(results.series_labels.values()))
    return [(names[label], label) for label in labels]


def paper_figures(results: Results) -> tuple[Figure, ...]:
    """Return Figures 3, 5 and 6 of every sequential series, and Figure 4 for several models."""
    chosen = sequential_series(results)
    figures = []
    if chosen:
        evidence, utterances = by_series(results), from_results(results).utterances
        names = file_names(list(results.series_labels.values()))
        variants = {names[results.series_labels[series]]: evidence[series] for series in chosen}
        figures.append(change_per_language({name: changes(runs, utterances) for name, runs in variants.items()}))
        for figure, direction, symbol, equation, function in MULTI_HOP:
            title = f"Multi-hop {direction} transfer ({figure.replace('figure', 'Figure ')})"
            tables = {name: hop_table(runs, function, utterances) for name, runs in variants.items()}
            drawn = {name: table for name, table in tables.items() if len(table)}  # empty if no stage follows a measured one
            if drawn:
                figures.append(hop_figure(drawn, name=figure, title=title, symbol=symbol, equation=equation))
    if len({series.setup.model for series in results.series}) > 1:
        figures.insert(min(1, len(figures)), models_side_by_side(results))
    return tuple(figures)


def models_side_by_side(results: Results) -> Figure:
    """Return Figure 4: the progress of every method, with a panel for each model."""
    return progress_figure(results, name="figure4", title="Models side by side (Figure 4)")
