"""The classifier of a token classification checkpoint, and its conversion to the classes of a study.

Shape letters: C classes, H hidden width.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from attrition.names import AttritionError, nearest, unknown

if TYPE_CHECKING:
    from attrition.encoder.pretrained import Pretrained

HeadChoice = Literal["checkpoint", "fresh"]
FRESH = 'Set model.head = "fresh" to leave the classifier out and train a new one.'
_LISTED = 12


@dataclass(frozen=True, eq=False)
class Head:
    """A linear classifier on the encoder's last hidden states: `labels` [C], `weight_CH` [C, H], `bias_C` [C]."""

    labels: tuple[str, ...]
    weight_CH: Tensor = field(repr=False)
    bias_C: Tensor = field(repr=False)


def fit_head(
    pretrained: Pretrained,
    classes: Sequence[str],
    *,
    head: HeadChoice = "checkpoint",
    renamed: Mapping[str, str] | None = None,
    new_labels: bool = False,
) -> Pretrained:
    """Return the encoder with a classifier for the classes of a study, and a note on the start of each class.

    Labels and classes are matched by name, in any order. The classifier becomes part of the model's fingerprint. A model
    without a classifier is returned unchanged.

    Args:
        pretrained: the loaded model.
        classes: of the study.
        head: "checkpoint" to start from the checkpoint's classifier; "fresh" to ignore it.
        renamed: class of the study by label of the checkpoint; "" drops a label. Other labels keep their names.
        new_labels: True if classes that the checkpoint lacks may start as in a new classifier.

    Raises:
        AttritionError: the labels do not match; the classifier is not one linear layer; or a setting has no effect.
    """
    renamed = renamed or {}
    own = pretrained.head
    if head == "fresh":
        if renamed or new_labels:
            raise AttritionError('model.head = "fresh" leaves no label to use. Leave out model.labels and model.new_labels.')
        if own is None and not pretrained.head_problem:
            return pretrained
        note = 'The checkpoint\'s own classifier is left out (model.head = "fresh"): training starts from a fresh one.'
        return dataclasses.replace(pretrained, head=None, head_problem="", note=_joined(pretrained.note, note))
    if pretrained.head_problem:
        raise AttritionError(f"Model {pretrained.name!r}: {pretrained.head_problem} {FRESH}")
    if own is None:
        if renamed or new_labels:
            raise AttritionError(
                f"Model {pretrained.name!r} has no classifier of its own. Leave out model.labels and model.new_labels."
            )
        return pretrained
    row_of = _rows(own.labels, classes, renamed, pretrained.name)
    fresh = [each for each in classes if each not in row_of]
    if fresh and not new_labels:
        raise _misfit(pretrained.name, extra=[], missing=fresh, labels=own.labels, classes=classes)
    if len(fresh) == len(classes):
        raise AttritionError(f"Model {pretrained.name!r}: no label of its classifier is used. {FRESH}")
    known = tuple(each for each in classes if each in row_of)
    rows = torch.tensor([row_of[each] for each in known])
    fitted = Head(known, own.weight_CH[rows], own.bias_C[rows])
    note = f"Training starts from the checkpoint's own classifier: {len(known)} of the study's {len(classes)} classes."
    if fresh:
        note += f" Fresh: {_listed(fresh)}."
    if dropped := [label for label in own.labels if renamed.get(label) == ""]:
        note += f" Dropped labels of the checkpoint: {_listed(dropped)}."
    return dataclasses.replace(
        pretrained,
        head=fitted,
        fingerprint=_fingerprint(pretrained.encoder_fingerprint, fitted),
        note=_joined(pretrained.note, note),
    )


def _rows(labels: Sequence[str], classes: Sequence[str], renamed: Mapping[str, str], name: str) -> dict[str, int]:
    """Return the row of the checkpoint's classifier by class of the study."""
    for label, target in renamed.items():
        if label not in labels:
            raise unknown(label, labels, kind="label of the checkpoint", where="model.labels")
        if target and target not in classes:
            raise unknown(target, classes, kind="class of the study", where=f"model.labels.{label}")
    row_of: dict[str, int] = {}
    extra: list[str] = []
    for row, label in enumerate(labels):
        target = renamed.get(label, label)
        if not target:
            continue
        if target not in classes:
            extra.append(label)
        elif target in row_of:
            raise AttritionError(
                f"Model {name!r}: the labels {labels[row_of[target]]!r} and {label!r} both become {target!r}. "
                'Give one of them "" in model.labels to drop it.'
            )
        else:
            row_of[target] = row
    if extra:
        raise _misfit(name, extra, [each for each in classes if each not in row_of], labels, classes)
    return row_of


def _misfit(
    name: str, extra: Sequence[str], missing: Sequence[str], labels: Sequence[str], classes: Sequence[str]
) -> AttritionError:
    parts = [f"Model {name!r}: the labels of its classifier ({len(labels)}) do not fit the study's classes ({len(classes)})."]
    if missing:
        parts.append(f"The checkpoint lacks {_listed(missing, extra)}.")
    if extra:
        parts.append(f"The study has no {_listed(extra, missing)}.")
    todo = ['Map labels in a table [model.labels] (CHECKPOINT_LABEL = STUDY_LABEL, or "" to drop one)']
    if missing:
        todo.append("set model.new_labels = true to start missing classes fresh")
    return AttritionError(f"{' '.join(parts)} {'; '.join(todo)}. {FRESH}")


def _listed(names: Sequence[str], alike: Sequence[str] = ()) -> str:
    """Return the first names in quotes, each with the nearest name of `alike`."""
    shown = []
    for each in names[:_LISTED]:
        guess = nearest(each, alike)
        shown.append(f"{each!r} (nearest: {guess!r})" if guess else repr(each))
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(shown) + more


def _joined(*notes: str) -> str:
    return " ".join(each for each in notes if each)


def _fingerprint(encoder: str, head: Head) -> str:
    digest = hashlib.sha256(encoder.encode())
    for label in head.labels:
        digest.update(f"\0{label}".encode())
    for tensor in (head.weight_CH, head.bias_C):
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
