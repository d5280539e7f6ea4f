"""What is better done before the first request than by it."""

from __future__ import annotations

import gc
from collections.abc import Callable

from qualityfm.records import QualityScore, Recording
from qualityfm.waveform.simulate import SimulationConfig, simulate


def warm_up(score: Callable[[Recording], QualityScore]) -> None:
    """Score once, so that loops are compiled and modules loaded, and spare the collector what will stay.

    A request of 30 s would else wait for the compiler, and each full collection would walk all modules anew.
    """
    score(simulate(0, SimulationConfig(duration_s=30.0)).recording)
    gc.collect()
    gc.freeze()
