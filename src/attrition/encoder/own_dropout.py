"""Reads the dropout probabilities from a model's configuration, for every family's names."""

from __future__ import annotations

from typing import Any

HIDDEN = (
    *("hidden_dropout_prob", "hidden_dropout", "dropout", "embedding_dropout", "mlp_dropout", "activation_dropout"),
    *("resid_pdrop", "embd_pdrop", "dropout_rate"),
)
"""Names of dropout on embeddings and hidden states: BERT's first, then DistilBERT's, ModernBERT's, BART's, GPT's and T5's."""

ATTENTION = ("attention_probs_dropout_prob", "attention_dropout", "attn_pdrop", "dropout_rate")
"""Names of dropout on attention probabilities; T5 has one name for both. Dropout of classifiers and poolers is in neither list,
because attrition uses its own head."""


def own_dropout(config: Any) -> tuple[float, float]:
    """Return the dropout probabilities of hidden states and of attention in a configuration; 0 if it names none.

    If a family has several for hidden states, such as one for embeddings and one for the feed-forward part, the largest one
    counts.

    >>> from types import SimpleNamespace
    >>> own_dropout(SimpleNamespace(dropout=0.1, attention_dropout=0.2, seq_classif_dropout=0.5))
    (0.1, 0.2)
    >>> own_dropout(SimpleNamespace(classifier_dropout=0.5))
    (0.0, 0.0)
    """
    return _largest(config, HIDDEN), _largest(config, ATTENTION)


def _largest(config: Any, names: tuple[str, ...]) -> float:
    return max((float(value) for name in names if (value := getattr(config, name, None)) is not None), default=0.0)
