"""A table and a figure of the new language's gain and the other languages' losses."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from attrition.report.figures import Figure, language_name
from attrition.report.tables import Column, Number, Table
from attrition.ship.candidates import Candidate

_GAIN, _LOSS, _WAY, _PART = "gain", "worst_loss", "way", "part"


def trade_table(found: Sequence[Candidate], chosen: Candidate) -> Table:
    """Return a row for each candidate, in points of F1 on dev utterances."""
    columns = (
        Column(title="Way"),
        Column(title="Gain", digits=1, signed=True, help="Of the new language."),
        Column(title="Worst loss", digits=1, help="The largest loss of another language."),
        Column(title="Language"),
        Column(title="Chosen"),
    )
    rows = tuple(
        (each.name, Number(value=each.gain), Number(value=each.worst[1]), each.worst[0], "yes" if each is chosen else "")
        for each in found
    )
    language = language_name(chosen.language)
    caption = f"Points of F1 on dev utterances. New language: {language}."
    if chosen.gain <= 0:
        caption += f" The chosen model gains nothing on {language}: train longer, or raise --margin."
    return Table(name="trade", title="Gain and loss", columns=columns, rows=rows, caption=caption)


def trade_figure(found: Sequence[Candidate], chosen: Candidate, margin: float) -> Figure:
    """Return a chart of the candidates: gain against worst loss of another language; a line marks the margin."""
    table = pd.DataFrame(
        [
            {_WAY: each.way, _PART: each.part, _LOSS: each.worst[1], _GAIN: each.gain, "is_chosen": each is chosen}
            for each in found
        ]
    )
    x = alt.X(f"{_LOSS}:Q", title="Worst loss of another language (points of F1)")
    y = alt.Y(f"{_GAIN}:Q", title=f"Gain of {language_name(chosen.language)} (points of F1)")
    base = alt.Chart(alt.NamedData("trade"))
    rule = alt.Chart(alt.NamedData("margin")).mark_rule(strokeDash=[4, 4]).encode(x="margin:Q")
    points = base.mark_point(filled=True, opacity=1).encode(
        x=x,
        y=y,
        color=alt.Color(f"{_WAY}:N", title=None, legend=alt.Legend(orient="top"), sort=list(dict.fromkeys(table[_WAY]))),
        shape=alt.Shape("is_chosen:N", legend=None, scale=alt.Scale(domain=[False, True], range=["circle", "diamond"])),
        size=alt.condition("datum.is_chosen", alt.value(260), alt.value(70)),
    )
    names = base.mark_text(align="left", dx=9, dy=-8).encode(x=x, y=y, text=f"{_PART}:N")
    caption = (
        "Each mark is one way to learn the language, on dev utterances; the diamond is chosen. A percentage is the share of "
        f"the trained weights. Right of the dashed line a language loses more than {margin:g} points."
    )
    return Figure(
        name="trade",
        title="Gain of the new language and worst loss of another",
        caption=caption,
        chart=(rule + points + names).properties(height=320),
        variants={"": {"trade": table, "margin": pd.DataFrame({"margin": [margin]})}},
    )
