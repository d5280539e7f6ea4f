"""What is measured of a pulse, and what a calibration says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.tasks.calibration import calibrated
from qualityfm.tasks.examples import Example
from qualityfm.tasks.pressure_features import pressure_features
from qualityfm.tasks.pulse_wave import usual_pulse, wave_features
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.traces import RATE_HZ, Trace, trace_from, trace_of
from qualityfm.waveform.simulate import SimulationConfig, simulate


def example(name: str, start_s: float, label: float = 100.0) -> Example:
    return Example(recording=name, name=name, start_s=start_s, length_s=30.0, subject=None, group=name, label=(label,))


def pulses_of(rise_s: float, notch: float = 0.0) -> np.ndarray:
    """Pulses of a second: a rise of stated length, a fall, and a second wave of stated height."""
    phase_s = np.arange(0, 30, 1 / RATE_HZ) % 1
    first = np.where(phase_s < rise_s, phase_s / rise_s, np.exp(-(phase_s - rise_s) / 0.2))
    return (first + notch * np.exp(-(((phase_s - 0.5) / 0.06) ** 2))).astype(np.float32)


def features_of(line: np.ndarray) -> dict[str, float]:
    wave = usual_pulse(line, find_pulses(line, RATE_HZ), RATE_HZ)
    assert wave is not None
    return wave_features(wave)


def trace(seed: int = 3, duration_s: float = 30.0) -> Trace:
    simulation = simulate(seed, SimulationConfig(duration_s=duration_s))
    return trace_of(cut_block(simulation.clean, SegmentConfig()), duration_s)


@pytest.mark.parametrize("rise_s", [0.12, 0.2, 0.3])
def test_the_rise_of_a_pulse_is_measured(rise_s: float) -> None:
    assert features_of(pulses_of(rise_s))["rise_s"] == pytest.approx(rise_s, abs=0.03)


def test_a_reflected_wave_raises_the_reflection_index() -> None:
    plain, reflected = features_of(pulses_of(0.15)), features_of(pulses_of(0.15, notch=0.35))
    assert reflected["reflection_index"] > plain["reflection_index"] + 0.1


def test_a_slower_fall_has_a_longer_time_constant() -> None:
    assert features_of(pulses_of(0.15))["decay_s"] == pytest.approx(0.2, abs=0.06)


def test_breathing_shows_in_the_height_of_pulses() -> None:
    time_s = np.arange(0, 30, 1 / RATE_HZ)
    breathing = (1 + 0.3 * np.sin(2 * np.pi * 0.25 * time_s)).astype(np.float32)
    line = pulses_of(0.15)
    assert features_of(line * breathing)["height_variation"] > features_of(line)["height_variation"] + 0.2


def test_noise_has_no_usual_pulse() -> None:
    noise = np.random.default_rng(0).standard_normal(round(30 * RATE_HZ)).astype(np.float32)
    assert usual_pulse(noise, find_pulses(noise, RATE_HZ), RATE_HZ) is None


def test_the_size_of_a_ppg_changes_nothing_but_its_height() -> None:
    whole = trace()
    larger = whole.values.copy()
    larger[2] *= 7
    one, other = pressure_features(whole), pressure_features(replace(whole, values=larger))
    assert other.pop("log_height") == pytest.approx(one.pop("log_height") + np.log(7), abs=0.01)
    assert other == pytest.approx(one, rel=1e-2, abs=1e-2, nan_ok=True)


@pytest.mark.parametrize("value", [np.nan, 0.0, 1e9])
def test_a_dead_ppg_gives_no_figure(value: float) -> None:
    whole = trace()
    dead = whole.values.copy()
    dead[2] = value
    assert pressure_features(replace(whole, values=dead)) == {}


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_a_dead_ecg_leaves_the_pulse(value: float) -> None:
    whole = trace()
    dead = whole.values.copy()
    dead[:2] = value
    found = pressure_features(replace(whole, values=dead))
    assert "rise_s" in found
    assert "arrival_foot_s" not in found


def test_a_hidden_pressure_leaves_no_mark_on_the_quality_of_others() -> None:
    recording = simulate(5, SimulationConfig(duration_s=30.0)).recording
    without = replace(recording, signals=tuple(s for s in recording.signals if s.kind != ChannelKind.ABP))
    hidden, never = trace_from(recording, 30.0, (ChannelKind.ABP,)), trace_from(without, 30.0)
    np.testing.assert_array_equal(hidden.values, never.values)
    np.testing.assert_array_equal(hidden.quality, never.quality)


def test_a_calibration_holds_the_mean_of_the_first_minute() -> None:
    examples = [example("a", 0, 100), example("a", 30, 110), example("a", 60, 0), example("b", 90, 0)]
    found = calibrated(examples, np.array([[1.0], [3.0], [7.0], [9.0]]))
    assert found.is_later.tolist() == [False, False, True, False]
    assert (found.held[2, 0], found.change[2, 0]) == (105, 5)
    assert np.isnan(found.held[[0, 1, 3]]).all()


def test_a_calibration_does_not_read_later_labels() -> None:
    features = np.arange(4.0)[:, None]
    one, other = (
        calibrated([example("a", 30.0 * k, 100 if k < 2 else later) for k in range(4)], features) for later in (1, 2)
    )
    np.testing.assert_array_equal(one.held, other.held)
