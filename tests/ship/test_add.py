"""`attrition add` from end to end at the smallest size: what is trained, chosen, written and judged fits together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from attrition.corpus.registry import Request, open_corpus
from attrition.encoder.sources import load_pretrained
from attrition.methods import Full
from attrition.names import AttritionError
from attrition.problem.slots import span_f1
from attrition.ship import add as adding
from attrition.ship.add import Added, Addition, add, study_of
from attrition.ship.candidates import Candidate
from attrition.ship.gold import gold_rows
from attrition.ship.system import open_system

SIZES = ("corpus.sizes.train=24", "corpus.sizes.dev=6", "corpus.sizes.test=10", "machine.threads=1", "machine.device=cpu")
SMALL = (*SIZES, "training.epochs=1", "training.batch_size=8", "model.precision=float32")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, save: Callable[..., Path]) -> Path:
    """A tagger with the phrasebook's labels but the last slot, in an order of its own, and a label beside them."""
    slots = open_corpus("phrasebook", Request()).slots
    labels = ("B-old", "I-old", "O", *(f"{prefix}-{slot}" for slot in slots[:-1] for prefix in "BI"))
    return save(tmp_path_factory.mktemp("add") / "deployed", "tiny:xlm-roberta", Full(), labels)


def addition(deployed: Path, *changes: str, adapter: bool = False) -> Addition:
    return Addition(
        language="th-TH",
        checkpoint=str(deployed),
        data=None,
        corpus="phrasebook",
        guards=("en-US", "de-DE"),
        rank=2,
        adapter=adapter,
        changes=(*SMALL, *changes),
    )


@pytest.fixture(scope="module")
def added(deployed: Path) -> Added:
    return add(addition(deployed), deployed.parent / "out")


def test_the_gate_judges_the_model_that_was_chosen(added: Added) -> None:
    """The checkpoint, read by transformers, scores on test what the chosen vector scores in the engine."""
    assert [each.name for each in added.candidates][:3] == ["plain", "plain, 75% of the way", "plain, 50% of the way"]
    assert {each.name.partition(",")[0] for each in added.candidates} == {"plain", "replay"}
    found = json.loads((added.folder / "gate.json").read_text())
    assert found["exit_code"] == added.release.exit_code
    assert {each["name"]: each["utterances"] for each in found["checks"]} == {"th-TH": 10, "en-US": 10, "de-DE": 10}
    assert {path.name for path in added.folder.glob("*")} >= {"model", "runs", "trade.csv", "trade.svg", "gate.html"}


def test_the_head_has_the_old_classes_first(added: Added, deployed: Path) -> None:
    old, new = (json.loads((folder / "config.json").read_text())["id2label"] for folder in (deployed, added.folder / "model"))
    assert {key: new[key] for key in old} == old
    assert len(new) == len(old) + 2
    head = load_file(added.folder / "model" / "model.safetensors")["classifier.weight"]
    assert len(head) == len(new)


def test_a_model_of_no_weight_is_the_deployed_one(deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows of old classes, and all else, are bit-equal; so the gate finds no difference."""

    def unchanged(found: list[Candidate], _margin: float) -> Candidate:
        return next(each for each in found if each.weight == 0)

    monkeypatch.setattr("attrition.ship.candidates.WEIGHTS", (0.0,))
    monkeypatch.setattr(adding, "choose", unchanged)
    result = add(addition(deployed, "only=['plain']"), tmp_path / "same")
    assert result.chosen.gain == 0
    assert set(result.chosen.losses.values()) == {0}
    old, new = (load_file(folder / "model.safetensors") for folder in (deployed, result.folder / "model"))
    rows = len(old["classifier.bias"])
    assert all(torch.equal(tensor, new[name][:rows] if "classifier" in name else new[name]) for name, tensor in old.items())
    assert all(each.differing == 0 for each in result.release.findings if each.check.value != "th-TH")


def test_the_deployed_model_is_scored_with_its_own_head(
    deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of new labels that nobody trained would win often here; the deployed model has none, and misses their spans."""
    monkeypatch.setattr("attrition.training.model.HEAD_STANDARD_DEVIATION", 20.0)
    monkeypatch.setattr("attrition.ship.candidates.WEIGHTS", (1.0,))
    result = add(addition(deployed, "only=['plain']", "corpus.sizes.dev=60"), tmp_path / "out")
    study = study_of(addition(deployed, "corpus.sizes.dev=60"))
    corpus = open_corpus("phrasebook", Request(sizes=study.corpus.sizes))
    for language, f1 in result.chosen.old.items():
        rows = gold_rows(corpus, [language], split="dev")
        predicted = open_system(str(deployed)).tags(rows)
        assert f1 == pytest.approx(100 * span_f1([row.gold or () for row in rows], predicted))
    assert max(result.chosen.old.values()) > 0


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
def test_an_adapter_serves_the_new_language_alone(deployed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    monkeypatch.setattr(adding, "choose", lambda found, _margin: next(each for each in found if each.routed))
    result = add(addition(deployed, "only=['adapter']", adapter=True), tmp_path / "adapter")
    assert result.chosen.worst[1] == 0
    assert {each.check.value: each.differing for each in result.release.findings}["de-DE"] == 0
    assert result.release.new == f"{tmp_path / 'adapter' / 'model'} (for th-TH)"
    described = json.loads((result.folder / "model" / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == str(deployed)
    names = json.loads((result.folder / "model" / "labels.json").read_text())
    base = load_pretrained(f"hub:{deployed}").head
    assert base is not None
    assert tuple(names[: len(base.labels)]) == base.labels


def rows(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ({"id": f"{path.stem}{row}", "words": ["a", "b"], "tags": ["B-PER", "O"]} for row in range(number))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_what_is_missing_is_said(deployed: Path, tmp_path: Path) -> None:
    for language, splits in {"yor": ("train", "dev", "test"), "hau": ("dev", "test"), "ibo": ("test",)}.items():
        for split in splits:
            rows(tmp_path / "data" / language / f"{split}.jsonl", 4)

    def of(language: str, *guards: str) -> Addition:
        return Addition(language=language, checkpoint=str(deployed), data=tmp_path / "data", guards=guards)

    assert study_of(of("yor")).watch == ("hau",)
    for wrong, words in (
        (of("yo"), "Did you mean 'yor'"),
        (of("hau"), "'hau' has no train utterances"),
        (of("yor", "ibo"), "The guard 'ibo' needs dev and test"),
        (of("yor", "yor"), "must not be the new language"),
    ):
        with pytest.raises(AttritionError, match=words):
            study_of(wrong)
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(AttritionError, match="exists already"):
        add(of("yor"), tmp_path / "out")
