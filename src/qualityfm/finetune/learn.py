"""One training of a task: probe first, then all weights or an adapter, stopped where the watched patients say."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from qualityfm.errors import FormatError, problem
from qualityfm.finetune.augment import change
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.losses import class_weights, task_loss
from qualityfm.finetune.probe import fit_probe
from qualityfm.models.low_rank import add_low_rank, fold_low_rank
from qualityfm.models.question import Answer
from qualityfm.models.task_head import MIN_SPREAD
from qualityfm.models.task_network import TaskNetwork
from qualityfm.training.schedule import warmup_cosine

#: Windows that go through the network together when nothing is learnt.
SCORE_BATCH = 64

#: Depth of what comes after all layers.
LAST = 1000

#: Called with epoch, number of epochs, and the loss on the watched windows.
Report = Callable[[int, int, float], None]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """How a training went.

    Attributes:
        best_epoch: Epoch whose weights were kept; 0 is the probe.
        losses: Loss on the watched windows after each epoch, from 0 on; empty without any.
    """

    best_epoch: int
    losses: tuple[float, ...]


def learn(
    network: TaskNetwork,
    answer: Answer,
    windows: WindowSet,
    config: FinetuneConfig,
    *,
    is_trained: bool = True,
    watched: WindowSet | None = None,
    num_epochs: int | None = None,
    report: Report | None = None,
) -> Learned:
    """Teach a network a task, in place.

    Args:
        network: With a new head.
        answer: What the outputs are.
        windows: To learn from; all have labels.
        config: How.
        is_trained: Whether the body was pre-trained, so that a probe of its features is a good start.
        watched: Windows of other patients: training stops when their loss no longer falls, and goes back to the best.
        num_epochs: Without `watched`: how many epochs to train.
        report: Called after each epoch.

    Raises:
        FormatError: The loss is not finite.
    """
    _set_units(network, answer, windows)
    if is_trained or config.how == "probe":
        _start_from_probe(network, answer, windows, config)
    losses = [] if watched is None else [_loss_on(network, answer, watched)]
    if config.how == "probe":
        return Learned(best_epoch=0, losses=tuple(losses))
    adapted = add_low_rank(network.encoder, config.rank) if config.how == "adapter" else []
    groups = _rates(network, config) if config.how == "full" else _adapter_rates(network, adapted, config)
    optimizer = torch.optim.AdamW(groups)
    total = config.max_epochs if watched is not None or num_epochs is None else num_epochs
    best_epoch, best = 0, copy.deepcopy(network.state_dict())
    rng = torch.Generator().manual_seed(config.seed)
    for epoch in range(1, total + 1):
        _one_epoch(network, answer, windows, config, optimizer, rng, epoch, config.max_epochs)
        if watched is None:
            best_epoch = epoch
        else:
            losses.append(_loss_on(network, answer, watched))
            if losses[-1] < losses[best_epoch]:
                best_epoch, best = epoch, copy.deepcopy(network.state_dict())
        if report is not None:
            report(epoch, total, losses[-1] if losses else float("nan"))
        if epoch - best_epoch >= config.patience:
            break
    if watched is not None:
        network.load_state_dict(best)
    fold_low_rank(network.encoder)
    return Learned(best_epoch=best_epoch, losses=tuple(losses))


def _set_units(network: TaskNetwork, answer: Answer, windows: WindowSet) -> None:
    """Set the units in which the head gives quantities, and those of the levels; pooled features stay as they are."""
    head = network.head
    num_levels = windows.levels.shape[1]
    with torch.no_grad():
        head.center[-num_levels:] = torch.from_numpy(windows.levels.mean(axis=0))
        head.spread[-num_levels:] = torch.from_numpy(windows.levels.std(axis=0)).clamp(min=MIN_SPREAD)
        if answer == "regression":
            head.output_center.copy_(torch.from_numpy(np.nanmean(windows.truth, axis=0)))
            head.output_spread.copy_(torch.from_numpy(np.nanstd(windows.truth, axis=0)).clamp(min=MIN_SPREAD))


def _start_from_probe(network: TaskNetwork, answer: Answer, windows: WindowSet, config: FinetuneConfig) -> None:
    """Fit the head on the body's features.

    Source: Kumar et al., Fine-Tuning can Distort Pretrained Features, ICLR (2022): a probe first.
    """
    head = network.head
    truth = torch.from_numpy(windows.truth).float()
    weight = class_weights(answer, truth, config.balanced)
    features = torch.cat(list(each_features(network, windows)))
    kind = torch.from_numpy(windows.kind)
    fit_probe(head, answer, features, kind, _standard(network, answer, truth), weight, config.ridge)


def _standard(network: TaskNetwork, answer: Answer, truth: Tensor) -> Tensor:
    """Return labels in the units in which the head speaks."""
    return (truth - network.head.output_center) / network.head.output_spread if answer == "regression" else truth


@torch.no_grad()
def each_features(network: TaskNetwork, windows: WindowSet) -> Iterator[Tensor]:
    """Yield what the head sees of windows, batch by batch, [batch feature]; the network is in evaluation mode then."""
    network.eval()
    for first in range(0, len(windows), SCORE_BATCH):
        part = slice(first, first + SCORE_BATCH)
        values, levels = torch.from_numpy(windows.values[part]), torch.from_numpy(windows.levels[part])
        yield network.head.features(network.encode(values), levels)


@torch.no_grad()
def outputs_of(network: TaskNetwork, windows: WindowSet) -> Float[Tensor, "example output"]:
    """Return the outputs of a network for windows: logits, or values in units of the head's spread."""
    parts = []
    kind = torch.from_numpy(windows.kind)
    for number, features in enumerate(each_features(network, windows)):
        part = slice(number * SCORE_BATCH, (number + 1) * SCORE_BATCH)
        parts.append(network.head.map(network.head.standardise(features), kind[part]))
    return torch.cat(parts)


def _loss_on(network: TaskNetwork, answer: Answer, windows: WindowSet) -> float:
    """Return the loss on windows that are not learnt from, each class weighing the same."""
    truth = torch.from_numpy(windows.truth).float()
    weight = class_weights(answer, truth, True)
    return float(task_loss(answer, outputs_of(network, windows), _standard(network, answer, truth), weight))


def _one_epoch(
    network: TaskNetwork,
    answer: Answer,
    windows: WindowSet,
    config: FinetuneConfig,
    optimizer: torch.optim.Optimizer,
    rng: torch.Generator,
    epoch: int,
    num_epochs: int,
) -> None:
    truth = torch.from_numpy(windows.truth).float()
    weight = class_weights(answer, truth, config.balanced)
    target, kind = _standard(network, answer, truth), torch.from_numpy(windows.kind)
    order = torch.randperm(len(windows), generator=rng)
    num_steps = math.ceil(len(windows) / config.batch_size)
    network.train()
    for step, chosen in enumerate(torch.split(order, config.batch_size)):
        _set_rates(optimizer, (epoch - 1) * num_steps + step, num_epochs * num_steps, config)
        values = change(torch.from_numpy(windows.values[chosen.numpy()]), config, rng)
        levels = torch.from_numpy(windows.levels[chosen.numpy()])
        outputs = network(values, levels, kind[chosen])
        loss = task_loss(answer, outputs, target[chosen], weight[chosen], config.label_smoothing)
        _require_finite(loss)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip or float("inf"))
        optimizer.step()


def _require_finite(loss: Tensor) -> None:
    if not torch.isfinite(loss):
        expected, advice = "a finite number", "try a lower learning rate"
        raise FormatError(
            problem(
                "training broke down", where="step", field="loss", found=float(loss), expected=expected, advice=advice
            )
        )


def _set_rates(optimizer: torch.optim.Optimizer, step: int, num_steps: int, config: FinetuneConfig) -> None:
    share = warmup_cosine(1.0, 0.0, step, num_steps, config.warmup_share)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def _rates(network: TaskNetwork, config: FinetuneConfig) -> list[dict[str, object]]:
    """Return parameter groups: the head fastest, each layer below slower than the one above it.

    Source: Howard and Ruder, Universal Language Model Fine-tuning (ULMFiT), ACL (2018), section 3.2.
    """
    named = list(network.encoder.named_parameters())
    deepest = 1 + max(_depth(name) for name, _ in named if _depth(name) < LAST)
    depths = [min(_depth(name), deepest) for name, _ in named]
    groups = [_group(network.head.parameters(), config.learning_rate * config.head_rate, config)]
    for depth in sorted(set(depths)):
        members = [parameter for (_, parameter), at in zip(named, depths, strict=True) if at == depth]
        groups.append(_group(members, config.learning_rate * config.layer_decay ** (deepest - depth), config))
    return groups


def _adapter_rates(
    network: TaskNetwork, added: list[torch.nn.Parameter], config: FinetuneConfig
) -> list[dict[str, object]]:
    head = _group(network.head.parameters(), config.learning_rate * config.head_rate, config)
    return [head, _group(added, config.learning_rate * config.head_rate, config)] if added else [head]


def _group(parameters: Iterable[Tensor], peak: float, config: FinetuneConfig) -> dict[str, object]:
    return {"params": list(parameters), "peak": peak, "lr": peak, "weight_decay": config.weight_decay}


def _depth(name: str) -> int:
    """Return the number of a parameter's layer: 0 for the tokeniser, 1 for the first layer, the last's for the rest."""
    found = re.search(r"(?:layers|blocks)\.(\d+)\.", name)
    if found:
        return int(found.group(1)) + 1
    return 0 if name.startswith(("tokeniser", "stem", "norm.", "summary", "mask_token")) else LAST
