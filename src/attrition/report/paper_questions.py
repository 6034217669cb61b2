"""What the paper's claims ask of a study: each function makes, or is, a question that the runs are put to."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product

from attrition.languages import LANGUAGES
from attrition.report.claims import Evidence, Found, Needs
from attrition.report.comparisons import (
    Sign,
    gap_differs,
    groups_differ,
    language_differs,
    method_mean,
    methods_differ,
    models_differ,
)
from attrition.results.read import Run

SMALL = 1.0
"""Points of F1 that the paper calls no substantial improvement (its own ranks differ by up to 1.1)."""

REST = "the others"

Ask = Callable[[Evidence], Sequence[Found]]

STABLE = "nb-NO ca-ES pt-PT el-GR"
"""The languages that the paper calls the most robust receivers."""


def _named_group(languages: str) -> Mapping[str, str]:
    """A group of named languages against all others of MASSIVE."""
    chosen = languages.split()
    return {locale: languages.replace(" ", ", ") if locale in chosen else REST for locale in LANGUAGES}


def named_differ(languages: str, measures: Sequence[str], *, gain: bool) -> Ask:
    """Named languages (their locales, with blanks between) against all others."""
    groups, name = _named_group(languages), languages.replace(" ", ", ")
    expected: Sign = 1 if gain else -1
    return lambda e: [groups_differ(e, groups, name, REST, measure, expected=expected) for measure in measures]


def by_attribute(attribute: Callable[[str], str], first: str, second: str, measures: Sequence[str], *, gain: bool) -> Ask:
    """Languages by what `attribute` says of their locales: those of `first` against those of `second`."""
    groups = {locale: attribute(locale) for locale in LANGUAGES}
    expected: Sign = 1 if gain else -1
    return lambda e: [groups_differ(e, groups, first, second, measure, expected=expected) for measure in measures]


def differ(first: str, second: str, measure: str, *, sign: Sign = 1, small: bool = False) -> Ask:
    """One method against another; `small`: the claim is that the difference is less than a point."""
    at_least, at_most = (-math.inf, SMALL) if small else (0.0, math.inf)
    return lambda e: [methods_differ(e, first, second, measure, expected=sign, at_least=at_least, at_most=at_most)]


def all_of(*asks: Ask) -> Ask:
    """Several questions as one."""
    return lambda evidence: [found for ask in asks for found in ask(evidence)]


def latin(locale: str) -> str:
    """Latin script or not."""
    return "Latin" if LANGUAGES[locale].latin else "non-Latin"


def vitality(locale: str) -> str:
    """Low, Mid or High, as `Language.vitality` has it."""
    return LANGUAGES[locale].vitality


def mid(locale: str) -> str:
    """Mid vitality or not."""
    return "Mid" if LANGUAGES[locale].vitality == "Mid" else REST


def script_type(locale: str) -> str:
    """Logographic or abugida scripts against alphabets, abjads and syllabaries."""
    kinds = LANGUAGES[locale].script_type.split("+")
    return "logographic or abugida" if {"logographic", "abugida"} & set(kinds) else REST


def branch(prefix: str) -> Callable[[str], str]:
    """The languages of one branch, its subdivisions included, against all others."""
    return lambda locale: prefix if LANGUAGES[locale].branch.startswith(prefix) else REST


def multi_is_best(evidence: Evidence) -> list[Found]:
    """MULTI against each other method that was run."""
    others = ("MULTI LoRA", "MONO", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")
    known = [kind for kind in others if evidence.of(kind)]
    return [methods_differ(evidence, "MULTI", kind, "final") for kind in known] or [Needs("runs of MULTI and of other methods")]


def rank_does_not_help(evidence: Evidence) -> list[Found]:
    """The highest rank of each LoRA method against the lowest: less than a point?"""
    found: list[Found] = []
    for kind in ("MULTI LoRA", "SHARED LoRA", "NON-SHARED LoRA"):
        ranks = evidence.ranks(kind)
        if len(ranks) > 1:
            ends = (ranks[-1], ranks[0])
            found.append(methods_differ(evidence, kind, kind, "final", ranks=ends, at_least=-math.inf, at_most=SMALL))
    return found or [Needs("one LoRA method at two ranks")]


def rank_does_not_help_transfer(evidence: Evidence) -> list[Found]:
    """The same of SHARED LoRA, on languages not yet learned."""
    ranks = evidence.ranks("SHARED LoRA")
    if len(ranks) < 2:
        return [Needs("SHARED LoRA at two ranks")]
    ends = (ranks[-1], ranks[0])
    return [
        methods_differ(evidence, "SHARED LoRA", "SHARED LoRA", "unseen", ranks=ends, at_least=-math.inf, at_most=SMALL),
    ]


def mid_scores_highest(evidence: Evidence) -> list[Found]:
    """Mid against Low and against High, method by method."""
    groups = {locale: vitality(locale) for locale in LANGUAGES}
    kinds = ("MULTI", "MONO", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")
    runs = [evidence.of(kind) for kind in kinds if evidence.of(kind)]
    return [
        groups_differ(evidence, groups, "Mid", other, "final", expected=1, runs=each)
        for each, other in product(runs, ("Low", "High"))
    ] or [Needs("a finished run")]


def script_under_both_cuts(evidence: Evidence) -> list[Found]:
    """The script claim again, once for each way in which the same languages were cut into words."""
    by_cut = _by_cut(evidence)
    if len(by_cut) < 2:
        return [Needs(TWICE)]
    groups = {locale: latin(locale) for locale in LANGUAGES}
    return [groups_differ(evidence, groups, "non-Latin", "Latin", "change", expected=-1, runs=runs) for runs in by_cut]


def due_to_blanks(evidence: Evidence) -> list[Found]:
    """How much more the languages in non-Latin scripts lose when words are cut at blanks, which give slot edges away."""
    by_cut = _by_cut(evidence)
    at_blanks = [runs for runs in by_cut if not runs[0].series.cuts]
    others = [runs for runs in by_cut if runs[0].series.cuts]
    if not at_blanks or not others:
        return [Needs(TWICE)]
    groups = {locale: latin(locale) for locale in LANGUAGES}
    return [gap_differs(at_blanks[0], runs, groups, ("non-Latin", "Latin"), "change", expected=-1) for runs in others]


TWICE = "the same study twice, with th-TH, km-KH and my-MM (and ja-JP, zh-CN) cut at blanks and into characters"


def _by_cut(evidence: Evidence) -> list[tuple[Run, ...]]:
    """The sequential runs of one method and model, for each cut into words."""
    sequential = evidence.sequential()
    if not sequential:
        return []
    same = sequential[0].series
    return [
        runs
        for series, runs in evidence.results.series.items()
        if (series.kind, series.rank, series.model) == (same.kind, same.rank, same.model)
    ]


def models_alike(evidence: Evidence) -> list[Found]:
    """What the sequential methods forget with each model."""
    by_model = evidence.by_model()
    if len(by_model) < 2:
        return [Needs("the same study with a second model")]
    return [
        _told(evidence.results.models[model], method_mean(of_model, kind, "change", expected=-1))
        for model, of_model in by_model.items()
        for kind in ("VANILLA", "SHARED LoRA")
        if of_model.of(kind)
    ] or [Needs("sequential runs with both models")]


def same_pattern(evidence: Evidence) -> list[Found]:
    """The order of methods in Table 1, put to each model."""
    by_model = evidence.by_model()
    if len(by_model) < 2:
        return [Needs("the same study with a second model")]
    falling = ("MULTI", "NON-SHARED LoRA", "VANILLA", "SHARED LoRA")
    return [
        _told(evidence.results.models[model], methods_differ(of_model, higher, lower, "final"))
        for model, of_model in by_model.items()
        for higher, lower in pairwise(falling)
    ]


def xlmr_above_e5(evidence: Evidence) -> list[Found]:
    """The two models of the paper, method by method, known by their names."""
    by_model = evidence.by_model()
    xlmr = [name for name in by_model if "xlm-roberta" in name.lower() or "xlm-r" in name.lower()]
    e5 = [name for name in by_model if "e5" in name.lower()]
    if len(xlmr) != 1 or len(e5) != 1:
        return [Needs("the same study with XLM-R and with a multilingual E5")]
    names, sides = ("XLM-R", "E5"), (by_model[xlmr[0]], by_model[e5[0]])
    kinds = [kind for kind in ("MULTI", "MULTI LoRA", "MONO", "NON-SHARED LoRA", "SHARED LoRA") if sides[0].of(kind)]
    above: list[Found] = [models_differ(*sides, names, kind, expected=1) for kind in kinds]
    return [*above, models_differ(*sides, names, "VANILLA", expected=-1)]


def _told(model: str, found: Found) -> Found:
    """The same, with the model's name before it."""
    return replace(found, what=f"{model}: {found.what}")


def high_is_overwritten(evidence: Evidence) -> list[Found]:
    """High-vitality languages under LoRA, where the paper sees them struggle."""
    groups = {locale: vitality(locale) if vitality(locale) == "High" else REST for locale in LANGUAGES}
    runs = evidence.of("SHARED LoRA")
    if not runs:
        return [Needs("runs of SHARED LoRA")]
    return [groups_differ(evidence, groups, "High", REST, measure, expected=-1, runs=runs) for measure in ("final", "change")]


def german(evidence: Evidence) -> list[Found]:
    """German as the paper sees it: a gain when trained, an MBT below that of the best."""
    return [
        language_differs(evidence, "de-DE", "shift_growing", expected=1),
        language_differs(evidence, "de-DE", "mbt", expected=-1, others=STABLE.split()),
    ]


def in_branch(locale: str) -> str:
    """The branch without its subdivision in brackets; a language that the table lacks is related to none."""
    return LANGUAGES[locale].branch.split(" (")[0] if locale in LANGUAGES else locale


def in_script(locale: str) -> str:
    """The script; a language that the table lacks shares it with none."""
    return LANGUAGES[locale].script if locale in LANGUAGES else locale


def in_family(locale: str) -> str:
    """The family; a language that the table lacks is related to none."""
    return LANGUAGES[locale].family if locale in LANGUAGES else locale


def in_romance(locale: str) -> str:
    """Romance, or a group of its own."""
    return "Romance" if in_branch(locale) == "Romance" else locale
