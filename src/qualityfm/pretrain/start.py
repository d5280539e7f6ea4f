"""Where a run's weights begin: at random, or where an earlier run ended."""

from __future__ import annotations

from pathlib import Path

from qualityfm.config import first_difference, to_plain
from qualityfm.errors import ConfigError, problem
from qualityfm.models.checkpoint import load_checkpoint
from qualityfm.pretrain.objective import Objective

#: Settings that may differ: a checkpoint without such heads gets new ones.
HEADS = ("quality_head", "cause_head", "heads_see")


def start_from(objective: Objective, checkpoint: Path) -> str:
    """Give student and teacher the weights of a checkpoint, and return its identity.

    Heads that the checkpoint lacks begin at random.

    Args:
        objective: As built from the preset.
        checkpoint: A checkpoint's folder.

    Raises:
        ConfigError: It is of another shape than the preset.
        FormatError: It cannot be read.
    """
    network, card = load_checkpoint(checkpoint)
    wanted = objective.network
    for name, found, expected in (
        ("segments", to_plain(network.segments), to_plain(wanted.segments)),
        ("model", _body(to_plain(network.config)), _body(to_plain(wanted.config))),
    ):
        if found != expected:
            field, was, now = first_difference(found, expected, name)
            advice = "start from a checkpoint of the same preset"
            raise ConfigError(
                problem(
                    "cannot start there", where=checkpoint, field=field, found=was, expected=repr(now), advice=advice
                )
            )
    for target in (wanted, objective.teacher.network):
        target.load_state_dict(network.state_dict(), strict=False)
    return str(card["weights_sha256"])


def _body(model: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in model.items() if name not in HEADS}
