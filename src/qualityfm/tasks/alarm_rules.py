"""Rules on rates and gaps, as published entries of the 2015 challenge use them: no learning, the second baseline.

Source: rules per alarm on ECG, PPG and ABP beats, Plesinger et al., CinC 2015:281, and Clifford et al., Physiol Meas
37:E5, 2016; limits are those of the alarms' definitions (asystole: no beat for 4 s; bradycardia: below 40 a minute for
5 beats; tachycardia: above 140 for 17 beats; VT: five ventricular beats above 100; VF: a pure line for 4 s).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64

from qualityfm.tasks.alarms import ASYSTOLE, BRADYCARDIA, TACHYCARDIA, VF, VT
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import FeatureTable

Column = Callable[[str], Float64[np.ndarray, " example"]]


def rule_scores(table: FeatureTable, examples: Sequence[Example]) -> Float64[np.ndarray, " example"]:
    """Return for each alarm how far its rule is met: 0 is the limit, above 0 it is met; NaN without any beats.

    Args:
        table: Features of alarms.
        examples: Where they come from; `kind` chooses the rule.
    """

    def column(name: str) -> Float64[np.ndarray, " example"]:
        known = name in table.names
        return table.values[:, table.names.index(name)] if known else np.full(len(examples), np.nan)

    rules = {
        ASYSTOLE: _least(column("ecg_low_longest_gap_s") / 4 - 1, column("pulse_low_longest_gap_s") / 4 - 1),
        BRADYCARDIA: _least(1 - column("ecg_high_slowest4_bpm") / 40, 1 - column("pulse_high_slowest4_bpm") / 40),
        TACHYCARDIA: _most(column("ecg_high_fastest12_bpm") / 140 - 1, column("ecg_high_fastest5_bpm") / 140 - 1),
        VF: column("ecg_high_purity_max") / 0.5 - 1,
        VT: _least(column("ecg_high_unlike_run") / 5 - 1, 0.9 - column("pulse_low_steady_share")),
    }
    kinds = np.array([example.kind for example in examples])
    scores = np.full(len(examples), np.nan)
    for kind, rule in rules.items():
        scores[kinds == kind] = rule[kinds == kind]
    return scores


def _least(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the lower one where both are known, the known one elsewhere: a pulse that goes on denies the alarm."""
    return np.asarray(np.fmin(first, second))


def _most(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(np.fmax(first, second))
