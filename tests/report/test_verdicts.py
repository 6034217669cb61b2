from __future__ import annotations

import csv
import io
import math

from attrition.analysis.claims import Claim, Judged, Verdict
from attrition.analysis.claims.ask import Needs
from attrition.analysis.intervals import Estimate
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
    assert float(rows[0]["Difference"]) == 1.25
    half = 2.7764451051977987 * 0.5  # Student's t with 4 degrees of freedom
    assert math.isclose(float(rows[0]["95%, low"]), 1.25 - half, abs_tol=1e-6)
    assert (rows[0]["p"], rows[0]["p, adjusted"]) == ("0.01", "0.04")
    assert rows[1]["Difference"] == ""
    assert rows[1]["Evidence"] == "Needs runs of MONO."
