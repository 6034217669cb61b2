"""The training loop: populations compared with single learners, learning, stopping and kept weights."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from attrition.corpus.encoded import Encoded
from attrition.encoder.dropout import MaskStream
from attrition.encoder.pretrained import WORD_EMBEDDINGS
from attrition.encoder.vocabulary import used_vocabulary
from attrition.methods import Full, LoRA, Trains
from attrition.training import learner
from attrition.training import train as training
from attrition.training.clock import Clock
from attrition.training.model import Model, build_model
from attrition.training.predict import evaluate
from attrition.training.settings import TrainingSettings
from attrition.training.train import Epoch, Finished, Task, train_population

KINDS = ("bert", "xlm-roberta")
PLAIN = TrainingSettings(epochs=4, batch_size=8, learning_rate=1e-3, dropout=0.0, keep="last")


def run(tasks: Sequence[Task], model: Model, **more: Any) -> dict[str, Finished]:
    return {finished.task.name: finished for finished in train_population(tasks, model, Clock(), **more)}


def task(name: str, model: Model, trains: Trains, train: Encoded, dev: Encoded, settings: TrainingSettings) -> Task:
    return Task(name, trains, lambda: model.start(trains, name), train, dev, settings, (name,))


def nothing(encoded: Encoded) -> Encoded:
    return encoded.select(np.zeros(0, np.int64))


# --- populations


@pytest.mark.parametrize(
    ("dropout", "hashed"), [(0.0, False), (0.1, False), (0.1, True)], ids=["no dropout", "dropout", "dropout as on a GPU"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_population_equals_its_members(
    kind: str, dropout: float, hashed: bool, make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learners of different size, length, rate and batch size leave at different times; each has the same result as alone.

    Float32: a product over a population has other rounding than a product over one learner. Parameters agree within 2e-4, mean
    losses within 2e-5, after up to 25 steps.
    """
    monkeypatch.setattr(learner, "MaskStream", functools.partial(MaskStream, hashed=hashed))
    model = make_model(kind)
    trains = LoRA(rank=4, dropout=dropout)
    plan = {
        "short": (5, dataclasses.replace(PLAIN, dropout=dropout, epochs=2)),
        "long": (40, dataclasses.replace(PLAIN, dropout=dropout, epochs=5, learning_rate=5e-4, weight_decay=0.1)),
        "middle": (13, dataclasses.replace(PLAIN, dropout=dropout, batch_size=5, max_grad_norm=0.1, beta2=0.99)),
    }
    dev = make_encoded(6, 99)
    tasks = [task(name, model, trains, make_encoded(n, seed), dev, s) for seed, (name, (n, s)) in enumerate(plan.items())]
    together = run(tasks, model)
    assert list(together) == ["short", "middle", "long"], "in the order of finishing: after 2, 12 and 25 steps"
    for each in tasks:
        alone = run([each], model)[each.name]
        assert (alone.flat - each.start()).abs().max() > 1e-3
        torch.testing.assert_close(together[each.name].flat, alone.flat, atol=2e-4, rtol=0)
        for ours, theirs in zip(together[each.name].history, alone.history, strict=True):
            assert ours.train_loss == pytest.approx(theirs.train_loss, abs=2e-5)
            assert ours.dev_f1 == theirs.dev_f1
        assert len(alone.history) == each.settings.epochs


def test_dropout_matters_and_is_each_learners_own(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(16)
    settings = dataclasses.replace(PLAIN, dropout=0.2)
    trains = LoRA(rank=4, dropout=0.2)
    tasks = [
        Task(name, trains, lambda: model.start(trains, "x"), encoded, nothing(encoded), settings, ("batches", name))
        for name in ("a", "b")
    ]
    together = run(tasks, model)
    assert (together["a"].flat - together["b"].flat).abs().max() > 1e-4
    without = run([dataclasses.replace(tasks[0], trains=LoRA(rank=4, dropout=0.0))], model)["a"]
    assert (together["a"].flat - without.flat).abs().max() > 1e-4


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=4, dropout=0.1)], ids=["full", "lora"])
def test_twice_the_same_bits(trains: Trains, make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(20)
    settings = dataclasses.replace(PLAIN, dropout=0.1)
    finished = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        finished.append(run([task("a", model, trains, encoded, encoded, settings)], model)["a"])
    assert torch.equal(finished[0].flat, finished[1].flat)
    assert [e._replace(seconds=0) for e in finished[0].history] == [e._replace(seconds=0) for e in finished[1].history]


def test_learners_that_cannot_share_a_base_are_our_own_mistake(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(4)
    for trains, dropouts in ((Full(), (0.0, 0.0)), (LoRA(rank=2), (0.0, 0.1))):
        tasks = [
            task(str(i), model, trains, encoded, encoded, dataclasses.replace(PLAIN, dropout=d)) for i, d in enumerate(dropouts)
        ]
        with pytest.raises(AssertionError, match="share"):
            run(tasks, model)
    with pytest.raises(AssertionError, match="empty"):
        run([], model)


# --- learning, stopping, kept weights


@pytest.mark.parametrize("trains", [Full(), LoRA(rank=8, dropout=0.0)], ids=["full", "lora"])
def test_it_learns(trains: Trains, make_model: Any, make_encoded: Any) -> None:
    model, encoded, dev = make_model(), make_encoded(96, 0), make_encoded(30, 1)
    settings = TrainingSettings(epochs=16, batch_size=8, learning_rate=5e-3, dropout=0.0)
    finished = run([task("a", model, trains, encoded, dev, settings)], model)["a"]
    losses = [epoch.train_loss for epoch in finished.history]
    assert losses[-1] < losses[0] / 10
    scores = [epoch.dev_f1 for epoch in finished.history]
    assert max(scores) > 0.7
    assert finished.kept_epoch == scores.index(max(scores)) + 1
    # The kept weights are the scored ones: the vector gives this F1 again.
    assert evaluate(model, model.weights(trains, finished.flat), dev).f1 == max(scores)


def test_a_fresh_learner_has_the_loss_of_a_uniform_guess(make_model: Any, make_encoded: Any) -> None:
    """Five classes with logits of about 0: ln 5 = 1.609."""
    model, encoded = make_model(), make_encoded(8)
    settings = dataclasses.replace(PLAIN, epochs=1, batch_size=8)
    finished = run([task("a", model, Full(), encoded, nothing(encoded), settings)], model)["a"]
    assert finished.history[0].train_loss == pytest.approx(math.log(5), abs=0.05)


def scripted(monkeypatch: pytest.MonkeyPatch, scores: Sequence[float]) -> None:
    """Set the dev F1 of epoch n to `scores[n]`."""
    left = iter(scores)

    @dataclasses.dataclass
    class Score:
        f1: float

    monkeypatch.setattr(training, "evaluate", lambda *_: Score(next(left)))


@pytest.mark.parametrize(
    ("scores", "patience", "num_epochs", "kept"),
    [
        ((0.1, 0.5, 0.4, 0.5, 0.9, 0.9), 2, 4, 2),  # an equal score is not better
        ((0.1, 0.5, 0.4, 0.6, 0.5, 0.5), 2, 6, 4),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), 1, 6, 6),
        ((0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 1, 2, 1),
        ((0.6, 0.5, 0.4, 0.3, 0.2, 0.7), None, 6, 6),
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), None, 6, 1),
    ],
)
def test_early_stopping_and_the_epoch_kept(
    scores: Sequence[float], patience: int | None, num_epochs: int, kept: int,
    make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    model, encoded = make_model(), make_encoded(8)
    settings = dataclasses.replace(PLAIN, epochs=6, patience=patience, keep="best", schedule="constant", warmup=0.0)
    learner = task("a", model, Full(), encoded, encoded, settings)
    scripted(monkeypatch, scores)
    finished = run([learner], model)["a"]
    assert [epoch.dev_f1 for epoch in finished.history] == list(scores[:num_epochs])
    assert [epoch.epoch for epoch in finished.history] == list(range(1, num_epochs + 1))
    assert finished.kept_epoch == kept
    # With a constant rate the weights of epoch n equal those of a training of n epochs.
    shorter = dataclasses.replace(learner, settings=dataclasses.replace(settings, epochs=kept, keep="last", patience=None))
    scripted(monkeypatch, scores)
    assert torch.equal(finished.flat, run([shorter], model)["a"].flat)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_without_dev_utterances_the_last_weights_are_kept(keep: Any, make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(8)
    settings = dataclasses.replace(PLAIN, epochs=3, keep=keep, patience=1)
    finished = run([task("a", model, Full(), encoded, nothing(encoded), settings)], model)["a"]
    assert all(math.isnan(epoch.dev_f1) for epoch in finished.history)
    assert (len(finished.history), finished.kept_epoch) == (3, 3), "nothing is measured, so nothing stops it"


def test_keep_last(make_model: Any, make_encoded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoded = make_model(), make_encoded(8)
    scripted(monkeypatch, (0.9, 0.1, 0.2))
    settings = dataclasses.replace(PLAIN, epochs=3, keep="last")
    finished = run([task("a", model, Full(), encoded, encoded, settings)], model)["a"]
    assert finished.kept_epoch == 3


def test_early_stopping_in_a_population(make_model: Any, make_encoded: Any) -> None:
    """One learner stops by patience; the other continues as if it were alone."""
    model, trains = make_model(), LoRA(rank=2, dropout=0.0)
    dev = make_encoded(6, 9)
    hopeless = dataclasses.replace(PLAIN, epochs=6, patience=1, learning_rate=0.0, head_learning_rate=0.0)
    tasks = [
        task("hopeless", model, trains, make_encoded(8, 1), dev, hopeless),
        task("steady", model, trains, make_encoded(16, 2), dev, dataclasses.replace(PLAIN, epochs=5)),
    ]
    together = run(tasks, model)
    assert len(together["hopeless"].history) == 2
    assert torch.equal(together["hopeless"].flat, tasks[0].start())
    assert len(together["steady"].history) == 5
    torch.testing.assert_close(together["steady"].flat, run(tasks[1:], model)["steady"].flat, atol=2e-4, rtol=0)


def test_what_a_watcher_is_told_and_the_clock_measures(make_model: Any, make_encoded: Any) -> None:
    seen: list[int] = []
    ended: list[tuple[str, int]] = []

    class Notes:
        def trained(self, num_utterances: int) -> None:
            seen.append(num_utterances)

        def epoch_ended(self, name: str, epoch: Epoch) -> None:
            ended.append((name, epoch.epoch))

    model, trains, clock = make_model(), LoRA(rank=2), Clock()
    tasks = [
        task(name, model, trains, make_encoded(n, n), make_encoded(3), dataclasses.replace(PLAIN, epochs=2))
        for name, n in (("a", 10), ("b", 5))
    ]
    list(train_population(tasks, model, clock, Notes()))
    assert sum(seen) == 2 * (10 + 5)
    assert ended == [("b", 1), ("a", 1), ("b", 2), ("a", 2)]
    assert all(clock.seconds()[purpose] > 0 for purpose in ("data", "training", "evaluation"))


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_scored_together_as_each_alone(kind: str, make_model: Any, make_encoded: Any) -> None:
    """Float32: dev F1 of three ranks on three dev sets, one of them empty; a fourth learner diverges at once.

    The rates are so high that scores change. The kept weights are from the best epoch: scored alone, they have its F1.
    """
    model = make_model(kind)
    fast = dataclasses.replace(PLAIN, epochs=6, learning_rate=5e-3, head_learning_rate=5e-2, keep="best")
    plan = {"a": (2, 30, fast), "none": (4, 0, fast), "b": (8, 11, fast), "gone": (4, 9, fast)}
    tasks = [
        task(
            name,
            model,
            LoRA(rank=rank, alpha=4, dropout=0.0),
            make_encoded(32, seed),
            make_encoded(50, 9).select(np.arange(n)),
            s,
        )
        for seed, (name, (rank, n, s)) in enumerate(plan.items())
    ]
    infinite = dataclasses.replace(tasks[3], start=lambda: model.start(tasks[3].trains, "gone").fill_(torch.inf))
    together = run([*tasks[:3], infinite], model)
    assert together["gone"].diverged
    assert len(together["gone"].history) == 1
    scores = {name: [each.dev_f1 for each in finished.history] for name, finished in together.items()}
    for each in tasks[:3]:
        alone = run([each], model)[each.name]
        assert str(scores[each.name]) == str([epoch.dev_f1 for epoch in alone.history])
        assert together[each.name].kept_epoch == alone.kept_epoch
    assert all(math.isnan(f1) for f1 in scores["none"] + scores["gone"])
    for each in (tasks[0], tasks[2]):
        assert len(set(scores[each.name])) > 3, "scores that do not move would show nothing"
        kept = model.weights(each.trains, together[each.name].flat)
        assert evaluate(model, kept, each.dev).f1 == max(scores[each.name])


def test_nothing_given_is_changed(make_model: Any, make_encoded: Any) -> None:
    model, encoded = make_model(), make_encoded(8)
    base = {name: tensor.clone() for name, tensor in model.base.items()}
    for trains in (Full(), LoRA(rank=2)):
        run([task("a", model, trains, encoded, encoded, PLAIN)], model)
    assert all(torch.equal(model.base[name], base[name]) for name in base)


def test_a_cut_vocabulary_trains_to_the_same_numbers(make_model: Any, make_encoded: Any) -> None:
    whole, encoded = make_model(), make_encoded(20)
    vocabulary = used_vocabulary([encoded.ids], special=[0, 1, 2, 3], full_size=whole.pretrained.vocabulary_size)
    cut = build_model(whole.pretrained, vocabulary, whole.labels)
    compact = dataclasses.replace(encoded, ids=vocabulary.compact(encoded.ids).astype("int32"))
    first = run([task("a", whole, Full(), encoded, encoded, PLAIN)], whole)["a"]
    second = run([task("a", cut, Full(), compact, compact, PLAIN)], cut)["a"]
    assert len(second.flat) < len(first.flat)
    kept = torch.from_numpy(vocabulary.kept)
    of_whole, of_cut = whole.layout(Full()).unpack(first.flat), cut.layout(Full()).unpack(second.flat)
    assert torch.equal(of_whole[WORD_EMBEDDINGS][kept], of_cut[WORD_EMBEDDINGS])
    assert all(torch.equal(of_whole[name], of_cut[name]) for name in of_cut if name != WORD_EMBEDDINGS)
