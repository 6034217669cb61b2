"""`attrition analyse` as a user calls it: files, a results folder, claims of one's own, mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attrition.analysis.worlds import locales, world

Say = Callable[..., Any]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("orders")
    paths = []
    for number, R in enumerate(world("destructive", locales(10), 0).runs(5, seed=0), start=1):
        paths.append(folder / f"order{number}.csv")
        R.to_csv(paths[-1])
    return paths


def test_a_table_of_languages_and_claims(files: list[Path], say: Say) -> None:
    said = say("analyse", *files)
    assert said.code == 0, said.err
    assert "10 languages, 5 orders" in said.out
    assert "zh-CN" in said.out
    assert "supported" in said.out
    assert "Over hops, the same n cells at each" in said.out
    assert "points when twice as many languages were learned before (over orders)" in said.out
    assert "could not be tested" in said.out


def test_json_is_one_object(files: list[Path], say: Say) -> None:
    found = json.loads(say("analyse", *files, "--json").out)
    assert found["design"]["orders"] == 5
    assert found["languages"]["ja-JP"]["donor_learned"]["high"] < 0


def test_claims_of_ones_own(files: list[Path], say: Say, tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(
        '[[claims]]\nid = "mine"\nstatement = "Chinese costs the others."\nquantity = "donor_learned"\n'
        'of = { languages = ["zh-CN"] }\nagainst = "others"\nexpect = "lower"\n',
        encoding="utf-8",
    )
    found = json.loads(say("analyse", *files, "--claims", mine, "--json").out)
    (claim,) = found["claims"]
    assert (claim["id"], claim["verdict"]) == ("mine", "supported")
    both = json.loads(say("analyse", *files, "--claims", mine, "--claims", "paper", "--json").out)
    assert len(both["claims"]) > 100
    twice = say("analyse", *files, "--claims", mine, "--claims", mine)
    assert (twice.code, "Two claims have the id 'mine'" in twice.words) == (2, True)
    mine.write_text('[[claims]]\nid = "mine"\nstatement = "x"\nexpect = "hihger"\n', encoding="utf-8")
    wrong = say("analyse", *files, "--claims", mine)
    assert (wrong.code, "claim 'mine'" in wrong.words) == (2, True)


def test_a_results_folder(results: Path, say: Say) -> None:
    said = say("analyse", "--runs", results)
    assert said.code == 0, said.err
    assert "a corpus of real language: this one is generated" in said.out


def test_files_of_two_series_are_refused(simulate: ModuleType, say: Say, tmp_path: Path) -> None:
    order = ["en-US", "de-DE", "zh-CN"]
    runs = [
        simulate.write_run(tmp_path / f"{rate}", simulate.METHODS["VANILLA"], "x", order, learning_rate=rate)
        for rate in (1e-2, 1e-3)
    ]
    said = say("analyse", *(run / "matrix.csv" for run in runs))
    assert (said.code, "training.learning_rate 0.01 and 0.001" in said.words) == (2, True)


def test_unmeasured_own_stages_are_legal_and_one_order_is_not_balanced(say: Say, tmp_path: Path) -> None:
    file = tmp_path / "holes.csv"
    file.write_text("trained,a,b\nb,0.5,\na,,0.6\n")
    said = say("analyse", file)
    assert (said.code, "Warning" in said.err) == (0, False)
    assert "(balanced)" not in said.out


def test_nothing_to_analyse(say: Say) -> None:
    said = say("analyse")
    assert (said.code, "Nothing to analyse" in said.words) == (2, True)


def test_it_needs_no_torch(files: list[Path]) -> None:
    code = (
        "import sys; from attrition.cli import main\n"
        f"try: main(['analyse', {str(files[0])!r}, {str(files[1])!r}, '--json'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_covariates_of_ones_own(files: list[Path], say: Say, tmp_path: Path) -> None:
    names = locales(10)
    vowels, far = tmp_path / "vowels.csv", tmp_path / "far.csv"
    vowels.write_text("locale,vowels [red]\n" + "".join(f"{name},{place**2 % 7}\n" for place, name in enumerate(names)))
    rows = [f"{a},{b},{(3 * i + j * j) % 5}\n" for i, a in enumerate(names) for j, b in enumerate(names)]
    far.write_text("trained,changed,far\n" + "".join(rows))
    said = say("analyse", *files, "--covariates", vowels, "--covariates", far)
    assert said.code == 0, said.err
    assert "donor_vowels [red]" in said.out
    assert "far (per sd)" in said.out
    twice = say("analyse", *files, "--covariates", far, "--covariates", far)
    assert (twice.code, "both have a column 'far'" in twice.words) == (2, True)
    vowels.write_text("locale,vowels\nen-UX,3\n")
    wrong = say("analyse", *files, "--covariates", vowels)
    assert (wrong.code, "line 2: 'en-UX' is not a locale" in wrong.words) == (2, True)


def test_distances_need_a_package(files: list[Path], say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "urielplus", None)
    said = say("analyse", *files, "--distance")
    assert (said.code, "attrition[distance]" in said.words) == (2, True)
