"""What defines each kind of alarm is seen where it is made, and not seen in quiet rhythm."""

from dataclasses import replace

import numpy as np
import pytest

from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.tasks.alarm_criteria import criteria_features
from qualityfm.tasks.alarm_features import known_lines
from qualityfm.tasks.beat_trains import ecg_train
from qualityfm.tasks.line_series import wave_leakage
from qualityfm.tasks.traces import RATE_HZ, Trace, trace_of
from qualityfm.tasks.ventricular import run_features
from qualityfm.waveform.simulate import SimulationConfig, simulate


def trace(rhythm: str = "sinus", seed: int = 3) -> Trace:
    simulation = simulate(seed, SimulationConfig(duration_s=60.0, rhythm=rhythm))  # type: ignore[arg-type]
    return trace_of(cut_block(simulation.clean, SegmentConfig()), 60.0)


def criteria(whole: Trace) -> dict[str, float]:
    return criteria_features(known_lines(whole), whole)


def silenced(whole: Trace, slots: slice, seconds: float) -> Trace:
    values = whole.values.copy()
    first = values.shape[1] - round(seconds * RATE_HZ)
    values[slots, first:] = values[slots, first, None]
    return replace(whole, values=values)


def test_usual_beats_explain_a_quiet_rhythm() -> None:
    assert criteria(trace())["any_one_usual_in_16"] > 0.9


def test_a_pulse_that_goes_on_explains_the_silence_of_the_ecg() -> None:
    found = criteria(silenced(trace(), slice(0, 2), 8.0))
    assert found["ecg_one_unusual_run_in_16"] > 6
    assert found["pulse_one_unusual_run_in_16"] < 4


def test_silence_everywhere_is_a_gap_on_every_channel() -> None:
    found = criteria(silenced(trace(), slice(None), 8.0))
    assert found["any_lowest_gap_in_16"] > 6


def test_a_run_of_vt_is_ventricular_in_both_leads() -> None:
    runs, sinus = (np.mean([criteria(trace(r, s))["ecg_high_run5_90_mean"] for s in range(3)]) for r in ("vt", "sinus"))
    assert runs > sinus + 0.2


def test_a_huge_artefact_hides_no_beat() -> None:
    line = known_lines(trace())["ecg1"]
    spoilt = line.copy()
    spoilt[1000:1010] += 100 * np.abs(line).max()
    assert len(ecg_train(spoilt, 44.0)) >= len(ecg_train(line, 44.0)) - 2


def test_a_wave_leaks_less_than_complexes() -> None:
    wave = np.sin(2 * np.pi * 5 * np.arange(375) / RATE_HZ)[None]
    beats = known_lines(trace())["ecg1"][-375:].astype(float)[None]
    assert wave_leakage(wave)[0] < 0.2 < wave_leakage(beats)[0]


def test_broad_waves_in_both_leads_while_the_pulse_fails_are_a_burst() -> None:
    whole = silenced(trace(), slice(2, None), 4.0)
    quiet = criteria(whole)["burst_both_most"]
    values = whole.values.copy()
    values[:2, -500:] += 3 * np.sin(2 * np.pi * 3 * np.arange(500) / RATE_HZ)
    assert criteria(replace(whole, values=values))["burst_both_most"] > max(quiet, 0) + 0.3


def test_slow_beats_are_no_run() -> None:
    slow = run_features(np.arange(10) * 1.0, np.ones(10))
    fast = run_features(np.arange(10) * 0.4, np.ones(10))
    assert (slow["run5_90_mean"], fast["run5_90_mean"]) == (0.0, 1.0)


@pytest.mark.parametrize("seconds", [2.0, 5.0, 10.0])
def test_a_short_recording_has_criteria_without_infinity(seconds: float) -> None:
    whole = trace()
    short = replace(
        whole,
        values=whole.tail(seconds),
        quality=whole.quality[:, -int(seconds) :],
        causes=whole.causes[:, -int(seconds) :],
        duration_s=seconds,
    )
    assert not np.isinf(list(criteria(short).values())).any()
