"""A small learnable corpus, tiny models, and a plain training loop as reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from attrition.corpus.base import Slot, Utterance
from attrition.corpus.encoded import Encoded, EncodingSettings, encode_utterances
from attrition.corpus.words import label_set
from attrition.encoder.sources import load_pretrained
from attrition.encoder.vocabulary import whole_vocabulary
from attrition.streams import numpy_stream
from attrition.training.batches import epoch_batches
from attrition.training.model import Model, build_model
from attrition.training.settings import TrainingSettings

SLOTS = ("city", "time")
OUTSIDE = ("wake", "me", "get", "to", "please")
FILLINGS = {"city": ("rome", "new york", "rio"), "time": ("five", "six am", "seven")}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _utterance(number: int, stream: np.random.Generator) -> Utterance:
    pieces: list[tuple[str, str | None]] = [(str(stream.choice(OUTSIDE)), None) for _ in range(stream.integers(1, 4))]
    for name in stream.permutation(SLOTS)[: stream.integers(0, 3)].tolist():
        pieces += [(word, name if at else f"+{name}") for at, word in enumerate(str(stream.choice(FILLINGS[name])).split())]
        pieces.append((str(stream.choice(OUTSIDE)), None))
    words, slots, at = [], [], 0
    for word, slot in pieces:
        words.append((at, at + len(word)))
        if slot and slot.startswith("+"):
            slots.append(Slot(at, at + len(word), slot[1:]))
        elif slot:
            slots[-1] = slots[-1]._replace(end=at + len(word))
        at += len(word) + 1
    return Utterance(str(number), "any", " ".join(word for word, _ in pieces), tuple(words), tuple(slots))


@pytest.fixture
def make_encoded() -> Callable[..., Encoded]:
    """Return random utterances about times and cities; a word's first letter nearly determines its label."""

    def make(count: int, seed: int = 0, **settings: Any) -> Encoded:
        stream = np.random.default_rng(seed)
        return encode_utterances(
            [_utterance(number, stream) for number in range(count)],
            load_pretrained("tiny:bert").tokenizer,
            slots=SLOTS,
            cut="blanks",
            settings=EncodingSettings(**settings),
        )

    return make


@pytest.fixture
def make_model() -> Callable[..., Model]:
    """Return a tiny encoder with the labels of that corpus."""

    def make(kind: str = "bert") -> Model:
        pretrained = load_pretrained(f"tiny:{kind}")
        return build_model(pretrained, whole_vocabulary(pretrained.vocabulary_size), label_set(SLOTS, "bio"))

    return make


@pytest.fixture
def plain_loop() -> Callable[..., list[float]]:
    """Train a `transformers` (or PEFT) token classification model like its own users, on the batches that we draw.

    Padded batches of input_ids, attention_mask and labels with -100, the model's own loss, `clip_grad_norm_`, torch's AdamW
    (not fused, no decay on biases and norms), one rate for the classifier and one for the rest. Returns each step's loss.
    """

    def train(module: Any, encoded: Encoded, settings: TrainingSettings, seed: tuple[Any, ...], pad: int = 1) -> list[float]:
        groups: dict[tuple[bool, bool], list[torch.Tensor]] = {}
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                is_decayed = not (name.endswith("bias") or "LayerNorm" in name)
                groups.setdefault(("classifier" in name, is_decayed), []).append(parameter)
        adamw = torch.optim.AdamW(
            [
                {"params": parameters, "weight_decay": settings.weight_decay if decayed else 0.0, "head": head}
                for (head, decayed), parameters in groups.items()
            ],
            betas=(settings.beta1, settings.beta2),
            eps=settings.epsilon,
        )
        total = settings.epochs * -(-len(encoded) // settings.batch_size)
        losses: list[float] = []
        for epoch in range(settings.epochs):
            for rows in epoch_batches(encoded.lengths, settings.batch_size, numpy_stream("batches", *seed, epoch)):
                longest = int(encoded.lengths[rows].max())
                ids_BL = torch.full((len(rows), longest), pad)
                mask_BL, labels_BL = torch.zeros_like(ids_BL), torch.full_like(ids_BL, -100)
                for at, row in enumerate(rows):
                    piece = slice(encoded.offsets[row], encoded.offsets[row + 1])
                    length = piece.stop - piece.start
                    ids_BL[at, :length] = torch.from_numpy(encoded.ids[piece].astype(np.int64))
                    mask_BL[at, :length] = 1
                    labels = torch.from_numpy(encoded.labels[piece].astype(np.int64))
                    labels_BL[at, :length] = torch.where(labels < 0, -100, labels)
                loss = module(input_ids=ids_BL, attention_mask=mask_BL, labels=labels_BL).loss
                adamw.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_([p for p in module.parameters() if p.requires_grad], settings.max_grad_norm)
                for group in adamw.param_groups:
                    top = settings.head_learning_rate if group["head"] else settings.learning_rate
                    group["lr"] = top * settings.rate(len(losses), total)
                adamw.step()
                losses.append(float(loss.detach()))
        return losses

    return train
