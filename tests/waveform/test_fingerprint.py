"""Fingerprints stay the same under what archives do to a signal, and only then."""

from collections.abc import Callable

import numpy as np
import pytest

from qualityfm.waveform.alignment import SEARCH_S, Alignment, correlate_pieces, judge_pieces
from qualityfm.waveform.fingerprint import Fingerprints, find_landmarks, fingerprint, smooth_lines
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.simulate import SimulationConfig, simulate

RATE_HZ = 250.0
SHIFT_S = 7.3


@pytest.fixture(scope="module")
def lines() -> list[np.ndarray]:
    config = SimulationConfig(
        duration_s=120.0, faults_per_minute=0.0, ppg_sample_rate_hz=RATE_HZ, abp_sample_rate_hz=RATE_HZ
    )
    return [signal.samples for signal in simulate(3, config).recording.signals]


def count_shared(first: Fingerprints, second: Fingerprints, shift_s: float) -> int:
    """Return how many fingerprints of the first are in the second, so much earlier."""
    places: dict[int, list[float]] = {}
    for key, time_s in zip(second.keys.tolist(), second.time_s.tolist(), strict=True):
        places.setdefault(key, []).append(time_s)
    return sum(
        any(abs(time_s - shift_s - other) < 0.05 for other in places.get(key, []))
        for key, time_s in zip(first.keys.tolist(), first.time_s.tolist(), strict=True)
    )


def with_noise(line: np.ndarray) -> np.ndarray:
    """Return a line with white noise at 20 dB."""
    noise = np.random.default_rng(1).standard_normal(len(line)) * line.std() / 10
    return (line + noise).astype(np.float32)


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float, float, float]] = {
    # name: (change, rate after it, shift it makes, least share that must be left)
    "gain and offset": (lambda line: 37 * line - 12, RATE_HZ, 0.0, 0.8),
    "half the rate": (lambda line: resample(line, RATE_HZ, 125.0), 125.0, 0.0, 0.6),
    "an odd rate": (lambda line: resample(line, RATE_HZ, 62.4725), 62.4725, 0.0, 0.3),
    "eight bits": (lambda line: np.round(line / np.ptp(line) * 255), RATE_HZ, 0.0, 0.5),
    "noise at 20 dB": (with_noise, RATE_HZ, 0.0, 0.1),
    "a cut": (lambda line: line[round(SHIFT_S * RATE_HZ) :], RATE_HZ, SHIFT_S, 0.7),
}


@pytest.mark.parametrize("channel", range(4))
@pytest.mark.parametrize("name", CHANGES)
def test_fingerprints_survive_a_change(lines: list[np.ndarray], channel: int, name: str) -> None:
    change, rate_hz, shift_s, least_share = CHANGES[name]
    before = fingerprint(lines[channel], RATE_HZ)
    after = fingerprint(np.asarray(change(lines[channel]), np.float32), rate_hz)
    assert len(before) > 60
    assert count_shared(before, after, shift_s) >= least_share * len(before)


def test_another_patient_has_other_fingerprints(lines: list[np.ndarray]) -> None:
    other = simulate(4, SimulationConfig(duration_s=120.0, faults_per_minute=0.0)).recording.signals[0].samples
    mine, theirs = fingerprint(lines[0], RATE_HZ), fingerprint(other, RATE_HZ)
    assert len(set(mine.keys.tolist()) & set(theirs.keys.tolist())) <= 0.02 * len(mine)


def test_no_fingerprint_looks_at_missing_samples(lines: list[np.ndarray]) -> None:
    line = lines[0].copy()
    line[round(40 * RATE_HZ) : round(60 * RATE_HZ)] = np.nan
    found = fingerprint(line, RATE_HZ)
    assert len(found) > 20
    assert not ((found.time_s > 36.0) & (found.time_s < 61.0)).any()


@pytest.mark.parametrize("level", [0.0, 0.1, 120.0, -1e6, np.nan])
def test_a_line_at_rest_has_no_fingerprint(level: float) -> None:
    assert len(fingerprint(np.full(20_000, level, np.float32), RATE_HZ)) == 0


@pytest.mark.parametrize("num_samples", [0, 1, 2, 100])
def test_a_line_shorter_than_a_window_has_no_fingerprint(num_samples: int) -> None:
    assert len(fingerprint(np.ones(num_samples, np.float32), RATE_HZ)) == 0


def test_a_periodic_line_is_called_periodic(lines: list[np.ndarray]) -> None:
    beat = lines[0][1000:1200]
    assert fingerprint(np.tile(beat, 200), RATE_HZ).is_periodic
    assert not fingerprint(lines[0], RATE_HZ).is_periodic


def test_a_commonplace_is_no_rare_fingerprint() -> None:
    keys = np.array([7] * 9 + [8] * 8 + [9], np.uint64)
    rare = Fingerprints(keys=keys, time_s=np.arange(18.0)).rare()
    assert rare.keys.tolist() == [8] * 8 + [9]
    assert rare.time_s.tolist() == list(range(9, 18))


def test_landmarks_are_found_between_samples() -> None:
    time_s = np.arange(1000) / 50.0
    found = find_landmarks(np.cos(2 * np.pi * (time_s - 0.507)).astype(np.float32), 50.0)
    assert found / 50.0 == pytest.approx(np.arange(len(found)) + 0.507, abs=1e-3)


def align(first: np.ndarray, second: np.ndarray, start_s: float, length_s: float, rate_hz: float) -> Alignment:
    """Compare a part of the first line with the same time in the second."""
    (one,), (one_known,) = smooth_lines(first[None], rate_hz)
    (other,), (other_known,) = smooth_lines(second[None], rate_hz)
    start, stop = round(start_s * rate_hz), round((start_s + length_s) * rate_hz)
    search = round(SEARCH_S * rate_hz)
    inner, outer = slice(start, stop), slice(start - search, stop + search)
    pieces = correlate_pieces(one[inner], other[outer], one_known[inner], other_known[outer], rate_hz)
    return judge_pieces(pieces, rate_hz)


def test_the_same_stretch_aligns_at_its_shift(lines: list[np.ndarray]) -> None:
    found = align(lines[0][25:], with_noise(lines[0]), 20.0, 30.0, RATE_HZ)
    assert found.is_same
    assert found.shift_s == pytest.approx(25 / RATE_HZ)
    assert found.num_pieces == 10


def test_correlations_are_those_of_the_plain_formula() -> None:
    rng = np.random.default_rng(0)
    rate_hz, length, search = 20.0, 60, 80
    first = rng.standard_normal(2 * length).astype(np.float32)
    second = rng.standard_normal(2 * length + 2 * search).astype(np.float32)
    known = np.ones(len(second), bool)
    known[150] = False
    found = correlate_pieces(first, second, np.ones(len(first), bool), known, rate_hz)
    assert found.shape == (2, 2 * search + 1)
    for piece in range(2):
        for shift in range(0, 2 * search + 1, 7):
            begin = piece * length + shift
            there = second[begin : begin + length]
            if known[begin : begin + length].all():
                plain = np.corrcoef(first[piece * length : (piece + 1) * length], there)[0, 1]
                assert found[piece, shift] == pytest.approx(plain, abs=1e-6)
            else:
                assert np.isnan(found[piece, shift])


def test_a_periodic_signal_never_counts_as_the_same(lines: list[np.ndarray]) -> None:
    steady = np.tile(lines[0][1000:1200], 100)
    found = align(steady, steady, 20.0, 30.0, RATE_HZ)
    assert found.correlation > 0.999
    assert not found.is_same


def test_another_stretch_of_the_same_patient_is_not_the_same(lines: list[np.ndarray]) -> None:
    assert not align(lines[0], np.roll(lines[0], 7000), 20.0, 30.0, RATE_HZ).is_same


def test_less_than_two_pieces_prove_nothing(lines: list[np.ndarray]) -> None:
    found = align(lines[0], lines[0], 20.0, 4.0, RATE_HZ)
    assert found.num_pieces == 1
    assert not found.is_same
