"""What is minimised: weighed cross-entropy for classes, a robust distance for numbers."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from qualityfm.models.question import Answer


def task_loss(
    answer: Answer,
    outputs: Float[Tensor, "example output"],
    truth: Float[Tensor, "example output"],
    weight: Float[Tensor, " example"],
    smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Return the weighed mean loss of a batch.

    Args:
        answer: What the outputs are: one logit, a logit for each class, or numbers.
        outputs: From the head.
        truth: 0 or 1, a 1 in the column of the class, or values in units of the head's spread; NaN for an
            unknown one.
        weight: Of each example.
        smoothing: Share by which the labels of a classification are drawn to the middle.
    """
    if answer == "regression":
        known = torch.isfinite(truth)
        error = F.smooth_l1_loss(outputs, torch.where(known, truth, outputs.detach()), reduction="none")
        each = error.sum(1) / known.sum(1).clamp(min=1)
    elif answer == "binary":
        target = truth[:, 0] * (1 - smoothing) + smoothing / 2
        each = F.binary_cross_entropy_with_logits(outputs[:, 0], target, reduction="none")
    else:
        each = F.cross_entropy(outputs, truth.argmax(1), reduction="none", label_smoothing=smoothing)
    return torch.as_tensor((each * weight).sum() / weight.sum().clamp(min=1e-9))


def class_weights(answer: Answer, truth: Float[Tensor, "example output"], balanced: bool) -> Float[Tensor, " example"]:
    """Return a weight for each example: the same sum for every class, mean 1; all 1 for numbers."""
    if answer == "regression" or not balanced:
        return torch.ones(len(truth))
    label = truth.argmax(1) if answer == "multiclass" else truth[:, 0]
    _, of_example, counts = torch.unique(label, return_inverse=True, return_counts=True)
    return torch.as_tensor(len(truth) / (len(counts) * counts[of_example].float()))
