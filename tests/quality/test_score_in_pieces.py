"""A long recording is cut, scored and tabled in pieces; its numbers are those of the whole."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from qualityfm import segments
from qualityfm.quality.score import join_scores, score_block, score_quality
from qualityfm.records import QualityScore, Recording, Signal
from qualityfm.segments import SegmentConfig, cut_block, cut_blocks
from qualityfm.waveform.simulate import SimulationConfig, simulate

CONFIGS = (
    SegmentConfig(segment_s=10.0, step_s=10.0),
    SegmentConfig(segment_s=10.0, step_s=3.3),
    SegmentConfig(segment_s=4.0, step_s=7.0, sample_rate_hz=100.0),
)


def with_gaps(signal: Signal, number: int) -> Signal:
    """Return a signal off the clock, at an odd rate, with gaps of a few samples up to a minute."""
    draw, samples = np.random.default_rng(number), signal.samples.copy()
    for begin, length in zip(draw.integers(0, len(samples), 12), (3, 20, 40, 200) * 3, strict=True):
        samples[begin : begin + length] = np.nan
    samples[len(samples) // 3 : len(samples) // 2] = np.nan
    rate_hz = signal.sample_rate_hz * (1, 0.9996, 1, 1.5)[number]
    return replace(signal, samples=samples, sample_rate_hz=rate_hz, start_s=(0.0, 0.4, 61.003, 0.0)[number])


@pytest.fixture(scope="module")
def recording() -> Recording:
    whole = simulate(5, SimulationConfig(duration_s=400.0)).recording
    return replace(whole, signals=tuple(with_gaps(s, number) for number, s in enumerate(whole.signals)))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "BLOCK_SAMPLES", 5000)
    monkeypatch.setattr(segments, "WHOLE_BATCHES", 3)


@pytest.mark.parametrize("config", CONFIGS)
def test_blocks_hold_the_bits_of_the_whole(recording: Recording, config: SegmentConfig) -> None:
    whole, blocks = cut_block(recording, config), list(cut_blocks(recording, config))
    assert len(blocks) > 3
    for name in ("start_s", "length_s", "values", "is_real"):
        together = np.concatenate([getattr(block, name) for block in blocks])
        np.testing.assert_array_equal(together, getattr(whole, name))


@pytest.mark.parametrize("config", CONFIGS)
def test_a_score_in_pieces_is_the_score_of_the_whole(recording: Recording, config: SegmentConfig) -> None:
    found, whole = score_quality(recording, config), score_block(cut_block(recording, config))
    for field in fields(QualityScore):
        np.testing.assert_equal(getattr(found, field.name), getattr(whole, field.name))


def test_all_that_a_model_says_is_joined(recording: Recording) -> None:
    score = score_quality(recording)
    draw = np.random.default_rng(0)
    told = replace(
        score,
        model_quality=draw.random(score.quality.shape, np.float32),
        model_good=draw.random(score.quality.shape, np.float32),
        model_causes=draw.integers(0, 2**14, score.quality.shape).astype(np.uint16),
        model_knows=draw.random(len(score.overall)) > 0.5,
    )
    twice = join_scores([told, told])
    for field in fields(QualityScore):
        value = getattr(told, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(twice, field.name), np.concatenate([value, value]))
    pd.testing.assert_frame_equal(told.to_pandas(), pd.DataFrame(told.seconds))


def test_columns_hold_what_the_rows_hold(recording: Recording) -> None:
    score = score_quality(recording, CONFIGS[1])
    pd.testing.assert_frame_equal(score.to_pandas(), pd.DataFrame(score.seconds))


def test_pieces_of_the_table_make_the_table(recording: Recording) -> None:
    score = score_quality(recording)
    pieces = [score.to_pandas(slice(first, first + 4)) for first in range(0, len(score.overall), 4)]
    pd.testing.assert_frame_equal(pd.concat(pieces, ignore_index=True), score.to_pandas())
