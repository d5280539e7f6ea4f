"""Writing WFDB records: what goes in comes out, through our reader and through `wfdb` itself."""

import dataclasses
import datetime as dt
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from qualityfm.errors import SignalError
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.sources import open_recording
from qualityfm.sources.wfdb_files import write_wfdb


def of(*signals: tuple[float, np.ndarray], start_s: float = 0.0, **other: object) -> Recording:
    made = tuple(
        Signal(
            name=f"V{i}",
            kind=ChannelKind.ECG,
            unit="mV",
            sample_rate_hz=rate_hz,
            samples=np.asarray(samples, np.float32),
            start_s=start_s,
        )
        for i, (rate_hz, samples) in enumerate(signals, 1)
    )
    return dataclasses.replace(
        Recording(recording_id="r", subject_id=None, start=None, signals=made),
        **other,  # type: ignore[arg-type]
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.floats(-1e6, 1e6, width=32), st.just(float("nan"))), min_size=1, max_size=30),
    st.sampled_from([0.5, 62.4725, 125.0, 249.89, 360.0, 1000.0]),
)
def test_any_samples_come_back_within_the_promised_step(tmp_path_factory, values: list[float], rate_hz: float) -> None:
    folder = tmp_path_factory.mktemp("written")
    samples = np.asarray(values, np.float32)
    (signal,) = open_recording(write_wfdb(of((rate_hz, samples)), folder)).signals
    assert signal.sample_rate_hz == pytest.approx(rate_hz)
    np.testing.assert_array_equal(np.isnan(signal.samples), np.isnan(samples))
    real = samples[np.isfinite(samples)].astype(float)
    step = (real.max() - real.min()) / 64000 if len(real) else 0.0
    largest = np.abs(real).max() if len(real) else 0.0
    np.testing.assert_allclose(signal.samples, samples, atol=step * 0.51 + largest * 2e-7 + 1e-9)


@pytest.mark.parametrize(
    "rates", [(250.0, 125.0), (249.89, 124.945, 62.4725), (250.0, 360.0), (0.5, 125.0), (100.0, 62.5)]
)
def test_channels_of_different_rates_share_a_frame(tmp_path: Path, rates: tuple[float, ...]) -> None:
    recording = of(*((rate, np.arange(round(8 * rate))) for rate in rates))
    found = open_recording(write_wfdb(recording, tmp_path))
    for signal, expected in zip(found.signals, recording.signals, strict=True):
        assert signal.sample_rate_hz == pytest.approx(expected.sample_rate_hz)
        np.testing.assert_allclose(signal.samples[: len(expected.samples)], expected.samples, atol=0.05)
        assert np.isnan(signal.samples[len(expected.samples) :]).all()


def test_wfdb_itself_reads_the_same(tmp_path: Path, recording: Recording) -> None:
    path = write_wfdb(recording, tmp_path)
    theirs = wfdb.rdrecord(str(path.with_suffix("")), smooth_frames=False)
    ours = open_recording(path)
    assert theirs.sig_name == [s.name for s in ours.signals]
    for line, signal in zip(theirs.e_p_signal, ours.signals, strict=True):
        np.testing.assert_allclose(signal.samples, line, rtol=1e-6, atol=1e-6)


def test_the_start_is_kept(tmp_path: Path) -> None:
    start = dt.datetime(2183, 4, 28, 17, 47, 3, 250_000)
    recording = of((250.0, np.arange(10)), start=start)
    assert open_recording(write_wfdb(recording, tmp_path)).start == start


def test_a_channel_that_starts_late_is_preceded_by_missing_samples(tmp_path: Path) -> None:
    (signal,) = open_recording(write_wfdb(of((250.0, np.arange(10)), start_s=0.02), tmp_path)).signals
    assert np.isnan(signal.samples[:5]).all()
    np.testing.assert_allclose(signal.samples[5:], np.arange(10), atol=1e-3)


def test_an_identifier_with_folders_makes_them(tmp_path: Path) -> None:
    path = write_wfdb(of((250.0, np.arange(10)), recording_id="p01/r-1"), tmp_path)
    assert path == tmp_path / "p01" / "r-1.hea"
    assert open_recording(path).duration_s == 0.04


@pytest.mark.parametrize(
    ("recording", "field"),
    [
        (of((250.0, np.arange(9)), (249.89, np.arange(9))), "sample_rate_hz"),
        (of((250.0, np.arange(9)), start_s=0.0021), "V1: start_s"),
        (of((250.0, np.arange(9)), recording_id="../r"), "recording_id"),
        (of((250.0, np.arange(9)), recording_id=""), "recording_id"),
        (of((250.0, np.empty(0))), "signals"),
        (of(), "signals"),
    ],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, recording: Recording, field: str) -> None:
    with pytest.raises(SignalError, match=f"cannot write WFDB: .*: {field}: found"):
        write_wfdb(recording, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"unit": "mm Hg"}, {"unit": ""}, {"name": "II\nr 1"}, {"name": " "}])
def test_a_word_that_would_break_the_header_is_refused(tmp_path: Path, change: dict[str, str]) -> None:
    recording = of((250.0, np.arange(9)))
    signal = dataclasses.replace(recording.signals[0], **change)  # type: ignore[arg-type]
    with pytest.raises(SignalError, match="cannot write WFDB"):
        write_wfdb(dataclasses.replace(recording, signals=(signal,)), tmp_path)
