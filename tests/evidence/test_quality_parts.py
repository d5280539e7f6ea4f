"""The parts of the quality benchmark on made data: marks, wearables, calibration, abstention, what is kept."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qualityfm.errors import TaskError
from qualityfm.evidence.intervals import Estimate
from qualityfm.evidence.quality_figures import Figure, roc_points
from qualityfm.evidence.quality_kept import KeptParts, plain_row
from qualityfm.evidence.quality_learned import (
    abstention_figures,
    calibration_figures,
    reliability,
    strange_lines,
    wrong_rate,
)
from qualityfm.evidence.quality_marks import MarkedLead, mark_figures, noisy_seconds
from qualityfm.evidence.quality_peers import in_windows
from qualityfm.evidence.quality_report import misses_aim, page, write_report
from qualityfm.evidence.quality_scorers import ScoredSeconds, as_recording, classical, learned, line_quality
from qualityfm.evidence.quality_truth import truth_figures
from qualityfm.evidence.quality_wearable import cut_off_seconds, moving_seconds, pulse_rates_bpm
from qualityfm.records import ChannelKind, Signal
from qualityfm.sources.annotations import Annotations
from qualityfm.waveform.simulate import SimulationConfig, simulate

RNG = np.random.default_rng(0)
FIGURE = Figure(
    part="noise <marks>",
    case="case",
    method="QualityFM",
    measure="AUC of something",
    estimate=Estimate(value=0.5, low=0.4, high=float("nan")),
    num_records=7,
    aim="at least .9",
    curve=((0.0, 0.0), (0.25, 0.75), (1.0, 1.0)),
)


def marks(*changes: tuple[float, int]) -> Annotations:
    """Return quality marks at times in s with their subtypes."""
    number = len(changes)
    return Annotations(
        sample_rate_hz=360.0,
        times_s=np.array([time for time, _ in changes]),
        symbols=("~",) * number,
        texts=("",) * number,
        subtypes=np.array([kind for _, kind in changes], np.int16),
        channels=np.zeros(number, np.uint8),
        numbers=np.zeros(number, np.int16),
    )


@pytest.mark.parametrize(
    ("subtype", "noisy_leads"), [(0, ()), (1, (0,)), (2, (1,)), (3, (0, 1)), (16, (0,)), (32, (1,)), (-1, (0, 1))]
)
def test_the_bits_of_a_mark_say_which_lead_is_noisy(subtype, noisy_leads):
    found = [noisy_seconds(marks((10.0, subtype), (20.0, 0)), lead, 30, 30.0)[0] for lead in (0, 1)]
    assert tuple(lead for lead in (0, 1) if found[lead].any()) == noisy_leads
    assert all(np.flatnonzero(found[lead]).tolist() == list(range(10, 20)) for lead in noisy_leads)


def test_seconds_near_a_mark_and_behind_the_end_are_not_judged():
    _, is_judged = noisy_seconds(marks((10.5, 1)), 0, 30, 27.5)
    assert np.flatnonzero(~is_judged).tolist() == [9, 10, 11, 27, 28, 29]


def test_noise_that_lasts_to_the_end_is_noisy_to_the_end():
    is_noisy, is_judged = noisy_seconds(marks((10.0, 1)), 0, 30, 25.0)
    assert np.flatnonzero(is_noisy & is_judged).tolist() == list(range(11, 25))


def marked(record: str, lead: int) -> MarkedLead:
    """Return two segments, of which the second is full of noise and marked so."""
    beats = simulate(lead, SimulationConfig(duration_s=60.0, faults_per_minute=0.0, ecg_sample_rate_hz=125.0))
    lines = beats.clean.signals[0].samples.reshape(2, 3750).copy()
    lines[1] = RNG.normal(size=3750)
    is_noisy = np.arange(60) >= 30
    return MarkedLead(record=record, lead=lead, lines=lines, is_noisy=is_noisy, is_judged=np.ones(60, bool))


def test_marked_noise_is_told_per_lead_and_within_a_lead():
    leads = [marked(record, lead) for record in ("a", "b") for lead in (0, 1)]
    figures = mark_figures(leads, {"QualityFM": classical()}, 5, 0)
    assert len(figures) == 4
    assert all(figure.estimate.value > 0.95 for figure in figures)


def test_some_segments_hold_noise_and_some_do_not():
    some = marked("a", 0).some(1)
    assert len(some.lines) == 2
    assert some.is_noisy.tolist() == [False] * 30 + [True] * 30


def test_lines_are_scored_in_their_order():
    lead = marked("a", 0)
    straight = line_quality(classical(), lead.lines, ChannelKind.ECG)
    turned = line_quality(classical(), lead.lines[::-1], ChannelKind.ECG)
    np.testing.assert_array_equal(straight, turned[::-1])


def test_a_window_that_a_peer_refuses_is_unknown():
    def peer(line):
        if line[0] > 0:
            raise ValueError("no peaks")
        return 1.0

    line = np.zeros(2500, np.float32)
    line[1250:] = 1
    answers = np.asarray(in_windows(peer)(line))
    assert (answers[:1250] == 1).all()
    assert np.isnan(answers[1250:]).all()


def test_movement_is_the_deviation_of_the_size_of_acceleration():
    still = np.full((3, 100), 3.0, np.float32)
    still[:, 60:80] += np.tile([1.0, -1.0], 10)
    assert (moving_seconds(still, 20.0) > 0.3).tolist() == [False, False, False, True, False]


def test_a_second_with_a_sample_at_the_converters_end_is_cut_off():
    samples = np.full(300, 30_000, np.float32)
    samples[120] = 65_535
    signal = Signal(name="PLETH", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=100.0, samples=samples)
    assert cut_off_seconds(signal).tolist() == [False, True, False]


def test_the_rate_of_a_pulse_is_its_strongest_frequency():
    seconds = np.arange(4000) / 100
    line = (1000 + np.sin(2 * np.pi * 1.25 * seconds)).astype(np.float32)
    signal = Signal(name="PLETH", kind=ChannelKind.PPG, unit="NU", sample_rate_hz=100.0, samples=line)
    np.testing.assert_allclose(pulse_rates_bpm(signal)[1:-1], 75, atol=1)


def told(good: float, knows: bool):
    """Return a scorer that says the same of every second."""

    def score(recording):
        shape = (len(recording.signals), int(np.ceil(recording.duration_s)))
        return ScoredSeconds(
            channels=tuple(signal.name for signal in recording.signals),
            quality=np.full(shape, good, np.float32),
            causes=None,
            good=np.full(shape, good, np.float32),
            knows=np.full(shape[1], knows),
        )

    return score


def test_the_calibration_error_of_one_answer_is_its_distance_from_the_share_of_good_seconds():
    patients = [simulate(seed, SimulationConfig(duration_s=60.0, faults_per_minute=3.0)) for seed in (1, 2)]
    share = np.mean([patient.quality >= 0.7 for patient in patients])
    figures = calibration_figures(patients, {"same": told(0.25, True)}, 5)
    assert figures[0].estimate.value == pytest.approx(share - 0.25, abs=1e-6)
    assert figures[0].curve == ((0.25, pytest.approx(share, abs=1e-3)),)


def test_a_score_without_probabilities_has_no_calibration():
    assert calibration_figures([simulate(1)], {"QualityFM": classical()}, 5) == []


def test_reliability_gives_each_bin_its_mean_and_frequency():
    points = reliability(np.array([0.02, 0.04, 0.98]), np.array([False, True, True]))
    assert points == ((0.03, 0.5), (0.98, 1.0))


@pytest.mark.parametrize("knows", [True, False])
def test_abstention_is_counted_for_known_and_strange_input(knows):
    lines = np.stack([np.sin(2 * np.pi * np.arange(3750) / 125)] * 2).astype(np.float32)
    clean = {ChannelKind.PPG: (lines, np.array(["a", "b"]))}
    figures = abstention_figures(clean, clean, {"same": told(0.5, knows)}, 5)
    shares = {f.estimate.value for f in figures if f.measure.startswith("share")}
    assert shares == {0.0 if knows else 1.0}
    assert len(figures) == 2 * (5 + len(strange_lines()))


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_a_wrong_rate_moves_a_rhythm_by_its_factor(factor):
    line = np.sin(2 * np.pi * 2.0 * np.arange(3750) / 125).astype(np.float32)[None]
    power = np.abs(np.fft.rfft(wrong_rate(line, factor)[0]))
    assert power.argmax() / 30 == pytest.approx(2.0 * factor, abs=0.1)


def test_only_a_score_with_causes_has_figures_of_causes():
    patients = [simulate(seed, SimulationConfig(duration_s=60.0, faults_per_minute=3.0)) for seed in range(4)]
    figures = truth_figures(patients, {"same": told(0.5, True)}, 5, 0)
    assert {f.measure for f in figures if f.method == "same"} == {"AUC of bad seconds"}


def test_a_model_without_quality_head_is_refused():
    predictor = type("Made", (), {})()
    predictor.name, predictor.segments = "made", classical
    predictor.network = type("Made", (), {"quality": None})()
    with pytest.raises(TaskError, match="quality_head"):
        learned(predictor)


def test_a_roc_curve_rises_from_nothing_to_everything():
    is_bad = RNG.random(500) < 0.4
    points = np.array(roc_points(is_bad, RNG.random(500) + is_bad))
    assert points[0].tolist() == [0, 0]
    assert points[-1].tolist() == [1, 1]
    assert (np.diff(points, axis=0) >= 0).all()
    assert roc_points(np.ones(3, bool), np.arange(3.0)) == ()


def test_a_kept_part_is_found_again_for_the_same_question_only(tmp_path):
    kept = KeptParts(folder=tmp_path, question="one")
    kept.keep("noise stress, ECG", [FIGURE])
    (found,) = kept.find("noise stress, ECG")
    assert plain_row(found, with_curve=True) == plain_row(FIGURE, with_curve=True)
    assert replace(kept, question="two").find("noise stress, ECG") is None
    assert kept.find("beats") is None


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"question": "one"}', '{"question": "one", "figures": [{}]}'])
def test_a_damaged_kept_part_is_measured_again(tmp_path, damage):
    kept = KeptParts(folder=tmp_path, question="one")
    kept.keep("beats", [FIGURE])
    next(tmp_path.iterdir()).write_text(damage)
    assert kept.find("beats") is None


def test_the_report_is_whole_and_escapes_what_it_shows(tmp_path):
    write_report(tmp_path, [FIGURE], {"benchmark": "<quality>"})
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["figures"][0]["high"] is None
    assert (tmp_path / "table.csv").read_text().splitlines()[0].startswith("part,case,method,measure,value")
    shown = page([FIGURE], {"benchmark": "<quality>"})
    assert "&lt;quality&gt;" in shown
    assert "noise &lt;marks&gt;" in shown
    assert shown.count("<svg") == 1


@pytest.mark.parametrize(
    ("aim", "is_missed"), [("", False), ("at least .5", False), ("at most .4", True), ("0.40 to 0.60", False)]
)
def test_an_aim_is_met_or_missed(aim, is_missed):
    assert misses_aim(replace(FIGURE, aim=aim)) is is_missed


def test_lines_become_a_recording_one_behind_the_other():
    recording = as_recording(np.arange(7500).reshape(2, 3750), ChannelKind.ABP)
    assert recording.signals[0].unit == "mmHg"
    np.testing.assert_array_equal(recording.signals[0].samples, np.arange(7500))
