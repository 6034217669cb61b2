"""The hyper-parameters of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attrition.names import AttritionError

Schedule = Literal["linear", "constant"]


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Hyper-parameters of one stage.

    Attributes:
        epochs: largest number of passes over the training utterances.
        batch_size: utterances in a step.
        learning_rate: peak rate of the encoder or adapter.
        head_learning_rate: peak rate of the classifier. It must be larger: token vectors of E5 are nearly parallel, and with
            the encoder's rate the classifier keeps predicting only "O".
        schedule: "linear" (falls to 0 at the end of the last epoch) or "constant".
        warmup: share of all steps in which the rate rises from 0.
        weight_decay: decoupled (AdamW); not applied to biases and layer norms, as in the Hugging Face Trainer.
        max_grad_norm: gradients of a learner are clipped to this norm; 0 switches clipping off.
        patience: a learner stops after this number of epochs without a better dev F1; None: no early stopping.
        keep: epoch whose weights are kept: "best" (largest dev F1) or "last".
        dropout: of hidden states and attention; None uses the model's configuration. LoRA dropout belongs to the method.
        beta1, beta2, epsilon: of AdamW.
    """

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-2
    schedule: Schedule = "linear"
    warmup: float = 0.1
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    patience: int | None = None
    keep: Literal["best", "last"] = "best"
    dropout: float | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        limits: list[tuple[str, float | None, float, float]] = [
            ("epochs", self.epochs, 1, 100_000),
            ("batch_size", self.batch_size, 1, 100_000),
            ("learning_rate", self.learning_rate, 0, 10),
            ("head_learning_rate", self.head_learning_rate, 0, 10),
            ("warmup", self.warmup, 0, 1),
            ("weight_decay", self.weight_decay, 0, 10),
            ("max_grad_norm", self.max_grad_norm, 0, 1e9),
            ("patience", self.patience, 1, 100_000),
            ("dropout", self.dropout, 0, 0.99),
            ("beta1", self.beta1, 0, 0.9999999),
            ("beta2", self.beta2, 0, 0.9999999),
            ("epsilon", self.epsilon, 1e-30, 1),
        ]
        for name, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise AttritionError(f"training.{name} = {value} is not allowed: give a number from {low:g} to {high:g}.")

    def rate(self, step: int, total_steps: int) -> float:
        """Return the factor of the learning rates at `step` (from 0), as in `get_linear_schedule_with_warmup`.

        >>> settings = TrainingSettings(warmup=0.2)
        >>> [round(settings.rate(step, 10), 3) for step in (0, 1, 2, 6, 9)]
        [0.0, 0.5, 1.0, 0.5, 0.125]
        """
        warm = round_up(self.warmup * total_steps)
        if step < warm:
            return step / max(1, warm)
        if self.schedule == "constant":
            return 1.0
        return max(0.0, (total_steps - step) / max(1, total_steps - warm))


def round_up(value: float) -> int:
    """Return the smallest integer not below `value`, as the Hugging Face Trainer rounds its warm-up steps."""
    return int(-(-value // 1))
