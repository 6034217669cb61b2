"""Checkpoints that label tokens as the beginning of a study: out of `attrition export`, and out of transformers itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from attrition.corpus.encoded import Encoded
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.export.stage import export_stage
from attrition.methods import Full
from attrition.metrics.matrix import RMatrix
from attrition.names import AttritionError
from attrition.prepare.pack import open_pack, write_pack
from attrition.prepare.prepare import Prepared, prepare
from attrition.store.stages import Store
from attrition.study.spec import Study
from attrition.study.watcher import Watcher

Make = Callable[..., Study]
Run = Callable[[Study, Path], Any]

METHODS = ["VANILLA", {"method": "SHARED LoRA", "rank": 2}, "MONO", {"method": "NON-SHARED LoRA", "rank": 2}]


def run_of(folder: Path, method: str = "VANILLA") -> Path:
    """The folder of a method's run."""
    (found,) = (path.parent for path in folder.glob("runs/*/spec.json") if json.loads(path.read_text())["name"] == method)
    return found


def stages_of(folder: Path, method: str = "VANILLA") -> list[dict[str, Any]]:
    """Its steps, as its spec.json has them."""
    steps: list[dict[str, Any]] = json.loads((run_of(folder, method) / "spec.json").read_text())["steps"]
    return steps


@pytest.fixture(scope="module")
def trained(make_study: Make, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A finished study that trained long enough to find slots, and the checkpoint of its last stage; read only."""
    folder = tmp_path_factory.mktemp("trained")
    run_notes(make_study("training.epochs=12"), folder / "results")
    export_stage(folder / "results", stages_of(folder / "results")[-1]["key"], folder / "model")
    return folder / "results", folder / "model"


@pytest.fixture(scope="module")
def continued(trained: tuple[Path, Path], make_study: Make, run_notes: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of several methods from that checkpoint; read only."""
    folder = tmp_path_factory.mktemp("continued")
    run_notes(make_study(methods=METHODS, model={"name": f"hub:{trained[1]}", "precision": "float32"}), folder)
    return folder


def f1_of(module: Any, encoded: Encoded, whole_ids: Any) -> float:
    """What seqeval says of transformers' own predictions, one utterance after another."""
    seqeval = pytest.importorskip("seqeval.metrics")
    names, gold, found = module.config.id2label, [], []
    with torch.no_grad():
        for row in range(len(encoded)):
            piece = slice(encoded.offsets[row], encoded.offsets[row + 1])
            logits = module.eval()(input_ids=torch.from_numpy(whole_ids[encoded.ids[piece]])[None]).logits[0]
            scored = encoded.labels[piece] >= 0
            gold.append([names[label] for label in encoded.labels[piece][scored].tolist()])
            found.append([names[label] for label in logits.argmax(-1).numpy()[scored].tolist()])
    return float(seqeval.f1_score(gold, found))


def test_transformers_scores_an_export_as_the_matrix_says(
    trained: tuple[Path, Path], make_study: Make, prepared_of: Callable[[Study], Prepared]
) -> None:
    """The classes have the order of the study in an export, so that labels are rows of its classifier."""
    results, model = trained
    with quiet_transformers():
        module = transformers.AutoModelForTokenClassification.from_pretrained(model)
    prepared = prepared_of(make_study())
    assert tuple(module.config.id2label[row] for row in range(len(prepared.labels))) == prepared.labels
    matrix = RMatrix.from_csv(run_of(results) / "matrix.csv")
    theirs = [f1_of(module, prepared.encoded[each, "test"], prepared.vocabulary.kept) for each in matrix.languages]
    np.testing.assert_allclose(matrix.scores_SL[-1], theirs, atol=1e-6)
    assert min(theirs) < max(theirs)
    assert max(theirs) > 0.1, "it must have learned something"


def test_an_import_has_the_counts_of_the_export_before_training(trained: tuple[Path, Path], continued: Path) -> None:
    before = Store(trained[0]).load_evaluation(stages_of(trained[0])[-1]["evaluation"]).counts
    store = Store(continued)
    for method in ("VANILLA", "SHARED LoRA"):
        spec = json.loads((run_of(continued, method) / "spec.json").read_text())
        after = store.load_evaluation(spec["before"]).counts
        assert after.keys() == before.keys()
        for language, counts in before.items():
            for name, array in vars(counts).items():
                assert np.array_equal(array, getattr(after[language], name)), (method, language, name)
        assert "starts from the checkpoint's own classifier: 15 of the study's 15 classes" in spec["model"]["note"]


def test_every_method_starts_from_the_classifier(
    trained: tuple[Path, Path], make_study: Make, prepared_of: Callable[[Study], Prepared]
) -> None:
    own = load_pretrained(f"hub:{trained[1]}").head
    assert own is not None
    model = {"name": f"hub:{trained[1]}", "precision": "float32"}
    prepared = prepared_of(make_study(methods=METHODS, model=model))
    first = [job for job in prepared.plan.jobs.values() if job.parent is None]
    assert len(first) == 3 + 3  # the first stage of VANILLA is one of MONO's, and likewise with LoRA
    for job in first:
        trains = job.choice.method.trains
        start = prepared.model.layout(trains).unpack(prepared.model.start(trains, *job.seed))
        assert torch.equal(start["classifier.weight"], own.weight_CH)
        assert torch.equal(start["classifier.bias"], own.bias_C)


def test_a_stage_of_an_import_is_exported_again(continued: Path, tmp_path: Path) -> None:
    export_stage(continued, stages_of(continued)[0]["key"], tmp_path / "again")
    assert load_pretrained(f"hub:{tmp_path / 'again'}").head is not None


def test_a_pack_holds_the_classifier(trained: tuple[Path, Path], make_study: Make, tmp_path: Path) -> None:
    study = make_study(model={"name": f"hub:{trained[1]}", "precision": "float32"})
    write_pack(study, tmp_path / "pack", Watcher(), None)
    here, packed = prepare(study, Watcher(), None), prepare(open_pack(tmp_path / "pack"), Watcher(), None, tmp_path / "pack")
    assert list(here.plan.jobs) == list(packed.plan.jobs)
    assert torch.equal(here.model.start(Full(), 0), packed.model.start(Full(), 0))
    assert packed.pretrained.note == here.pretrained.note


# Checkpoints of transformers


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a random token classification checkpoint with these labels."""

    def make(kind: str, labels: list[str], folder: str = "random") -> Path:
        tokenizer = byte_tokenizer()
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2} if kind == "mt5" else {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24,
            "max_position_embeddings": 130,
        }  # fmt: skip
        if kind == "modernbert":
            sizes |= {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
        config = transformers.AutoConfig.for_model(kind, vocab_size=tokenizer.get_vocab_size(), pad_token_id=1, **sizes)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: row for row, label in enumerate(labels)}
        with torch.random.fork_rng(devices=[]), quiet_transformers():
            torch.manual_seed(0)
            transformers.AutoModelForTokenClassification.from_config(config).save_pretrained(tmp_path / folder)
        tokenizer.save(str(tmp_path / folder / "tokenizer.json"))
        return tmp_path / folder

    return make


def phrasebook_labels(make_study: Make, prepared_of: Callable[[Study], Prepared]) -> list[str]:
    return list(prepared_of(make_study()).labels)


@pytest.mark.parametrize("kind", ["xlm-roberta", "distilbert", "mt5"])
def test_other_families_in_another_order_of_labels(
    kind: str, checkpoint: Any, make_study: Make, run_notes: Run, prepared_of: Any, tmp_path: Path
) -> None:
    """R before training is the score of transformers, whose rows have another order; and one stage of LoRA runs."""
    labels = phrasebook_labels(make_study, prepared_of)
    folder = checkpoint(kind, labels[::-1])
    lora = {"method": "SHARED LoRA", "rank": 2, "targets": ["all-linear"]}
    study = make_study(
        "training.epochs=1", languages=["en-US"], methods=[lora], model={"name": f"hub:{folder}", "precision": "float32"}
    )
    prepared = prepared_of(study)
    assert list(prepared.labels) == labels
    with quiet_transformers():
        module = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    flat = prepared.model.start(Full(), 0)
    weights = prepared.model.weights(Full(), flat)
    assert torch.equal(weights.head_weight, module.classifier.weight.detach().flip(0))
    run_notes(study, tmp_path / "results")
    spec = json.loads((run_of(tmp_path / "results", "SHARED LoRA") / "spec.json").read_text())
    ours = Store(tmp_path / "results").load_evaluation(spec["before"]).counts["en-US"].f1
    gold = prepared.encoded["en-US", "test"]
    flipped = np.where(gold.labels >= 0, len(labels) - 1 - gold.labels, -1)
    theirs = f1_of(module, Encoded(**{**vars_of(gold), "labels": flipped}), prepared.vocabulary.kept)
    assert ours == pytest.approx(theirs, abs=1e-9)


def vars_of(encoded: Encoded) -> dict[str, Any]:
    import dataclasses

    return {each.name: getattr(encoded, each.name) for each in dataclasses.fields(encoded)}


def test_labels_that_do_not_fit_are_refused_and_can_be_mapped(checkpoint: Any, make_study: Make, prepared_of: Any) -> None:
    labels = phrasebook_labels(make_study, prepared_of)
    theirs = ["o", *labels[1:-1], "MISC"]
    folder = checkpoint("bert", theirs)

    def prepared(**model: Any) -> Prepared:
        found: Prepared = prepared_of(make_study(model={"name": f"hub:{folder}", "precision": "float32", **model}))
        return found

    with pytest.raises(AttritionError, match=r"lacks 'O' \(nearest: 'o'\).*no 'o' \(nearest: 'O'\), 'MISC'") as caught:
        prepared()
    assert all(part in str(caught.value) for part in ("[model.labels]", "model.new_labels = true", 'model.head = "fresh"'))
    with pytest.raises(AttritionError, match=rf"lacks '{labels[-1]}'"):
        prepared(labels={"o": "O", "MISC": ""})
    mapped = prepared(labels={"o": "O", "MISC": ""}, new_labels=True)
    assert f"Fresh: '{labels[-1]}'. Dropped labels of the checkpoint: 'MISC'." in mapped.pretrained.note
    fresh = prepared(head="fresh")
    assert "left out" in fresh.pretrained.note
    assert fresh.pretrained.fingerprint == load_pretrained(f"hub:{folder}").fingerprint != mapped.pretrained.fingerprint
    own = load_pretrained(f"hub:{folder}").head
    assert own is not None
    start, new = (each.model.weights(Full(), each.model.start(Full(), 0)) for each in (mapped, fresh))
    assert torch.equal(start.head_weight[:-1], own.weight_CH[:-1])
    assert torch.equal(start.head_weight[-1], new.head_weight[-1])
    assert start.head_bias[-1] == 0
    assert not set(mapped.plan.jobs) & set(fresh.plan.jobs)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"labels": {"b-date": "O"}}, "unknown label of the checkpoint 'b-date'"),
        ({"labels": {"O": "X"}}, "unknown class of the study 'X'"),
        ({"labels": {"I-time": "O"}}, "both become 'O'"),
        ({"head": "fresh", "new_labels": True}, "leaves no label to use"),
        ({"head": "none"}, "unknown value 'none'"),
    ],
)
def test_settings_that_cannot_be_meant(
    model: dict[str, Any], said: str, checkpoint: Any, make_study: Make, prepared_of: Any
) -> None:
    folder = checkpoint("bert", phrasebook_labels(make_study, prepared_of))
    with pytest.raises(AttritionError, match=said):
        prepared_of(make_study(model={"name": f"hub:{folder}", "precision": "float32", **model}))


def test_a_model_without_a_classifier_has_no_labels_to_map(make_study: Make, prepared_of: Any) -> None:
    with pytest.raises(AttritionError, match="no classifier of its own"):
        prepared_of(make_study(model={"name": "tiny:bert", "new_labels": True}))


def test_a_classifier_of_more_than_one_layer(checkpoint: Any, make_study: Make, prepared_of: Any) -> None:
    folder = checkpoint("modernbert", phrasebook_labels(make_study, prepared_of))
    model = {"name": f"hub:{folder}", "precision": "float32"}
    with pytest.raises(AttritionError, match=r'not one linear layer.*head\.dense.*model\.head = "fresh"'):
        prepared_of(make_study(model=model))
    assert prepared_of(make_study(model={**model, "head": "fresh"})).pretrained.head is None


def test_an_adapter_is_no_model(make_study: Make, run_notes: Run, tmp_path: Path) -> None:
    run_notes(make_study(languages=["en-US"], methods=[{"method": "SHARED LoRA", "rank": 2}]), tmp_path / "results")
    export_stage(tmp_path / "results", stages_of(tmp_path / "results", "SHARED LoRA")[0]["key"], tmp_path / "adapter")
    with pytest.raises(AttritionError, match=r"is a PEFT adapter.*merge_and_unload"):
        load_pretrained(f"hub:{tmp_path / 'adapter'}")
