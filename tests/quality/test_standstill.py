"""A pulse that is lost with the heartbeat, and one that is lost alone."""

import numpy as np
import pytest

from qualityfm.quality import score_block
from qualityfm.records import Cause

STOPS_S = 18.0
LOST = slice(20, 29)
EXCUSED = Cause.LOW_AMPLITUDE | Cause.BASELINE | Cause.NOISE | Cause.FLAT | Cause.MOTION


@pytest.fixture
def stopping(regular_beats):
    return regular_beats[regular_beats < STOPS_S]


def fibrillating(ecg):
    """The line with fibrillation from the standstill on."""
    time_s = np.arange(len(ecg)) / 125
    wave = 0.3 * np.sin(2 * np.pi * (5 * time_s + 0.4 * np.sin(2 * np.pi * 0.3 * time_s)))
    return (ecg + wave * np.clip(time_s - STOPS_S - 0.4, 0, 1)).astype(np.float32)


@pytest.mark.parametrize("ends", ["in standstill", "in fibrillation"])
def test_a_pulse_lost_with_the_heartbeat_is_no_fault(make_block, make_ecg, make_ppg, stopping, ends):
    ecg = make_ecg(stopping) if ends == "in standstill" else fibrillating(make_ecg(stopping))
    score = score_block(make_block(("ecg", ecg), ("ppg", make_ppg(stopping))))
    assert not (score.causes[0, :, LOST] & EXCUSED).any()
    assert score.quality[0, :, LOST].min() > 0.7


def test_a_pulse_lost_while_the_heart_beats_is_named(make_block, ecg, make_ppg, stopping):
    score = score_block(make_block(("ecg", ecg), ("ppg", make_ppg(stopping))))
    assert (score.causes[0, 1, LOST] & Cause.LOW_AMPLITUDE > 0).mean() > 0.8


def test_an_ecg_that_falls_silent_while_the_pulse_goes_on_is_named(make_block, make_ecg, ppg, stopping):
    score = score_block(make_block(("ecg", make_ecg(stopping)), ("ppg", ppg)))
    assert (score.causes[0, 0, LOST] & Cause.LOW_AMPLITUDE > 0).mean() > 0.8


def test_a_second_lead_that_beats_excuses_no_silence(make_block, make_ecg, ecg, make_ppg, stopping):
    score = score_block(make_block(("ecg", make_ecg(stopping)), ("ecg", ecg), ("ppg", make_ppg(stopping))))
    assert (score.causes[0, 0, LOST] & Cause.LOW_AMPLITUDE > 0).mean() > 0.8
    assert (score.causes[0, 2, LOST] & Cause.LOW_AMPLITUDE > 0).mean() > 0.8


def test_noise_on_a_lost_pulse_is_still_named(make_block, make_ecg, make_ppg, stopping):
    pulse = make_ppg(stopping)
    pulse[125 * 22 : 125 * 28] += np.random.default_rng(1).normal(0, 0.3, 125 * 6).astype(np.float32)
    score = score_block(make_block(("ecg", fibrillating(make_ecg(stopping))), ("ppg", pulse)))
    assert (score.causes[0, 1, 23:27] & Cause.NOISE > 0).all()
