"""Random encoders of a few thousand parameters with a byte-level vocabulary: real architectures, without a download."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, BertConfig, XLMRobertaConfig

from attrition.encoder.pretrained import Pretrained, fingerprint_of, split_embeddings, tokenizer_fingerprint_of
from attrition.names import look_up

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
_SIZES: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 130,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
_CONFIGS: dict[str, Callable[..., Any]] = {"bert": BertConfig, "xlm-roberta": XLMRobertaConfig}


def byte_tokenizer() -> Tokenizer:
    """Return a tokeniser of single ASCII characters, bytes for all others, and U+2581 before each word as in XLM-R.

    >>> byte_tokenizer().encode("hi é").tokens
    ['<s>', '▁', 'h', 'i', '▁', '<0xC3>', '<0xA9>', '</s>']
    """
    characters = ["▁", *(chr(code) for code in range(33, 127))]
    pieces = [*_SPECIAL, *characters, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


@cache
def load(name: str) -> Pretrained:
    """Return the tiny encoder called `name`: "bert" or "xlm-roberta". Its weights are the same in every process."""
    make_config = look_up(name, _CONFIGS, kind="tiny model")
    tokenizer = byte_tokenizer()
    config = make_config(vocab_size=tokenizer.get_vocab_size(), **_SIZES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModel.from_config(config, trust_remote_code=False, add_pooling_layer=False)
    weights = {key: tensor.detach().clone() for key, tensor in model.state_dict().items() if not key.endswith("position_ids")}
    rest, rows = split_embeddings(weights)
    return Pretrained(
        name=f"tiny:{name}",
        config=config,
        tokenizer=tokenizer,
        weights=rest,
        rows=rows,
        fingerprint=fingerprint_of(config, weights),
        tokenizer_fingerprint=tokenizer_fingerprint_of(tokenizer),
        note="random weights: for tests only",
    )
