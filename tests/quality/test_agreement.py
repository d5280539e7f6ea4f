import numpy as np
import pytest

from qualityfm.quality import score_block
from qualityfm.records import Cause

#: Beats at a rate that the heart of the fixtures does not have.
OTHER_HEART_S = np.arange(-1, 31, 0.71)


@pytest.mark.parametrize("delay_s", [0.0, 0.4, 1.5])
def test_a_pulse_that_follows_each_irregular_beat_agrees(make_block, make_ecg, make_ppg, irregular_beats, delay_s):
    score = score_block(make_block(("ecg", make_ecg(irregular_beats)), ("ppg", make_ppg(irregular_beats + delay_s))))
    assert not (score.causes & Cause.DISAGREEMENT).any()


def test_a_pulse_of_another_heart_disagrees_and_costs_both_channels(make_block, ecg, make_ppg):
    score = score_block(make_block(("ecg", ecg), ("ppg", make_ppg(OTHER_HEART_S))))
    alone = score_block(make_block(("ecg", ecg), ("ppg", None)))
    assert (score.causes & Cause.DISAGREEMENT > 0).all()
    assert (score.quality[0, 0] < 0.8 * alone.quality[0, 0]).all()


def test_a_lead_that_agrees_speaks_for_the_pulse(make_block, ecg, make_ecg, ppg):
    block = make_block(("ecg", ecg), ("ecg", make_ecg(OTHER_HEART_S)), ("abp", 30 * ppg))
    causes = score_block(block).causes[0] & Cause.DISAGREEMENT
    assert (causes > 0).any(axis=1).tolist() == [False, True, False]


def test_a_channel_that_is_bad_by_itself_accuses_no_other(make_block, ecg, ppg):
    score = score_block(make_block(("ecg", ecg), ("ppg", np.full_like(ppg, 1.0))))
    assert not (score.causes & Cause.DISAGREEMENT).any()
