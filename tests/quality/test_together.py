"""Whose time runs wrong: what several channels of one heart say."""

import numpy as np
import pytest

from qualityfm.quality import score_block
from qualityfm.records import Cause


def played(line, speed):
    """The line as a file gives it that names a wrong rate."""
    return np.interp(np.arange(3750) * speed % 3740, np.arange(3750), line).astype(np.float32)


@pytest.mark.parametrize("speed", [0.5, 0.7, 1.4, 2.0])
def test_the_channel_whose_time_runs_wrong_is_named_and_no_other(
    make_block, make_ecg, make_ppg, irregular_beats, speed
):
    ecg, ppg = make_ecg(irregular_beats), make_ppg(irregular_beats)
    block = make_block(("ecg", ecg), ("ecg", -0.8 * ecg), ("ppg", played(ppg, speed)), ("abp", 30 * ppg))
    has_cause = (score_block(block).causes[0] & Cause.WRONG_RATE > 0).mean(axis=1)
    assert has_cause[[0, 1, 3]].max() == 0
    assert has_cause[2] > 0.9


def test_a_pulse_that_misses_every_second_beat_of_the_ecg_has_no_wrong_rate(make_block, ecg, ppg, make_ppg):
    half = make_ppg(np.arange(-1.4, 31, 1.7))
    block = make_block(("ecg", ecg), ("ecg", 0.8 * ecg), ("ppg", half), ("abp", 30 * ppg))
    assert not (score_block(block).causes & Cause.WRONG_RATE).any()


def test_a_rail_on_which_a_line_rests_for_seconds_is_saturation_and_flat(make_block, ppg):
    line = ppg.copy()
    line[125 * 8 : 125 * 26] = 7.0
    causes = score_block(make_block(("ppg", line))).causes[0, 0, 9:25]
    assert (causes & Cause.FLAT > 0).all()
    assert (causes & Cause.SATURATION > 0).all()


def test_a_line_that_rests_inside_its_range_is_flat_only(make_block, ppg):
    line = ppg.copy()
    line[125 * 8 : 125 * 26] = 2.4
    causes = score_block(make_block(("ppg", line))).causes[0, 0, 10:24]
    assert (causes & Cause.FLAT > 0).all()
    assert not (causes & Cause.SATURATION).any()
