"""A study as a data set: the tables hold what was stored, the card finds them, and no path of the machine is in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import DatasetCard

from attrition.names import AttritionError
from attrition.report.dataset import TABLES, export_dataset
from attrition.results.counts import run_counts
from attrition.results.read import Results, read_results

PUBLISHED = Path(__file__).parents[2] / "docs" / "results"


@pytest.fixture(scope="module")
def study() -> Results:
    return read_results(PUBLISHED / "intents-4")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, study: Results) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "intents"
    assert set(export_dataset(study.folder, folder)) == set(TABLES)
    return folder


def blocks(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_r_is_that_of_the_runs(folder: Path, study: Results) -> None:
    scores = pd.read_parquet(folder / "scores.parquet")
    for run in study.runs:
        own = scores[scores.run == run.label].pivot(index="stage", columns="language", values="score")
        np.testing.assert_array_equal(own[list(run.matrix.languages)].to_numpy(), run.matrix.to_frame().to_numpy())
    assert (scores.f1_error.notna() == scores.score.notna()).all()


def test_f1_follows_from_the_counts(folder: Path, study: Results) -> None:
    counts = pd.read_parquet(folder / "counts.parquet")
    scores = pd.read_parquet(folder / "scores.parquet")
    both = counts.merge(scores, on=["run", "stage", "language"], validate="1:1")
    assert len(both) == len(counts) == scores.score.notna().sum()
    tp, fp, fn = (both[name].map(np.sum).to_numpy() for name in ("tp", "fp", "fn"))
    np.testing.assert_allclose(2 * tp / (2 * tp + fp + fn), both.score, atol=1e-12)
    found = run_counts(study.runs[-1])
    assert found is not None
    mine = counts[(counts.run == study.runs[-1].label) & (counts.stage == 1)]
    np.testing.assert_array_equal(np.stack(mine.tp.to_list()), found.tp_SLU[0][found.measured_SL[0]])


def test_the_lines_of_the_card_load_r(folder: Path, study: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    with_pandas, with_datasets = blocks(folder)
    assert max(sum(map(bool, code.splitlines())) for code in (with_pandas, with_datasets)) <= 5
    names: dict[str, pd.DataFrame] = {}
    exec(compile(with_pandas, "README.md", "exec"), names)
    first = study.runs[0].matrix
    np.testing.assert_array_equal(names["R"][list(first.languages)].to_numpy(), first.to_frame().to_numpy())


def test_datasets_loads_every_table(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.chdir(folder.parent)
    for name in TABLES:
        loaded = datasets.load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path))
        assert loaded.num_rows == len(pd.read_parquet(folder / f"{name}.parquet"))


def test_the_front_matter_names_every_table(folder: Path, study: Results) -> None:
    card = DatasetCard.load(folder / "README.md")
    assert {each["data_files"] for each in card.data.configs} == {path.name for path in folder.glob("*.parquet")}
    assert [each["config_name"] for each in card.data.configs if each.get("default")] == ["scores"]
    assert (card.data.license, card.data.language) == ("cc-by-4.0", ["en", "de", "zh", "th"])
    assert study.runs[0].spec.corpus.citation in card.text
    assert "epochs = 4" in card.text
    assert all(f"| `{name}` | {len(pd.read_parquet(folder / f'{name}.parquet')):,} |" in card.text for name in TABLES)


def test_no_folder_of_this_machine_is_written(study: Results, tmp_path: Path) -> None:
    """The model, the corpus and a file of languages may lie in a user's folders."""
    copied = tmp_path / "runs-of-me"
    copied.mkdir()
    secret = "/home/secret/my-tagger"
    for path in study.folder.rglob("*"):
        target = copied / path.relative_to(study.folder)
        if path.is_dir():
            target.mkdir()
            continue
        data = path.read_bytes()
        if path.name == "spec.json":
            data = data.replace(b'"embedded:e5-small"', json.dumps(f"hub:{secret}").encode())
        if path.name == "study.toml":
            data = data.replace(b'name = "embedded:e5-small"', f'name = "hub:{secret}"'.encode())
            data = data.replace(b'name = "massive"', b'name = "massive"\npath = "/home/secret/data"')
        target.write_bytes(data)
    export_dataset(copied, tmp_path / "out", repo="me/study")
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    settings = " ".join(pd.read_parquet(tmp_path / "out" / "runs.parquet").astype(str).to_numpy().ravel())
    assert "hub:my-tagger" in text
    assert "hub:my-tagger" in settings
    assert "/home/" not in text + settings
    assert '"hf://datasets/me/study"' in text
    assert 'load_dataset("me/study", "scores"' in text


def test_tables_that_were_not_stored_are_left_out(tmp_path: Path) -> None:
    """Published results without counts."""
    names = export_dataset(PUBLISHED / "eight-languages", tmp_path / "out")
    assert "counts" not in names
    assert {path.stem for path in (tmp_path / "out").glob("*.parquet")} == set(names) >= {"scores", "runs", "metrics"}
    with pytest.raises(AttritionError, match=r"exists already\. Choose another folder for the data set"):
        export_dataset(PUBLISHED / "eight-languages", tmp_path / "out")
