import numpy as np
import pytest
from scipy.signal import welch

from qualityfm.errors import SignalError
from qualityfm.waveform.noise import DRIFT_CUT_HZ, NOISE_KINDS, NoiseBank


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    first, again, other = (NoiseBank.modelled(seed, 125.0) for seed in (3, 3, 4))
    for kind in NOISE_KINDS:
        assert first.lines[kind].tobytes() == again.lines[kind].tobytes()
        assert first.lines[kind].tobytes() != other.lines[kind].tobytes()


def power_share(line, sample_rate_hz, low_hz, high_hz):
    frequency_hz, density = welch(line, sample_rate_hz, nperseg=4096)
    return density[(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum() / density.sum()


def test_each_modelled_kind_has_its_power_where_it_belongs():
    bank = NoiseBank.modelled(0, 250.0)
    assert power_share(bank.lines["bw"], 250.0, 0, 0.7) > 0.9
    assert power_share(bank.lines["em"], 250.0, 0.3, 12) > 0.7
    assert power_share(bank.lines["ma"], 250.0, 9, 80) > 0.7
    assert power_share(bank.lines["motion"], 250.0, 0.2, 5) > 0.9


def test_recorded_muscle_noise_comes_without_its_drift():
    rate_hz = 360.0
    times_s = np.arange(round(60 * rate_hz)) / rate_hz
    muscle = np.random.default_rng(0).standard_normal(len(times_s))
    bank = NoiseBank.from_lines({"ma": muscle + 20 * np.sin(2 * np.pi * 0.1 * times_s)}, rate_hz)
    assert power_share(bank.lines["ma"], rate_hz, 0, DRIFT_CUT_HZ / 2) < 0.1


def test_another_rate_keeps_the_shape_of_a_line():
    rate_hz = 360.0
    wave = np.sin(2 * np.pi * 0.3 * np.arange(round(40 * rate_hz)) / rate_hz)
    line = NoiseBank.from_lines({"bw": wave}, rate_hz).lines_at(125.0)["bw"]
    expected = np.sin(2 * np.pi * 0.3 * np.arange(len(line)) / 125.0)
    assert len(line) == 40 * 125
    assert np.abs(line - expected)[250:-250].max() < 0.01


def test_an_excerpt_longer_than_the_line_is_filled():
    bank = NoiseBank.modelled(0, 10.0)
    excerpt = bank.excerpt("bw", 5000, 10.0, np.random.default_rng(0))
    assert len(excerpt) == 5000
    assert np.isfinite(excerpt).all()


def test_missing_samples_of_a_recorded_line_do_not_reach_an_excerpt():
    line = np.random.default_rng(0).standard_normal(5000)
    line[100:200] = np.nan
    assert np.isfinite(NoiseBank.from_lines({"em": line}, 100.0).lines["em"]).all()


@pytest.mark.parametrize("lines", [{"hum": np.arange(1000.0)}, {"ma": np.ones(1000)}, {"ma": np.arange(10.0)}])
def test_a_line_that_is_no_noise_is_refused(lines):
    with pytest.raises(SignalError, match="noise"):
        NoiseBank.from_lines(lines, 100.0)


def test_a_rate_that_cannot_be_is_refused():
    with pytest.raises(SignalError, match="sample_rate_hz"):
        NoiseBank.modelled(0, float("nan"))


@pytest.mark.real
def test_modelled_noise_resembles_the_recorded_noise(real_data):
    wfdb = pytest.importorskip("wfdb")
    modelled = NoiseBank.modelled(0, 360.0)
    for kind, bands_hz in {"bw": [(0, 0.7)], "em": [(0.3, 3), (3, 12)], "ma": [(9, 50)]}.items():
        recorded = wfdb.rdrecord(str(real_data / "nstdb" / kind), sampto=12 * 60 * 360).p_signal[:, 0]
        line = NoiseBank.from_lines({kind: recorded}, 360.0).lines[kind]
        for band in bands_hz:
            difference = power_share(line, 360.0, *band) - power_share(modelled.lines[kind], 360.0, *band)
            assert abs(difference) < 0.15
