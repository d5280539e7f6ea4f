"""A frozen body's features of windows, for models that are no networks: beside hand-made features, for instance."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64

from qualityfm.finetune.body import Body
from qualityfm.finetune.data import WindowSet
from qualityfm.finetune.learn import each_features
from qualityfm.models.task_head import TaskHeadConfig


def body_features(body: Body, windows: WindowSet, *, seed: int = 0) -> Float64[np.ndarray, "example feature"]:
    """Return mean, deviation and maximum of each of the body's features over a window, then the channels' levels.

    Nothing is learnt from the windows, so the features of all examples may be made at once.

    Args:
        body: Frozen; an untrained one is drawn with `seed`.
        windows: Of any examples.
        seed: Of an untrained body.
    """
    torch.manual_seed(seed)
    head = TaskHeadConfig(num_outputs=1, num_levels=windows.levels.shape[1])
    network = body.network(head, windows.config.segment_s)
    return np.asarray(torch.cat(list(each_features(network, windows))).numpy(), np.float64)
