"""The training loop, compared with plain loops on transformers and PEFT, and with other encoder families."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from attrition.corpus.encoded import Encoded
from attrition.encoder import lora
from attrition.encoder.dropout import Dropout
from attrition.encoder.hub import quiet_transformers
from attrition.encoder.lora import encoder_attribute
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.sources import load_pretrained
from attrition.encoder.tiny import byte_tokenizer
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.methods import Full, LoRA, Trains
from attrition.names import AttritionError
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.layout import HEAD_BIAS, HEAD_WEIGHT
from attrition.training.model import Model, build_model
from attrition.training.settings import TrainingSettings
from attrition.training.train import Finished, Task, train_population

KINDS = ("bert", "xlm-roberta")
PLAIN = TrainingSettings(epochs=4, batch_size=8, learning_rate=1e-3, dropout=0.0, keep="last")


def run(tasks: Sequence[Task], model: Model, **more: Any) -> dict[str, Finished]:
    return {finished.task.name: finished for finished in train_population(tasks, model, Clock(), **more)}


def task(name: str, model: Model, trains: Trains, train: Encoded, dev: Encoded, settings: TrainingSettings) -> Task:
    return Task(name, trains, lambda: model.start(trains, name), train, dev, settings, (name,))


def nothing(encoded: Encoded) -> Encoded:
    return encoded.select(np.zeros(0, np.int64))


def undropped(config: Any) -> Any:
    config = copy.deepcopy(config)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    return config


def as_task_model(model: Model) -> Any:
    """Return transformers' token classification model with the base's weights, without dropout."""
    config = undropped(model.pretrained.config)
    config.num_labels = len(model.labels)
    module = transformers.AutoModelForTokenClassification.from_config(config)
    missing = getattr(module, encoder_attribute(config)).load_state_dict(dict(model.base), strict=False)
    assert not missing.unexpected_keys
    assert not missing.missing_keys
    return module.train()


def step_losses(
    model: Model, first: Task, monkeypatch: pytest.MonkeyPatch, beside: Sequence[Task] = ()
) -> tuple[Finished, list[float]]:
    """Train a learner, alone or beside others, and return the loss of each of its steps."""
    losses: list[float] = []
    original = training._Population._losses

    def noting(self: Any, *arguments: Any) -> Tensor:
        losses_M = original(self, *arguments)
        losses.append(float(losses_M[0].detach()))
        return losses_M

    monkeypatch.setattr(training._Population, "_losses", noting)
    return run([first, *beside], model)[first.name], losses


@pytest.mark.parametrize("kind", KINDS)
def test_full_equals_a_plain_loop_on_transformers(
    kind: str, make_model: Any, make_encoded: Any, plain_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 steps with warm-up, clipping and weight decay. Float32: losses within 2e-5, parameters within 2e-4.

    Key biases are excluded: attention does not depend on them, so their gradient is rounding noise, which Adam turns into
    steps.
    """
    model, encoded = make_model(kind), make_encoded(40)
    settings = dataclasses.replace(PLAIN, weight_decay=0.1, max_grad_norm=0.5)
    learner = task("a", model, Full(), encoded, nothing(encoded), settings)
    module = as_task_model(model)
    start = model.layout(Full()).unpack(learner.start())
    with torch.no_grad():
        module.classifier.weight.copy_(start[HEAD_WEIGHT])
        module.classifier.bias.copy_(start[HEAD_BIAS])
    finished, ours = step_losses(model, learner, monkeypatch)
    theirs = plain_loop(module, encoded, settings, ("a",))
    assert len(ours) == len(theirs) == 20
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=2e-5, rtol=0)
    trained = model.layout(Full()).unpack(finished.flat)
    parameters = dict(module.named_parameters())
    prefix = encoder_attribute(module.config)
    compared = 0
    for name, tensor in trained.items():
        if name.endswith("key.bias"):
            continue
        other = parameters[name if name in (HEAD_WEIGHT, HEAD_BIAS) else f"{prefix}.{name}"]
        torch.testing.assert_close(tensor, other.detach(), atol=2e-4, rtol=0, msg=lambda text, n=name: f"{n}: {text}")
        compared += 1
    assert compared == len(trained) - 2 > 30
    assert (trained[WORD_EMBEDDINGS] - model.base[WORD_EMBEDDINGS]).abs().max() > 1e-3, "it must have moved"


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks transformers for it
@pytest.mark.parametrize("ranks_beside", [(), (2, 8)], ids=["alone", "between ranks 2 and 8"])
@pytest.mark.parametrize("kind", KINDS)
def test_lora_equals_a_plain_loop_on_peft(
    kind: str, ranks_beside: Sequence[int],
    make_model: Any, make_encoded: Any, plain_loop: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """20 steps of rank 4 from the same factors. Float32: losses within 2e-5, factors and head within 2e-4."""
    peft = pytest.importorskip("peft")
    model, encoded = make_model(kind), make_encoded(40)
    trains = LoRA(rank=4, alpha=8, dropout=0.0)
    learner = task("a", model, trains, encoded, nothing(encoded), PLAIN)
    start = model.layout(trains).unpack(learner.start())
    base = as_task_model(model)
    with torch.no_grad():
        base.classifier.weight.copy_(start[HEAD_WEIGHT])
        base.classifier.bias.copy_(start[HEAD_BIAS])
    names = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
    module = peft.get_peft_model(base, peft.LoraConfig(task_type="TOKEN_CLS", r=4, lora_alpha=8, target_modules=names))
    module.train()
    prefix = f"base_model.model.{encoder_attribute(base.config)}."
    factors = {
        name.removeprefix(prefix).removesuffix(".default.weight"): parameter
        for name, parameter in module.named_parameters()
        if ".lora_" in name
    }
    with torch.no_grad():
        for name, parameter in factors.items():
            parameter.copy_(start[name])
    beside = [
        task(f"r{rank}", model, LoRA(rank=rank, dropout=0.0), make_encoded(36, rank), nothing(encoded), PLAIN)
        for rank in ranks_beside
    ]
    finished, ours = step_losses(model, learner, monkeypatch, beside)
    theirs = plain_loop(module, encoded, PLAIN, ("a",))
    assert len(ours) == len(theirs) == 20
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=2e-5, rtol=0)
    trained = model.layout(trains).unpack(finished.flat)
    head = module.base_model.model.classifier.modules_to_save["default"]
    expected = {**factors, HEAD_WEIGHT: head.weight, HEAD_BIAS: head.bias}
    assert trained.keys() == expected.keys()
    for name, tensor in trained.items():
        torch.testing.assert_close(tensor, expected[name].detach(), atol=2e-4, rtol=0, msg=lambda text, n=name: f"{n}: {text}")
    assert all(tensor.abs().max() > 0 for name, tensor in trained.items() if name.endswith(lora.B_SUFFIX))


class Halving(Dropout):
    """Halves its input, so that the places of dropout can be compared without masks."""

    def hidden_mask(self, shape_MNH: tuple[int, ...]) -> Tensor:
        return torch.full(shape_MNH, 0.5)

    def attention_mask(self, grid: tuple[int, int, int], heads: int) -> Tensor:
        num_learners, count, longest = grid
        return torch.full((num_learners, count, heads, longest, longest), 0.5)

    def on_words(self, x_MWH: Tensor, counts: Sequence[int]) -> Tensor:
        return x_MWH * 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_where_transformers_has_it(
    kind: str, make_model: Any, make_encoded: Any, plain_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On embeddings, attention, both outputs of each layer, and before the classifier: each of them halves its input here."""
    model, encoded = make_model(kind), make_encoded(12)
    settings = dataclasses.replace(PLAIN, epochs=2, dropout=0.5)
    learner = task("a", model, Full(), encoded, nothing(encoded), settings)
    module = as_task_model(model)
    module.set_attn_implementation("eager")
    start = model.layout(Full()).unpack(learner.start())
    start[HEAD_WEIGHT] *= 50  # a head with clear predictions, so that losses differ
    learner = dataclasses.replace(learner, start=lambda: model.layout(Full()).pack(start))
    with torch.no_grad():
        module.classifier.weight.copy_(start[HEAD_WEIGHT])
        module.classifier.bias.copy_(start[HEAD_BIAS])
    monkeypatch.setattr(training, "Dropout", Halving)
    _, ours = step_losses(model, learner, monkeypatch)
    monkeypatch.setattr(torch.nn.functional, "dropout", lambda x, *_, **__: x * 0.5)
    theirs = plain_loop(module, encoded, settings, ("a",))
    torch.testing.assert_close(torch.tensor(ours), torch.tensor(theirs), atol=2e-5, rtol=0)
    undropped_losses = step_losses(model, dataclasses.replace(learner, settings=PLAIN), monkeypatch)[1]
    assert abs(undropped_losses[0] - ours[0]) > 0.1


# --- other architectures


@pytest.fixture
def electra(tmp_path: Path, make_model: Any) -> Model:
    tokenizer = byte_tokenizer()
    config = transformers.ElectraConfig(
        vocab_size=tokenizer.get_vocab_size(), embedding_size=8, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=24, max_position_embeddings=60, pad_token_id=1,
    )  # fmt: skip
    return saved(transformers.ElectraModel, config, tmp_path, make_model().labels)


@pytest.fixture
def distilbert(tmp_path: Path, make_model: Any) -> Model:
    """Return a model with other names of dropout than BERT's, and other probabilities for hidden states and attention."""
    config = transformers.DistilBertConfig(
        vocab_size=byte_tokenizer().get_vocab_size(), dim=16, n_layers=1, n_heads=2, hidden_dim=24,
        max_position_embeddings=60, pad_token_id=1, dropout=0.2, attention_dropout=0.3,
    )  # fmt: skip
    return saved(transformers.DistilBertModel, config, tmp_path, make_model().labels)


def saved(kind: Any, config: Any, folder: Path, labels: tuple[str, ...]) -> Model:
    """Return a random encoder after saving and loading it."""
    torch.manual_seed(0)
    with quiet_transformers():
        kind(config).save_pretrained(folder)
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    pretrained = load_pretrained(f"hub:{folder}")
    return build_model(pretrained, whole_vocabulary(pretrained.vocabulary_size), labels)


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=4, dropout=0.1)], ids=["full", "lora"])
def test_a_wrapped_encoder_learns_and_repeats_itself(trains: Trains, electra: Model, make_encoded: Any) -> None:
    encoded = make_encoded(48)
    settings = TrainingSettings(epochs=4, batch_size=8, learning_rate=5e-3)
    finished = [run([task("a", electra, trains, encoded, encoded, settings)], electra)["a"] for _ in range(2)]
    assert torch.equal(finished[0].flat, finished[1].flat)
    assert finished[0].history[-1].train_loss < finished[0].history[0].train_loss / 1.5


def test_a_dropout_that_would_have_no_effect_is_refused(electra: Model, make_encoded: Any) -> None:
    encoded = make_encoded(8)

    def settings(dropout: float | None) -> TrainingSettings:
        return TrainingSettings(epochs=3, dropout=dropout)

    with pytest.raises(AttritionError, match=r"training\.dropout = 0\.3 has no effect on 'hub:.*own configuration \(0\.1 on"):
        run([task("a", electra, Full(), encoded, encoded, settings(0.3))], electra)
    flats = {d: run([task("a", electra, Full(), encoded, encoded, settings(d))], electra)["a"].flat for d in (None, 0.1, 0.0)}
    assert torch.equal(flats[None], flats[0.1])
    assert not torch.equal(flats[None], flats[0.0])


def test_distilbert_trains_with_the_dropout_of_its_configuration(distilbert: Model, make_encoded: Any) -> None:
    encoded = make_encoded(8)
    assert (distilbert.dropout, distilbert.attention_dropout) == (0.2, 0.3)
    flats = {
        dropout: run([task("a", distilbert, Full(), encoded, encoded, TrainingSettings(epochs=2, dropout=dropout))], distilbert)
        for dropout in (None, 0.0)
    }
    assert not torch.equal(flats[None]["a"].flat, flats[0.0]["a"].flat)


def test_the_message_says_the_dropout_that_distilbert_has(distilbert: Model, make_encoded: Any) -> None:
    encoded = make_encoded(8)
    settings = TrainingSettings(epochs=1, dropout=0.2)
    with pytest.raises(AttritionError, match=r"own configuration \(0\.2 on hidden states, 0\.3 on attention\)"):
        run([task("a", distilbert, Full(), encoded, encoded, settings)], distilbert)


def test_a_module_of_its_own_is_not_compiled(electra: Model) -> None:
    with pytest.raises(AttritionError, match=r"machine\.compile = true has no effect on 'hub:.*'electra'.*Leave it out"):
        build_model(electra.pretrained, electra.vocabulary, electra.labels, compiled=True)
