from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qualityfm.quality import score as score_module
from qualityfm.quality import score_block, score_quality
from qualityfm.records import Cause, ChannelKind, Recording, Signal
from qualityfm.segments import SegmentBlock, SegmentConfig

KINDS = ("ecg", "ppg", "abp", "other")


def block_of(values: np.ndarray, kinds: tuple[str, ...], sample_rate_hz: float = 125.0) -> SegmentBlock:
    config = SegmentConfig(
        channels=tuple(map(ChannelKind, kinds)),
        sample_rate_hz=sample_rate_hz,
        segment_s=max(1, values.shape[2]) / sample_rate_hz,
    )
    return SegmentBlock(
        recording_id="r",
        subject_id=None,
        config=config,
        names=kinds,
        units=tuple({"ecg": "mV", "abp": "mmHg"}.get(k, "NU") for k in kinds),
        start_s=np.arange(len(values)) * config.segment_s,
        length_s=np.full(len(values), config.segment_s),
        values=values.astype(np.float32),
        is_real=np.isfinite(values),
    )


def assert_sane(block: SegmentBlock) -> None:
    score = score_block(block)
    shape = (len(block), len(block.names), block.config.num_seconds)
    assert score.quality.shape == score.causes.shape == shape
    assert score.quality.dtype == np.float32
    assert score.causes.dtype == np.uint16
    for values in (score.quality, score.overall):
        assert np.isfinite(values).all()
        assert ((values >= 0) & (values <= 1)).all()


def test_clean_waves_are_grade_a(make_block, ecg, ppg):
    score = score_block(make_block(("ecg", ecg), ("ppg", ppg), ("abp", 70 + 40 * ppg)))
    assert score.grades == ["A"]
    assert not score.causes.any()


def test_an_empty_slot_is_absent_and_does_not_count(make_block, ecg):
    score = score_block(make_block(("ecg", ecg), ("ppg", None)))
    assert (score.quality[0, 1] == 0).all()
    assert (score.causes[0, 1] == Cause.ABSENT).all()
    assert score.overall[0] == pytest.approx(score.quality[0, 0].mean(), abs=1e-6)


def test_a_missing_second_is_a_dropout_of_quality_0_and_leaves_its_neighbours_alone(make_block, ecg):
    ecg[1250:1375] = np.nan
    score = score_block(make_block(("ecg", ecg)))
    assert score.quality[0, 0, 10] == 0
    assert score.causes[0, 0, 10] == Cause.DROPOUT
    assert (score.quality[0, 0, [9, 11]] > 0.8).all()


def test_a_channel_without_samples_is_worth_0_and_counts(make_block, ecg):
    score = score_block(make_block(("ecg", ecg), ("ppg", np.full_like(ecg, np.nan))))
    assert (score.causes[0, 1] == Cause.DROPOUT).all()
    assert score.overall[0] == pytest.approx(score.quality[0, 0].mean() / 2, abs=1e-6)


def test_kinds_weigh_the_same_however_many_channels_they_have(make_block, ecg, ppg):
    flat = np.full_like(ppg, 1.0)
    two = score_block(make_block(("ecg", ecg), ("ppg", flat)))
    three = score_block(make_block(("ecg", ecg), ("ecg", ecg), ("ppg", flat)))
    assert three.overall[0] == pytest.approx(two.overall[0], abs=1e-6)


def test_seconds_behind_the_end_of_the_recording_do_not_lower_the_joint_quality(make_block, ecg):
    whole = score_block(make_block(("ecg", ecg))).overall[0]
    ecg[2500:] = np.nan
    short = score_block(make_block(("ecg", ecg), length_s=20.0))
    assert short.overall[0] == pytest.approx(whole, abs=0.03)
    assert (short.quality[0, 0, 20:] == 0).all()


def test_a_last_second_that_the_recording_only_begins_is_judged_by_what_there_is(make_block, ecg):
    ecg[2560:] = np.nan
    score = score_block(make_block(("ecg", ecg), length_s=2560 / 125))
    assert score.quality[0, 0, 20] > 0.8


def test_chunks_do_not_change_the_score(monkeypatch, make_block, ecg, ppg):
    one = make_block(("ecg", ecg), ("ppg", ppg))
    rng = np.random.default_rng(0)
    values = np.repeat(one.values, 5, axis=0) + rng.normal(0, 0.05, (5, 1, 1)) * rng.normal(size=(5, 2, 3750))
    many = block_of(values.astype(np.float32), ("ecg", "ppg"))
    whole = score_block(many)
    monkeypatch.setattr(score_module, "CHUNK_SAMPLES", 2 * 3750)
    parts = score_block(many)
    np.testing.assert_allclose(parts.quality, whole.quality, atol=1e-5)
    np.testing.assert_array_equal(parts.causes, whole.causes)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_ppg_in_another_arbitrary_unit_scores_the_same(make_block, ppg, factor):
    one = score_block(make_block(("ppg", ppg)))
    other = score_block(make_block(("ppg", ppg * np.float32(factor))))
    np.testing.assert_allclose(other.quality, one.quality, atol=2e-3)


@pytest.mark.parametrize("num_samples", [1, 2, 5, 124, 125, 126, 1300])
@pytest.mark.parametrize("content", ["nan", "zero", "constant", "huge", "infinite", "noise", "one real", "rails"])
def test_no_samples_break_the_score(num_samples, content):
    line = np.random.default_rng(1).normal(size=(2, 4, num_samples))
    if content == "rails":
        line = np.where(line > 0, 1e9, -1e9)
    elif content == "one real":
        line[..., 1:] = np.nan
    elif content != "noise":
        line[:] = {"nan": np.nan, "zero": 0, "constant": 3.3, "huge": 1e20, "infinite": np.inf}[content]
    assert_sane(block_of(line, KINDS))


@pytest.mark.parametrize("sample_rate_hz", [0.5, 1.0, 10.0, 19.6, 62.5, 300.0, 1000.0])
def test_any_rate_can_be_scored(sample_rate_hz):
    assert_sane(block_of(np.random.default_rng(1).normal(size=(2, 4, 977)), KINDS, sample_rate_hz))


def test_no_segments_give_an_empty_score():
    assert_sane(block_of(np.zeros((0, 4, 1250)), KINDS))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, float("nan"), 1e20])), min_size=1, max_size=300),
    st.sampled_from([3.0, 20.0, 125.0]),
)
def test_any_floats_give_a_quality_between_0_and_1(samples, sample_rate_hz):
    line = np.array(samples, np.float32)
    assert_sane(block_of(np.tile(line, (1, 4, 1)), KINDS, sample_rate_hz))


def test_a_channel_of_another_kind_is_judged_by_its_faults_alone(make_block):
    line = np.random.default_rng(0).normal(size=3750).astype(np.float32)
    line[1250:1500] = 0.1
    score = score_block(make_block(("other", line)))
    assert (score.quality[0, 0, 10:12] < 0.01).all()
    assert (score.quality[0, 0, :10] > 0.99).all()


def test_missing_values_that_claim_to_be_real_are_a_dropout(make_block, ecg):
    ecg[:1250] = 1e20
    block = make_block(("ecg", ecg))
    score = score_block(replace(block, is_real=np.ones_like(block.is_real)))
    assert (score.causes[0, 0, :10] == Cause.DROPOUT).all()


def test_a_recording_is_cut_and_scored(ecg):
    signal = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0, samples=np.tile(ecg, 2))
    score = score_quality(Recording(recording_id="r", subject_id=None, start=None, signals=(signal,)))
    assert score.recording_id == "r"
    assert score.segment_start_s.tolist() == [0, 30]
    assert score.names == ("II", None, None, None)
