"""The claims of the paper's sections 4 and 5, each as the comparisons that would decide it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from attrition.languages import LANGUAGES
from attrition.report.claims import Claim, Evidence, Found, Needs, groups_differ, method_mean, methods_differ
from attrition.report.results import Results, Run

SMALL = 1.0
"""Points of F1 that the paper calls no substantial improvement (its own ranks differ by up to 1.1)."""

REST = "the others"

Ask = Callable[[Evidence], Sequence[Found]]


def paper_claims(results: Results) -> tuple[Claim, ...]:
    """Every claim with its verdict; on a generated corpus none is decided, for its languages are not real."""
    generated = any(run.spec.corpus.generated for run in results.runs)
    evidence = Evidence(results)
    nothing = (Needs("a corpus of real language: this one is generated"),)
    return tuple(
        Claim(section=section, title=title, found=nothing if generated else tuple(ask(evidence)))
        for section, title, ask in CLAIMS
    )


def _named_group(languages: str) -> Mapping[str, str]:
    """A group of named languages against all others of MASSIVE."""
    chosen = languages.split()
    return {locale: languages.replace(" ", ", ") if locale in chosen else REST for locale in LANGUAGES}


def _named_differ(languages: str, measures: Sequence[str], *, gain: bool) -> Ask:
    groups, name = _named_group(languages), languages.replace(" ", ", ")
    sign: dict[bool, Callable[[Evidence, str], Found]] = {
        True: lambda evidence, measure: groups_differ(evidence, groups, name, REST, measure, expected=1),
        False: lambda evidence, measure: groups_differ(evidence, groups, name, REST, measure, expected=-1),
    }
    return lambda evidence: [sign[gain](evidence, measure) for measure in measures]


def _by_attribute(attribute: Callable[[str], str], first: str, second: str, measures: Sequence[str], *, gain: bool) -> Ask:
    groups = {locale: attribute(locale) for locale in LANGUAGES}

    def ask(evidence: Evidence) -> list[Found]:
        if gain:
            return [groups_differ(evidence, groups, first, second, measure, expected=1) for measure in measures]
        return [groups_differ(evidence, groups, first, second, measure, expected=-1) for measure in measures]

    return ask


def _latin(locale: str) -> str:
    return "Latin" if LANGUAGES[locale].latin else "non-Latin"


def _vitality(locale: str) -> str:
    return LANGUAGES[locale].vitality


def _branch(prefix: str) -> Callable[[str], str]:
    return lambda locale: prefix if LANGUAGES[locale].branch.startswith(prefix) else REST


def _multi_is_best(evidence: Evidence) -> list[Found]:
    others = ("MULTI LoRA", "MONO", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")
    known = [kind for kind in others if evidence.of(kind)]
    return [methods_differ(evidence, "MULTI", kind, "final") for kind in known] or [Needs("runs of MULTI and of other methods")]


def _rank_does_not_help(evidence: Evidence) -> list[Found]:
    found: list[Found] = []
    for kind in ("MULTI LoRA", "SHARED LoRA", "NON-SHARED LoRA"):
        ranks = evidence.ranks(kind)
        if len(ranks) > 1:
            ends = (ranks[-1], ranks[0])
            found.append(methods_differ(evidence, kind, kind, "final", ranks=ends, margin=SMALL, claims_small=True))
    return found or [Needs("one LoRA method at two ranks")]


def _rank_does_not_help_transfer(evidence: Evidence) -> list[Found]:
    ranks = evidence.ranks("SHARED LoRA")
    if len(ranks) < 2:
        return [Needs("SHARED LoRA at two ranks")]
    ends = (ranks[-1], ranks[0])
    return [
        methods_differ(evidence, "SHARED LoRA", "SHARED LoRA", "unseen", ranks=ends, margin=SMALL, claims_small=True),
    ]


def _mid_scores_highest(evidence: Evidence) -> list[Found]:
    groups = {locale: _vitality(locale) for locale in LANGUAGES}
    kinds = ("MULTI", "MONO", "VANILLA", "SHARED LoRA", "NON-SHARED LoRA")
    runs = [evidence.of(kind) for kind in kinds if evidence.of(kind)]
    return [
        groups_differ(evidence, groups, "Mid", other, "final", expected=1, runs=each)
        for each, other in product(runs, ("Low", "High"))
    ] or [Needs("a finished run")]


def _script_under_both_cuts(evidence: Evidence) -> list[Found]:
    """The script claim again, once for each way in which the same languages were cut into words."""
    sequential = evidence.sequential()
    if not sequential:
        return [Needs("runs of VANILLA or SHARED LoRA")]
    kind, rank = sequential[0].series.kind, sequential[0].series.rank
    by_cut: dict[str, tuple[Run, ...]] = {
        series.cuts: runs for series, runs in evidence.results.series.items() if (series.kind, series.rank) == (kind, rank)
    }
    if len(by_cut) < 2:
        return [Needs("the same study twice, with th-TH, km-KH and my-MM (and ja-JP, zh-CN) cut at blanks and into characters")]
    groups = {locale: _latin(locale) for locale in LANGUAGES}
    return [groups_differ(evidence, groups, "non-Latin", "Latin", "change", expected=-1, runs=runs) for runs in by_cut.values()]


def _models_alike(evidence: Evidence) -> list[Found]:
    models = list(dict.fromkeys(run.spec.model.name for run in evidence.results.runs))
    if len(models) < 2:
        return [Needs("the same study with a second model")]
    found: list[Found] = []
    for model in models:
        runs = tuple(run for run in evidence.results.runs if run.spec.model.name == model)
        of_model = Evidence(_only(evidence.results, runs))
        found += [
            method_mean(of_model, kind, "change", expected=-1) for kind in ("VANILLA", "SHARED LoRA") if of_model.of(kind)
        ]
    return found or [Needs("sequential runs with both models")]


def _only(results: Results, runs: tuple[Run, ...]) -> Results:
    return Results(
        folder=results.folder, name=results.name, runs=runs, unfinished=(), study_toml="", environment=results.environment
    )


CJK = "zh-CN ja-JP zh-TW"

CLAIMS: tuple[tuple[str, str, Ask], ...] = (
    ("4", "MULTI ends above every other method", _multi_is_best),
    (
        "4",
        "NON-SHARED LoRA ends above SHARED LoRA",
        lambda e: [methods_differ(e, "NON-SHARED LoRA", "SHARED LoRA", "final")],
    ),
    ("4", "A higher LoRA rank does not substantially improve F1", _rank_does_not_help),
    ("4", "A higher LoRA rank does not substantially improve forward transfer", _rank_does_not_help_transfer),
    (
        "4",
        "Sequential learning forgets",
        lambda e: [method_mean(e, kind, "change", expected=-1) for kind in ("VANILLA", "SHARED LoRA")],
    ),
    (
        "4",
        "SHARED LoRA forgets more than VANILLA",
        lambda e: [methods_differ(e, "SHARED LoRA", "VANILLA", "change", expected=-1)],
    ),
    (
        "4",
        "VANILLA transfers forward better than SHARED LoRA",
        lambda e: [methods_differ(e, "VANILLA", "SHARED LoRA", "unseen")],
    ),
    ("4", "Both models degrade in sequential learning", _models_alike),
    (
        "5.1",
        "Training Chinese and Japanese costs more than training the others, in the growing and in the fixed scope",
        _named_differ(CJK, ("shift_growing", "shift_fixed"), gain=False),
    ),
    ("5.1", "Chinese and Japanese have a lower MBT than the others", _named_differ(CJK, ("mbt",), gain=False)),
    (
        "5.1",
        "Norwegian, Catalan, Portuguese and Greek have a higher MBT than the others",
        _named_differ("nb-NO ca-ES pt-PT el-GR", ("mbt",), gain=True),
    ),
    (
        "5.2",
        "Languages in non-Latin scripts lose more",
        _by_attribute(_latin, "non-Latin", "Latin", ("change",), gain=False),
    ),
    ("5.2", "They lose more under either cut into words", _script_under_both_cuts),
    (
        "5.2",
        "Languages in Latin script are the stronger donors and the stabler receivers",
        _by_attribute(_latin, "Latin", "non-Latin", ("mft", "mbt", "donor", "receiver"), gain=True),
    ),
    (
        "5.3",
        "Romance languages are stronger donors and more reliable receivers than the others",
        _by_attribute(_branch("Romance"), "Romance", REST, ("mft", "mbt"), gain=True),
    ),
    (
        "5.3",
        "Germanic languages are stronger donors and more reliable receivers than the others",
        _by_attribute(_branch("Germanic"), "Germanic", REST, ("mft", "mbt"), gain=True),
    ),
    (
        "5.3",
        "Languages of distant families (zh-CN, km-KH, ar-SA) receive and donate less than the others",
        _named_differ("zh-CN km-KH ar-SA", ("mbt", "mft"), gain=False),
    ),
    (
        "5.4",
        "High-vitality languages have lower MBT and MFT than mid-vitality ones",
        _by_attribute(_vitality, "High", "Mid", ("mbt", "mft"), gain=False),
    ),
    ("5.4", "Mid-vitality languages have the highest F1", _mid_scores_highest),
)
"""Section, claim, and what would decide it."""
