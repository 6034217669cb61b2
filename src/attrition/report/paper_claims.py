"""The claims of the paper's sections 4 and 5, each as the comparisons that would decide it."""

from __future__ import annotations

from attrition.report.claims import Claim, Evidence, Needs
from attrition.report.comparisons import curve_mean, curves_differ, language_differs, method_mean
from attrition.report.effects import (
    both,
    due_to_position,
    follows_related,
    is_late,
    near,
    pair_effect,
    pairs_differ,
    related,
    stages_differ,
    without,
)
from attrition.report.paper_questions import (
    REST,
    STABLE,
    Ask,
    all_of,
    branch,
    by_attribute,
    differ,
    due_to_blanks,
    german,
    high_is_overwritten,
    in_branch,
    in_family,
    in_romance,
    in_script,
    latin,
    mid,
    mid_scores_highest,
    models_alike,
    multi_is_best,
    named_differ,
    rank_does_not_help,
    rank_does_not_help_transfer,
    same_pattern,
    script_type,
    script_under_both_cuts,
    vitality,
    xlmr_above_e5,
)
from attrition.results.read import Results


def paper_claims(results: Results) -> tuple[Claim, ...]:
    """Every claim with its verdict; on a generated corpus none is decided, for its languages are not real."""
    generated = any(run.spec.corpus.generated for run in results.runs)
    evidence = Evidence(results)
    nothing = (Needs("a corpus of real language: this one is generated"),)
    return tuple(
        Claim(section=section, title=title, found=nothing if generated else tuple(ask(evidence)))
        for section, title, ask in CLAIMS
    )


CJK = "zh-CN ja-JP zh-TW"
DISTANT = "zh-CN km-KH ar-SA"
SEQUENTIAL = ("VANILLA", "SHARED LoRA")

SAME_BRANCH, SAME_SCRIPT, ROMANCE = related(in_branch), related(in_script), related(in_romance)

CLAIMS: tuple[tuple[str, str, Ask], ...] = (
    ("4", "MULTI ends above every other method", multi_is_best),
    (
        "4",
        "More trained parameters score higher: full training ends above LoRA",
        all_of(
            differ("MULTI", "MULTI LoRA", "final"),
            differ("MONO", "NON-SHARED LoRA", "final"),
            differ("VANILLA", "SHARED LoRA", "final"),
        ),
    ),
    (
        "4",
        "NON-SHARED LoRA is competitive: it ends less than a point below MONO",
        differ("MONO", "NON-SHARED LoRA", "final", small=True),
    ),
    ("4", "NON-SHARED LoRA ends above SHARED LoRA", differ("NON-SHARED LoRA", "SHARED LoRA", "final")),
    (
        "4",
        "SHARED LoRA suffers heavily: it ends below MULTI LoRA and VANILLA",
        all_of(differ("MULTI LoRA", "SHARED LoRA", "final"), differ("VANILLA", "SHARED LoRA", "final")),
    ),
    ("4", "A higher LoRA rank does not substantially improve F1", rank_does_not_help),
    ("4", "A higher LoRA rank does not substantially improve forward transfer", rank_does_not_help_transfer),
    (
        "4",
        "Sequential learning forgets",
        lambda e: [method_mean(e, kind, "change", expected=-1) for kind in SEQUENTIAL],
    ),
    (
        "4",
        "Over the sequence VANILLA loses 10 to 15 points of F1",
        lambda e: [curve_mean(e, "VANILLA", "fall", expected=-1, at_least=10, at_most=15)],
    ),
    (
        "4",
        "Over the sequence SHARED LoRA loses 15 to 30 points, more than VANILLA",
        lambda e: [
            curve_mean(e, "SHARED LoRA", "fall", expected=-1, at_least=15, at_most=30),
            curves_differ(e, "SHARED LoRA", "VANILLA", "fall", expected=-1),
        ],
    ),
    (
        "4",
        "NON-SHARED LoRA is steadier over the sequence than VANILLA and SHARED LoRA",
        lambda e: [curves_differ(e, "NON-SHARED LoRA", kind, "swing", expected=-1) for kind in SEQUENTIAL],
    ),
    ("4", "SHARED LoRA forgets more than VANILLA", differ("SHARED LoRA", "VANILLA", "change", sign=-1)),
    (
        "4",
        "VANILLA still generalises to languages to come",
        lambda e: [method_mean(e, "VANILLA", "taught", expected=1)],
    ),
    ("4", "VANILLA transfers forward better than SHARED LoRA", differ("VANILLA", "SHARED LoRA", "unseen")),
    ("4", "Both models degrade in sequential learning", models_alike),
    ("4", "The methods stand in the same order with both models", same_pattern),
    ("4", "XLM-R ends above E5, except with VANILLA", xlmr_above_e5),
    (
        "4, 5.1",
        "Training Chinese (zh-CN) costs more than training the others",
        lambda e: [language_differs(e, "zh-CN", measure, expected=-1) for measure in ("shift_growing", "shift_fixed")],
    ),
    (
        "4, 5.1",
        "Training German gains more than training the others, yet its MBT is below that of the best receivers",
        german,
    ),
    (
        "5.1",
        "German's gain is due to its positions in the orders",
        lambda e: [due_to_position(e, "de-DE", scope=scope, expected=1) for scope in ("growing", "fixed")],
    ),
    (
        "5.1",
        "Training Chinese and Japanese costs more than training the others, in the growing and in the fixed scope",
        named_differ(CJK, ("shift_growing", "shift_fixed"), gain=False),
    ),
    (
        "5.1",
        "Chinese and Japanese cost more when they come late",
        lambda e: [
            stages_differ(e, CJK.split(), "zh-CN, ja-JP, zh-TW late minus early", is_late, measure, expected=-1)
            for measure in ("shift_growing", "shift_fixed")
        ],
    ),
    ("5.1", "Chinese and Japanese have a lower MBT than the others", named_differ(CJK, ("mbt",), gain=False)),
    (
        "5.1",
        "Chinese and Japanese are the more vulnerable receivers",
        named_differ(CJK, ("receiver", "change"), gain=False),
    ),
    (
        "5.1",
        "Norwegian, Catalan, Portuguese and Greek have a higher MBT than the others",
        named_differ(STABLE, ("mbt",), gain=True),
    ),
    (
        "5.1",
        "Norwegian, Catalan, Portuguese and Greek keep what was learned before and are robust receivers",
        named_differ(STABLE, ("shift_fixed", "receiver"), gain=True),
    ),
    (
        "5.2",
        "Languages in non-Latin scripts lose more",
        by_attribute(latin, "non-Latin", "Latin", ("change",), gain=False),
    ),
    ("5.2", "Languages in non-Latin scripts lose more under either cut into words", script_under_both_cuts),
    ("5.2, our question", "Part of what non-Latin scripts lose is due to blanks that give slot edges away", due_to_blanks),
    (
        "5.2",
        "Languages in Latin script are the stronger donors and the stabler receivers",
        by_attribute(latin, "Latin", "non-Latin", ("mft", "mbt", "donor", "receiver"), gain=True),
    ),
    (
        "5.2",
        "Languages in logographic and abugida scripts are weak donors and vulnerable receivers",
        by_attribute(script_type, "logographic or abugida", REST, ("mft", "mbt"), gain=False),
    ),
    (
        "5.3",
        "Languages of one branch help each other more than others do",
        lambda e: [pairs_differ(e, "same branch minus others", SAME_BRANCH, without(SAME_BRANCH), expected=1)],
    ),
    (
        "5.3",
        "A shared script helps across branches too",
        lambda e: [
            pairs_differ(
                e,
                "same script minus other script, both of another branch",
                both(SAME_SCRIPT, without(SAME_BRANCH)),
                both(without(SAME_SCRIPT), without(SAME_BRANCH)),
                expected=1,
            )
        ],
    ),
    (
        "5.3",
        "Romance languages are stronger donors and more reliable receivers than the others",
        by_attribute(branch("Romance"), "Romance", REST, ("mft", "mbt"), gain=True),
    ),
    (
        "5.3",
        "Romance languages help each other most when they stand near each other",
        lambda e: [
            pairs_differ(
                e,
                "Romance, at most a quarter of the sequence apart minus further",
                both(ROMANCE, near()),
                both(ROMANCE, without(near())),
                expected=1,
            )
        ],
    ),
    (
        "5.3",
        "Germanic languages are stronger donors and more reliable receivers than the others",
        by_attribute(branch("Germanic"), "Germanic", REST, ("mft", "mbt"), gain=True),
    ),
    (
        "5.3",
        "Languages of distant families (zh-CN, km-KH, ar-SA) receive and donate less than the others",
        named_differ(DISTANT, ("mbt", "mft"), gain=False),
    ),
    (
        "5.3",
        "Languages of distant families do so above all after a language of another family",
        lambda e: [
            stages_differ(
                e,
                DISTANT.split(),
                "zh-CN, km-KH, ar-SA after their own family minus after another",
                follows_related(in_family),
                measure,
                expected=1,
            )
            for measure in ("mbt", "mft")
        ],
    ),
    (
        "5.4",
        "High-vitality languages have lower MBT and MFT than mid-vitality ones",
        by_attribute(vitality, "High", "Mid", ("mbt", "mft"), gain=False),
    ),
    (
        "5.4",
        "Chinese, Japanese and Hindi have a lower MBT than the others",
        named_differ("zh-CN ja-JP hi-IN", ("mbt",), gain=False),
    ),
    ("5.4", "High-vitality languages struggle with shared LoRA and are easily overwritten", high_is_overwritten),
    ("5.4", "Mid-vitality languages have the highest F1", mid_scores_highest),
    (
        "5.4",
        "Mid-vitality languages are effective donors and resilient receivers",
        by_attribute(mid, "Mid", REST, ("donor", "receiver", "mft", "mbt"), gain=True),
    ),
    ("A.2", "Training Chinese (zh-CN) helps Japanese, though it costs the others", lambda e: pair_effect(e, "zh-CN", "ja-JP")),
)
"""Section, claim, and what would decide it."""
