"""The linear probe: the head alone, fitted on the features of a frozen body; also where other training begins."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from qualityfm.finetune.losses import task_loss
from qualityfm.models.question import Answer
from qualityfm.models.task_head import TaskHead

#: Steps of the quasi-Newton method; it stops before where the gradient vanishes.
MAX_STEPS = 100


def fit_probe(
    head: TaskHead,
    answer: Answer,
    features: Float[Tensor, "example feature"],
    kind: Int[Tensor, " example"],
    truth: Float[Tensor, "example label"],
    weight: Float[Tensor, " example"],
    ridge: float,
) -> None:
    """Fit the linear map of a head to features, in place; the result depends on the data alone.

    Args:
        head: Whose standardisation and weights are set.
        answer: What the outputs are.
        features: From `TaskHead.features`.
        kind: Of each example; -1 for unknown.
        truth: As `task_loss` takes it.
        weight: Of each example.
        ridge: Half of it times the squared weights is added to the mean loss; the biases are free.
    """
    head.fit_standard(features)
    standard = head.standardise(features)
    parameters = [head.to_output.weight, head.to_output.bias, head.deviation]
    with torch.no_grad():
        for parameter in parameters:
            parameter.zero_()
    optimizer = torch.optim.LBFGS(parameters, max_iter=MAX_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        squared = head.to_output.weight.square().sum() + head.deviation.square().sum()
        loss = task_loss(answer, head.map(standard, kind), truth, weight) + 0.5 * ridge * squared
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch leaves it untyped
