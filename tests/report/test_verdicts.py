from __future__ import annotations

import csv
import io

from attrition.analysis.claims import Claim, Judged, Verdict
from attrition.analysis.claims.needs import Needs
from attrition.analysis.intervals import Estimate
from attrition.paper import paper_claims
from attrition.report.latex import to_latex
from attrition.report.verdicts import claims_chapter, claims_table


def judged(name: str, verdict: Verdict, needs: str = "") -> Judged:
    claim = Claim(id=name, statement=f"Statement {name}.", section="5.1", expect="higher")
    if verdict == "needs":
        return Judged(claim=claim, found=Needs(needs), verdict=verdict, needs=needs)
    found = Estimate(value=1.25, error=0.5, freedom=4.0, num_replicates=5)
    return Judged(claim=claim, found=found, verdict=verdict, p=0.01, p_adjusted=0.04)


SOME = (
    judged("a", "undecided"),
    judged("b", "needs", "runs of MONO"),
    judged("c", "supported"),
    judged("d", "needs", "5 orders"),
    judged("e", "needs", "5 orders"),
)


def test_claims_stand_by_verdict_and_what_is_needed_is_folded() -> None:
    chapter = claims_chapter(SOME, anchor="claims", title="Claims", text="First.")
    assert [(heading, [each.claim.id for each in found]) for heading, found in chapter.verdicts] == [
        ("Supported", ["c"]),
        ("Undecided", ["a"]),
    ]
    assert [(words, len(found)) for words, found in chapter.needs] == [("Needs 5 orders.", 2), ("Needs runs of MONO.", 1)]
    assert chapter.text.startswith("First. ")
    assert not chapter.is_empty


def test_the_text_explains_the_verdicts_in_three_sentences() -> None:
    text = claims_chapter(SOME, anchor="claims", title="Claims").text
    assert text.count(". ") == 2
    assert all(word in text for word in ("five orders", "5%", "about N orders"))


def test_the_table_has_every_claim_with_its_interval() -> None:
    rows = list(csv.DictReader(io.StringIO(claims_table(SOME, name="claims", title="Claims").to_csv())))
    assert [row["Id"] for row in rows] == list("abcde")
    half = 2.7764451051977987 * 0.5  # Student's t with 4 degrees of freedom
    assert f"+1.2 points (95% {1.25 - half:+.1f} to {1.25 + half:+.1f}; " in rows[0]["Evidence"]
    assert "adjusted p 0.040" in rows[0]["Evidence"]
    assert rows[1]["Evidence"] == "Needs runs of MONO."


def test_the_table_of_the_paper_is_one_long_table_in_latex() -> None:
    every = tuple(
        Judged(claim=claim, found=SOME[0].found, verdict="undecided", needs="5 orders " * 9) for claim in paper_claims()
    )
    latex = to_latex(claims_table(every, name="claims", title="Claims"))
    assert latex.count(r"\begin{longtable}") == 1
    assert r"\begin{tabular}" not in latex
