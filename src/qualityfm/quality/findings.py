"""What the classical indices found in every second, as numbers for a learned score to weigh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from qualityfm.quality.score import judge_channels
from qualityfm.quality.together import judge_together
from qualityfm.records import Cause
from qualityfm.segments import SegmentBlock

#: Causes whose mistrust is a finding, in this order; checkpoints depend on it.
FOUND_CAUSES = (Cause.DROPOUT, *Cause.learnable())

#: Findings of a second: whether there is such a channel, the mistrust for each cause, and that of all together.
NUM_FINDINGS = 2 + len(FOUND_CAUSES)


def find_signs(block: SegmentBlock) -> Float32[np.ndarray, "segment channel second finding"]:
    """Return the findings of every second, each in [0, 1]: 0 for "nothing against it", and all 0 in an empty slot.

    They are what `score_block` makes its quality and causes from, before anything is cut off.

    Example:
        >>> from qualityfm.segments import SegmentConfig, cut_block
        >>> from qualityfm.waveform.simulate import SimulationConfig, simulate
        >>> block = cut_block(simulate(1, SimulationConfig(duration_s=30.0)).clean, SegmentConfig())
        >>> find_signs(block).shape == (1, 4, 30, NUM_FINDINGS)
        True
    """
    num_segments, num_channels = block.values.shape[:2]
    found = np.zeros((num_segments, num_channels, block.config.num_seconds, NUM_FINDINGS), np.float32)
    if not found.size or not block.values.size:
        return found
    judged = judge_channels(block)
    quality = np.zeros(found.shape[:3], np.float32)
    for slot, judgement in judged.items():
        found[:, slot, :, 0] = 1
        quality[:, slot] = 1
        for cause, trust in judgement.trusts.items():
            quality[:, slot] *= trust
            if cause in FOUND_CAUSES:
                found[:, slot, :, 1 + FOUND_CAUSES.index(cause)] = 1 - trust
    for slot, trusts in judge_together(block.config.channels, judged, quality).items():
        for cause, trust in trusts.items():
            quality[:, slot] *= trust
            among = found[:, slot, :, 1 + FOUND_CAUSES.index(cause)]
            np.maximum(among, 1 - trust, out=among)
    for slot in judged:
        found[:, slot, :, -1] = 1 - quality[:, slot]
    return np.clip(np.nan_to_num(found, nan=1.0), 0, 1)
