import numpy as np
import pytest
import wfdb

from qualityfm.errors import SignalError
from qualityfm.quality import score_block
from qualityfm.quality.usable import usable_for
from qualityfm.records import Cause, ChannelKind

USES = ["heart rate", "rhythm", "VT", "pressure"]


def uses_of(kind, quality, causes=None, unit="mmHg", length_s=30.0):
    quality = np.asarray(quality, np.float32).reshape(1, 1, -1)
    flags = np.zeros(quality.shape, np.uint16) if causes is None else np.full(quality.shape, int(causes), np.uint16)
    found = usable_for((kind,), (unit,), quality, flags, np.array([length_s]))
    return {use for use, is_usable in found.items() if is_usable[0]}


def test_a_good_ecg_serves_every_use_but_pressure():
    assert uses_of(ChannelKind.ECG, np.ones(30)) == {"heart rate", "rhythm", "VT"}


def test_a_good_pulse_gives_the_heart_rate_alone():
    assert uses_of(ChannelKind.PPG, np.ones(30)) == {"heart rate"}


@pytest.mark.parametrize(("unit", "uses"), [("mmHg", {"heart rate", "pressure"}), ("NU", {"heart rate"})])
def test_only_a_channel_in_mmhg_gives_a_pressure(unit, uses):
    assert uses_of(ChannelKind.ABP, np.ones(30), unit=unit) == uses


def test_three_lost_seconds_are_too_many_for_vt_and_few_enough_for_rhythm():
    quality = np.ones(30)
    quality[10:13] = 0
    assert uses_of(ChannelKind.ECG, quality) == {"heart rate", "rhythm"}


def test_scattered_seconds_serve_nothing():
    assert uses_of(ChannelKind.ECG, np.arange(30) % 5 > 0) == set()


def test_time_that_runs_wrong_serves_nothing():
    assert uses_of(ChannelKind.ABP, np.ones(30), Cause.WRONG_RATE) == set()


def test_a_short_segment_is_judged_by_what_there_is():
    assert uses_of(ChannelKind.ECG, np.r_[np.ones(4), np.zeros(26)], length_s=4.0) == {"heart rate", "rhythm", "VT"}


def test_the_score_knows_its_uses_and_shows_them(make_block, ecg):
    score = score_block(make_block(("ecg", ecg)))
    assert list(score.usable) == USES
    assert score.usable_for("rhythm").tolist() == [True]
    assert score.segments[0]["usable_for"] == "heart rate, rhythm, VT"
    assert "usable for heart rate, rhythm, VT" in repr(score)


def test_a_segment_says_what_speaks_against_each_channel_and_for_how_long(make_block, ecg):
    spoilt = ecg.copy()
    spoilt[: len(spoilt) // 5] = 0
    score = score_block(make_block(("ecg", spoilt), ("ppg", np.zeros_like(ecg))))
    words = score.segments[0]["causes"]
    assert words.count("; ") == 1
    assert "flat 6 s" in words.split("; ")[0]
    assert "flat 30 s" in words.split("; ")[1]
    assert words in repr(score)


def test_an_unknown_use_is_refused_with_the_known_ones(make_block, ecg):
    with pytest.raises(SignalError, match=r"use: found 'sleep', expected one of heart rate, rhythm, VT, pressure"):
        score_block(make_block(("ecg", ecg))).usable_for("sleep")


def test_annotations_come_back_from_their_file(make_block, ecg, ppg, tmp_path):
    ecg[1250:1500] = ecg[1250]
    score = score_block(make_block(("ecg", ecg), ("ppg", ppg)))
    score.to_wfdb_annotations(sample_rate_hz=125.0).wrann(write_fs=True, write_dir=str(tmp_path))
    read = wfdb.rdann(str(tmp_path / "made"), "qfm")
    assert read.fs == 125
    assert set(read.symbol) == {"~"}
    flat = read.aux_note[list(read.sample).index(1250)]
    assert flat.startswith("ecg0 E flat")
    assert flat.endswith("ppg1 A")


def test_an_annotation_says_which_channels_are_noisy_and_unreadable(make_block, ecg, ppg):
    score = score_block(make_block(("ecg", ecg), ("ppg", np.full_like(ppg, 2.0))))
    assert score.to_wfdb_annotations().subtype.tolist() == [0b100010]


def test_a_state_that_lasts_is_annotated_once(make_block, ecg):
    assert len(score_block(make_block(("ecg", ecg))).to_wfdb_annotations().sample) == 1
