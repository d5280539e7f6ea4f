"""The quality benchmark: its parts on made data, and the whole in its quick form on real recordings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from qualityfm.cli.main import main
from qualityfm.evidence.quality_beats import match
from qualityfm.evidence.quality_data import one_channel
from qualityfm.evidence.quality_figures import SNRS_DB, add_noise, auc_figure
from qualityfm.evidence.quality_leads import lead_features
from qualityfm.evidence.quality_peers import peer_seconds
from qualityfm.records import ChannelKind

RNG = np.random.default_rng(0)
LINES = np.sin(2 * np.pi * 1.2 * np.arange(3750) / 125)[None].astype(np.float32)


def test_noise_has_the_power_that_its_snr_says():
    noisy = add_noise(LINES, RNG.normal(size=(2, 10_000)).astype(np.float32))
    power = (noisy - LINES).var(axis=2)[:, 0]
    size = np.median(np.ptp(LINES.reshape(30, 125), axis=1))
    np.testing.assert_allclose(10 * np.log10(size**2 / 8 / power), SNRS_DB, atol=0.01)


def test_each_beat_and_each_detection_is_matched_once():
    assert match(np.array([1.0, 1.2, 5.0]), np.array([1.1])) == 1
    assert match(np.array([1.0, 2.0]), np.array([0.9, 2.14])) == 2
    assert match(np.array([1.0]), np.array([1.16])) == 0


def test_a_low_score_on_what_is_bad_gives_an_auc_of_one():
    names = ("part", "case", "method", "measure")
    groups = np.array([0, 0, 1, 1])
    figure = auc_figure(names, np.array([1, 0, 1, 0]), np.array([0.1, 0.9, 0.2, 0.8]), groups, 20, "aim")
    assert figure.row() == {
        "part": "part",
        "case": "case",
        "method": "method",
        "measure": "measure",
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
        "records": 2,
        "aim": "aim",
    }


def test_a_peer_that_fails_gets_the_lowest_it_ever_gave():
    def peer(line):
        if line[0] > 0:
            raise ValueError("no peaks")
        return np.full(len(line), 0.5)

    lines = np.stack((LINES[0], LINES[0] + 1)).astype(np.float32)
    assert peer_seconds(peer, lines).tolist() == [[0.5] * 30, [0.5] * 30]


def test_features_of_a_record_are_finite_whatever_its_leads_hold():
    one = one_channel(np.zeros((1, 3750), np.float32), ChannelKind.ECG)
    leads = {"names": tuple("abcdefghijkl"), "units": ("mV",) * 12, "is_real": np.ones((1, 12, 3750), bool)}
    config = replace(one.config, channels=(ChannelKind.ECG,) * 12)
    flat = np.zeros((1, 12, 3750), np.float32)
    assert np.isfinite(lead_features(replace(one, config=config, values=flat, **leads))).all()


def test_without_data_the_benchmark_says_what_to_give(monkeypatch, capsys):
    monkeypatch.delenv("QUALITYFM_DATA", raising=False)
    assert main(["benchmark", "quality"]) == 2
    assert "give --data, or set QUALITYFM_DATA" in capsys.readouterr().err


def test_a_missing_data_set_is_named(tmp_path, capsys):
    assert main(["benchmark", "quality", "--data", str(tmp_path)]) == 1
    assert "expected mitdb" in capsys.readouterr().err


@pytest.fixture
def small(monkeypatch) -> None:
    """The quick benchmark made as small as its parts allow, and without peers."""
    from qualityfm.evidence import quality_benchmark

    size = quality_benchmark.BenchmarkSize(
        rounds=5,
        ecgs_per_record=1,
        every_record=10,
        every_train=60,
        every_lead_record=60,
        num_trees=20,
        patients=4,
        pulses=1,
        peer_every=0,
        peer_segments=0,
    )
    monkeypatch.setattr(quality_benchmark, "QUICK", size)


@pytest.mark.real
def test_the_quick_benchmark_gives_every_part_and_keeps_it(real_data, small, tmp_path, capsys):
    arguments = ["benchmark", "quality", "--quick", "--json", "--data", str(real_data), "--out", str(tmp_path)]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)["figures"]
    parts = {"beats", "rhythm blindness", "noise marks", "noise stress", "simulated truth", "simulated faults"}
    assert parts | {"wearables", "twelve leads"} <= {figure["part"] for figure in figures}
    undefined = [figure for figure in figures if figure["low"] is None]
    assert all(figure["low"] <= figure["high"] for figure in figures if figure not in undefined)
    # Few patients do not meet every fault more than once, nor few records every rhythm.
    assert {figure["part"] for figure in undefined} <= {"simulated faults", "rhythm blindness"}
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()}
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["figures"] == figures
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").iterdir()} == kept
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") > 10
    assert "src=" not in page


@pytest.mark.real
def test_a_low_score_finds_what_annotators_marked_as_noise(real_data):
    from qualityfm.evidence.quality_marks import mark_figures, marked_leads
    from qualityfm.evidence.quality_scorers import classical

    figures = mark_figures(list(marked_leads(real_data / "mitdb", 4)), {"QualityFM": classical()}, 5, 0)
    aucs = {figure.case: figure.estimate.value for figure in figures}
    assert aucs["mitdb, first leads"] > 0.9
    assert aucs["mitdb, both leads"] > 0.85
    assert aucs["mitdb, within a lead, mean"] > 0.85


@pytest.mark.real
def test_a_low_score_finds_movement_of_a_watch_and_cut_off_samples_of_an_oximeter(real_data):
    from qualityfm.evidence.quality_scorers import classical
    from qualityfm.evidence.quality_wearable import wearable_figures

    figures = wearable_figures(real_data / "ppg_wearable", {"QualityFM": classical()}, 5)
    aucs = {(f.case, f.measure): f.estimate.value for f in figures if f.measure.startswith("AUC")}
    assert aucs.pop(("watch ppg, as delivered", "AUC of a low score in seconds that move, 20 of 735")) > 0.5
    assert len(aucs) == 3
    assert min(aucs.values()) > 0.95
