"""Arrays with times beside them, and arrays of rows."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from qualityfm.errors import SourceError
from qualityfm.sources import find_recordings, open_recording
from qualityfm.sources.layout import ChannelRule, Layout

LAYOUT = Layout(
    name="lab",
    title="",
    source="numpy",
    sample_rate_hz=100.0,
    time="t",
    time_unit="ms",
    channels=(
        ChannelRule(column="waves", name="II", axis_index=0),
        ChannelRule(column="waves", name="V", axis_index=1),
    ),
)


def write(folder, source, times, waves):
    arrays = {"t": times, "waves": waves}
    path = folder / f"r.{ {'numpy': 'npz', 'mat': 'mat', 'hdf5': 'h5'}[source] }"
    if source == "numpy":
        np.savez(path, **arrays)
    elif source == "mat":
        savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            file.update(arrays)
    return path


def with_a_gap(num=600, gap_ms=2000.0):
    times = np.arange(num) * 10.0 + 5000
    times[num // 2 :] += gap_ms
    return times, np.stack([np.arange(num) + 0.0, np.arange(num) + 1000.0])


@pytest.mark.parametrize("source", ["numpy", "mat", "hdf5"])
def test_a_gap_in_the_times_becomes_missing_samples(tmp_path, source):
    path = write(tmp_path, source, *with_a_gap())
    layout = replace(LAYOUT, source=source)
    (found,) = find_recordings(tmp_path, layout=layout)
    recording = open_recording(path, layout=layout)
    assert found.duration_s == recording.duration_s == 8.0
    second = recording.signals[1].samples
    assert np.flatnonzero(np.isnan(second)).tolist() == list(range(300, 500))
    np.testing.assert_array_equal(second[500:], np.arange(1300.0, 1600.0))
    assert recording.notes == ("gaps in the time column, filled with missing samples: 1",)


def test_a_stretch_runs_by_the_clock(tmp_path):
    path = write(tmp_path, "numpy", *with_a_gap())
    ii, _ = open_recording(path, layout=LAYOUT, start_s=4.0, duration_s=2.0).signals
    assert np.isnan(ii.samples[:100]).all()
    np.testing.assert_array_equal(ii.samples[100:], np.arange(300.0, 400.0))


def test_a_rate_that_is_not_stated_comes_from_the_times(tmp_path):
    path = write(tmp_path, "numpy", *with_a_gap())
    recording = open_recording(path, layout=replace(LAYOUT, sample_rate_hz=None))
    assert {s.sample_rate_hz for s in recording.signals} == {100.0}
    assert recording.notes[0] == "rate 100 Hz taken from the time column"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sample_rate_hz": 250.0}, "sample_rate_hz: found 250.0, expected 100 Hz, as the time column says"),
        ({"time": "clock"}, "time clock: found 't, waves', expected an array 'clock'"),
        ({"time_unit": "datetime"}, "time_unit: found 'datetime', expected s, ms or us"),
        ({"time": "waves"}, "array waves: found 'shape 2 x 600', expected one line"),
    ],
)
def test_times_that_do_not_fit_are_refused(tmp_path, changes, says):
    path = write(tmp_path, "numpy", *with_a_gap())
    with pytest.raises(SourceError) as error:
        open_recording(path, layout=replace(LAYOUT, **changes))
    assert says in str(error.value)


def test_more_samples_than_times_are_refused(tmp_path):
    times, waves = with_a_gap()
    path = write(tmp_path, "numpy", times[:-7], waves)
    with pytest.raises(SourceError, match="channel II: found '600 samples', expected 593, one for each time"):
        open_recording(path, layout=LAYOUT)


def test_a_counter_is_unrolled_from_the_first_sample_on(tmp_path):
    np.savez(tmp_path / "r.npz", ppg=(np.arange(3000) * 100) % 65536)
    layout = Layout(
        name="l", title="", source="numpy", sample_rate_hz=100.0, channels=(ChannelRule(column="ppg", wraps_at=65536),)
    )
    whole, part = (open_recording(tmp_path / "r.npz", layout=layout, start_s=s).signals[0].samples for s in (0, 20))
    np.testing.assert_array_equal(whole, np.arange(3000) * 100.0)
    np.testing.assert_array_equal(part, whole[2000:])


def test_rows_of_several_arrays_are_recordings_with_patients(tmp_path):
    waves = np.arange(4 * 2 * 100.0).reshape(4, 2, 100)
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file["x"], file["abp"], file["who"] = waves, waves[:, 0] + 0.5, np.arange(10, 14)
    channels = (ChannelRule(column="x", name="II", axis_index=1), ChannelRule(column="abp"))
    layout = Layout(
        name="l", title="", source="hdf5", sample_rate_hz=50.0, items="rows", subject_column="who", channels=channels
    )
    found = find_recordings(tmp_path, layout=layout)
    assert [(f.recording_id, f.subject_id, f.duration_s) for f in found] == [
        (f"all/{i:04d}", str(10 + i), 2.0) for i in range(4)
    ]
    ii, abp = open_recording(found[2].path, layout=layout, start_s=1.0).signals
    np.testing.assert_array_equal(ii.samples, waves[2, 1, 50:])
    np.testing.assert_array_equal(abp.samples, waves[2, 0, 50:] + 0.5)


def test_arrays_with_unequal_numbers_of_rows_are_refused(tmp_path):
    np.savez(tmp_path / "r.npz", II=np.zeros((4, 100)), V=np.zeros((3, 100)))
    channels = (ChannelRule(column="II"), ChannelRule(column="V"))
    layout = Layout(name="l", title="", source="numpy", sample_rate_hz=50.0, items="rows", channels=channels)
    with pytest.raises(SourceError, match="array V: found '3 rows', expected 4, as in the first channel"):
        open_recording(tmp_path / "r.npz/0000", layout=layout)
