"""Small random encoders of `transformers`, and input batches for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from attrition.encoder.batch import Part
from attrition.encoder.pretrained import WORD_EMBEDDINGS

SIZES: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "pad_token_id": 1,
}
CLASSES: dict[str, tuple[Any, Any]] = {
    "bert": (transformers.BertConfig, transformers.BertModel),
    "roberta": (transformers.RobertaConfig, transformers.RobertaModel),
    "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaModel),
    "electra": (transformers.ElectraConfig, transformers.ElectraModel),
    "deberta-v2": (transformers.DebertaV2Config, transformers.DebertaV2Model),
    "distilbert": (transformers.DistilBertConfig, transformers.DistilBertModel),
    "camembert": (transformers.CamembertConfig, transformers.CamembertModel),
    "modernbert": (transformers.ModernBertConfig, transformers.ModernBertModel),
    "eurobert": (transformers.EuroBertConfig, transformers.EuroBertModel),
    "t5": (transformers.T5Config, transformers.T5EncoderModel),
    "mt5": (transformers.MT5Config, transformers.MT5EncoderModel),
    "umt5": (transformers.UMT5Config, transformers.UMT5EncoderModel),
}
SPECIAL = {"bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2, "mask_token_id": 3}
T5: dict[str, Any] = {
    "d_model": 16,
    "d_kv": 6,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 2,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 6,
}
MORE: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 8},
    "distilbert": {"hidden_dim": 24},
    # Every third layer attends to all sub-tokens, the others to two on each side: fewer than the utterances of the tests have.
    "modernbert": {"num_hidden_layers": 3, "local_attention": 4, **SPECIAL},
    "eurobert": {"num_key_value_heads": 1, **SPECIAL},
    "t5": {**T5, "feed_forward_proj": "relu"},
    "mt5": T5,
    "umt5": T5,
    # As in DeBERTa v3: only relative positions, with keys from the same linear layers as the content's.
    "deberta-v2": {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "position_buckets": 4,
        "norm_rel_ebd": "layer_norm",
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_encoder() -> Callable[..., Any]:
    """Return a `transformers` encoder by model type; all parameters are random, including norms and biases."""

    def make(kind: str, seed: int = 0, **settings: Any) -> Any:
        make_config, make_module = CLASSES[kind]
        torch.manual_seed(seed)
        sizes = {"vocab_size": SIZES["vocab_size"], "pad_token_id": 1} if kind.endswith("t5") else SIZES
        module = make_module(make_config(**{**sizes, **MORE.get(kind, {}), **settings})).eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(0, 0.3)
        return module

    return make


@pytest.fixture
def weights_of() -> Callable[[Any], dict[str, Tensor]]:
    """Return the parameters of a module by our names, without a pooler."""

    def of(module: Any) -> dict[str, Tensor]:
        words = module.get_input_embeddings().weight
        return {
            WORD_EMBEDDINGS if tensor is words else name: tensor.detach()
            for name, tensor in module.named_parameters()
            if not name.startswith("pooler.")
        }

    return of


@pytest.fixture
def make_part() -> Callable[..., Part]:
    """Return random utterances of the given lengths; every sub-token is scored, or about half of them."""

    def make(lengths: Sequence[int], seed: int = 0, every: bool = True) -> Part:
        stream = np.random.default_rng(seed)
        count = sum(lengths)
        labels = stream.integers(0, 5, count)
        if not every:
            labels[stream.random(count) < 0.5] = -1
        return Part(stream.integers(5, SIZES["vocab_size"], count), np.array(lengths), labels)

    return make


@pytest.fixture
def hidden_states() -> Callable[[Any, Part], Tensor]:
    """Return the output of `transformers` for every scored sub-token, [W, H], from a padded batch."""

    def states(module: Any, part: Part) -> Tensor:
        longest, at = int(part.lengths.max()), 0
        ids_BL = torch.full((len(part.lengths), longest), int(module.config.pad_token_id))
        mask_BL = torch.zeros_like(ids_BL)
        scored_BL = torch.zeros_like(ids_BL, dtype=torch.bool)
        for row, length in enumerate(part.lengths.tolist()):
            ids_BL[row, :length] = torch.from_numpy(part.ids[at : at + length])
            mask_BL[row, :length] = 1
            scored_BL[row, :length] = torch.from_numpy(part.labels[at : at + length] >= 0)
            at += length
        output: Tensor = module(input_ids=ids_BL, attention_mask=mask_BL).last_hidden_state
        return output[scored_BL]

    return states
