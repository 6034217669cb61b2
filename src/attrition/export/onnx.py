"""A token classification model as an ONNX file, checked against the model in ONNX Runtime."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attrition.names import AttritionError

_TOLERANCE = 1e-3
_OPSET = 18
_TIMED = 15


@dataclass(frozen=True)
class OnnxFile:
    """Measurements of an ONNX file: bytes, largest difference of a logit, and milliseconds per utterance."""

    num_bytes: int
    difference: float
    milliseconds: float
    torch_milliseconds: float
    num_tokens: int

    @property
    def statement(self) -> str:
        """The measurements in sentences.

        >>> OnnxFile(2_500_000, 1e-6, 1.0, 2.0, 12).statement
        'model.onnx has 2.5 MB. Its logits differ from PyTorch by at most 1.0e-06. One utterance of 12 tokens takes 1.00 ms
        with ONNX Runtime and 2.00 ms with PyTorch (medians, CPU, one thread, measured at export).'
        """
        return (
            f"model.onnx has {self.num_bytes / 1e6:.1f} MB. Its logits differ from PyTorch by at most {self.difference:.1e}. "
            f"One utterance of {self.num_tokens} tokens takes {self.milliseconds:.2f} ms with ONNX Runtime and "
            f"{self.torch_milliseconds:.2f} ms with PyTorch (medians, CPU, one thread, measured at export)."
        )


class _Logits(nn.Module):
    """A model whose arguments and result are tensors, as ONNX needs."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.module(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def require_onnx() -> None:
    """Refuse if onnx or onnxruntime is not installed.

    Raises:
        AttritionError: a package is missing.
    """
    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise AttritionError(f"--onnx needs the package {package}. Install it: pip install 'attrition[onnx]'.")


def write_onnx(path: Path, module: Any, ids: Sequence[int]) -> OnnxFile:
    """Write a model as ONNX, compare its logits with the model's, and return size and speed.

    Inputs: `input_ids` and `attention_mask` (int64 [batch, tokens], both sizes dynamic). Output: `logits` (float32
    [batch, tokens, classes]). The comparison uses two utterances, one of them padded.

    Args:
        path: of the new file.
        module: a token classification model of `transformers`.
        ids: tokens of one utterance, for tracing and timing.

    Raises:
        AttritionError: the model cannot be written as ONNX, or its logits differ by more than 0.001.
    """
    import onnxruntime

    module.set_attn_implementation("eager")
    whole = torch.tensor([ids])
    short = len(ids) // 2
    both = torch.cat([whole, whole])
    mask = torch.ones_like(both)
    mask[1, short:] = 0
    # The exporter restores the wrapper's mode, so the wrapper must be in evaluation mode too.
    logits = _Logits(module).eval()
    free = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask", "logits")}
    try:
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter warns that it is deprecated, and about each constant from the example.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                logits, (both, mask), str(path), input_names=list(free)[:2], output_names=["logits"], dynamic_axes=free,
                opset_version=_OPSET, dynamo=False,
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError, IndexError, torch.onnx.errors.OnnxExporterError) as error:
        path.unlink(missing_ok=True)
        raise AttritionError(f"This architecture cannot be written as ONNX ({error}). Leave out --onnx.") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def theirs(input_ids: Tensor, attention_mask: Tensor) -> Any:
        return session.run(["logits"], {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()})[0]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            # Sizes that differ from the traced ones show a size that was traced as a constant.
            longer = torch.cat([both, both[:, 1:]], dim=1).repeat(2, 1)
            wider = torch.cat([mask, mask[:, 1:] * mask[:, -1:]], dim=1).repeat(2, 1)
            difference = max(_difference(logits, theirs, *each) for each in ((both, mask), (longer, wider)))
            alone = torch.ones_like(whole)
            milliseconds = _milliseconds(lambda: theirs(whole, alone))
            torch_milliseconds = _milliseconds(lambda: logits(whole, alone))
    finally:
        torch.set_num_threads(threads)
    if not difference <= _TOLERANCE:
        path.unlink()
        raise AttritionError(f"The ONNX file's logits differ from the model's by {difference:.2g}. Leave out --onnx.")
    return OnnxFile(path.stat().st_size, difference, milliseconds, torch_milliseconds, len(ids))


def _difference(ours: Callable[..., Tensor], theirs: Callable[..., Any], input_ids: Tensor, attention_mask: Tensor) -> float:
    """Return the largest difference of a logit, padding excluded."""
    apart = np.abs(ours(input_ids, attention_mask).numpy() - theirs(input_ids, attention_mask))
    return float(apart[attention_mask.bool().numpy()].max())


def _milliseconds(call: Callable[[], Any]) -> float:
    taken = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - start))
    return median(taken)
