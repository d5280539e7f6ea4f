"""The HTML report: self-contained, escaped, aligned with the scores, small."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import SignalError, SourceError
from qualityfm.inference.report import render_report, write_report
from qualityfm.inference.report_reduce import (
    bars,
    clock,
    gaps,
    reduce_trace,
    time_ticks,
    timeline,
    value_range,
    value_ticks,
    zooms,
)
from qualityfm.records import Cause, ChannelKind, QualityScore, Recording, Signal

VOID = {"meta", "br", "link", "img", "hr"}


def make_signal(num_seconds: int = 90, name: str = "II", kind: ChannelKind = ChannelKind.ECG) -> Signal:
    samples = np.sin(np.arange(num_seconds * 125) / 20).astype(np.float32)
    return Signal(name=name, kind=kind, unit="mV", sample_rate_hz=125.0, samples=samples)


def make_recording(num_seconds: int = 90, name: str = "II", recording_id: str = "r1") -> Recording:
    pulse = make_signal(num_seconds, "PLETH", ChannelKind.PPG)
    signals = (make_signal(num_seconds, name), pulse)
    return Recording(recording_id=recording_id, subject_id=None, start=None, signals=signals)


def make_score(recording: Recording, num_segments: int = 3, seed: int = 0) -> QualityScore:
    rng = np.random.default_rng(seed)
    quality = rng.random((num_segments, 3, 30)).astype(np.float32)
    quality[:, 2] = 0
    causes = np.where(quality < 0.3, int(Cause.MOTION | Cause.NOISE), 0).astype(np.uint16)
    return QualityScore(
        recording_id=recording.recording_id,
        segment_start_s=np.arange(num_segments) * 30.0,
        segment_length_s=np.full(num_segments, 30.0),
        kinds=(ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP),
        names=(recording.signals[0].name, "PLETH", None),
        quality=quality,
        causes=causes,
        overall=quality[:, :2].mean((1, 2)).astype(np.float32),
    )


class Tags(HTMLParser):
    """Collects the open tags, and the addresses and scripts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"src", "href", "xlink:href", "action"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_a_report_is_well_formed_and_loads_nothing() -> None:
    recording = make_recording()
    page = render_report(recording, make_score(recording))
    tags = tags_of(page)
    assert tags.open == []
    assert tags.addresses == []
    assert not tags.names & {"script", "link", "img", "iframe"}
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) == {"#hatch"}


def test_hostile_names_are_shown_not_obeyed() -> None:
    attack = "<script>alert('x')</script>\"'&"
    recording = make_recording(name=attack, recording_id=attack)
    recording = replace(recording, notes=(attack,))
    recording = replace(recording, signals=tuple(replace(s, unit=attack) for s in recording.signals))
    page = render_report(recording, make_score(recording), model_name=attack)
    tags = tags_of(page)
    assert "script" not in tags.names
    assert tags.open == []
    assert "<script" not in page


def test_every_second_has_its_bar_with_its_reasons() -> None:
    recording = make_recording()
    score = make_score(recording)
    quality, causes = float(score.quality[1, 0, 4]), Cause(int(score.causes[1, 0, 4]))
    page = render_report(recording, score)
    assert f"0:34–0:35 quality {quality:.2f}" in page
    assert causes.words in page


def test_an_empty_slot_is_no_channel_of_the_report() -> None:
    recording = make_recording()
    line = timeline(make_score(recording))
    assert line.names == ("II", "PLETH")


def test_the_models_estimate_gets_a_ribbon_of_its_own() -> None:
    recording = make_recording()
    score = make_score(recording)
    without = render_report(recording, score)
    with_model = render_report(recording, replace(score, model_quality=1 - score.quality), model_name="tiny")
    assert ">model</text>" not in without
    assert ">model</text>" in with_model
    assert "model tiny" in with_model


def test_the_report_of_a_dead_and_of_an_empty_channel_says_so() -> None:
    recording = make_recording()
    dead = replace(recording.signals[0], samples=np.zeros(90 * 125, np.float32))
    empty = replace(recording.signals[1], samples=np.full(90 * 125, np.nan, np.float32))
    page = render_report(replace(recording, signals=(dead, empty)), make_score(recording))
    assert "no sample recorded" in page
    assert "100.0 %" in page
    assert "nan" not in page.lower()


def test_a_recording_shorter_than_a_second_can_be_reported() -> None:
    recording = make_recording(1)
    short = tuple(replace(s, samples=s.samples[:20]) for s in recording.signals)
    score = replace(make_score(recording, 1), segment_length_s=np.array([0.16]))
    assert tags_of(render_report(replace(recording, signals=short), score)).open == []


def test_the_scores_of_another_recording_are_refused() -> None:
    recording = make_recording()
    with pytest.raises(SignalError, match="'other'"):
        render_report(recording, replace(make_score(recording), recording_id="other"))


def test_a_report_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    recording = make_recording()
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write the report"):
        write_report(recording, make_score(recording), tmp_path / "file" / "r.html")


def test_an_older_report_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    recording = make_recording()
    out = tmp_path / "folder" / "r.html"
    write_report(recording, make_score(recording), out)
    first = out.read_text()
    write_report(recording, make_score(recording, seed=1), out)
    assert out.read_text() != first
    assert [path.name for path in out.parent.iterdir()] == ["r.html"]


def test_a_day_stays_small() -> None:
    num_segments = 2880
    noise = np.random.default_rng(0).normal(size=num_segments * 30 * 125).astype(np.float32)
    recording = make_recording(1)
    recording = replace(recording, signals=tuple(replace(s, samples=noise) for s in recording.signals))
    page = render_report(recording, make_score(recording, num_segments))
    assert len(page) < 1_500_000
    assert "120 worst of 2,880 segments" in page


def test_a_spike_of_one_sample_survives_the_reduction() -> None:
    signal = make_signal(600)
    signal.samples[40_000] = 50.0
    _, values = reduce_trace(signal, 0.0, 600.0, 500)
    assert values.max() == 50.0
    assert len(values) <= 1000


def test_the_reduction_keeps_the_order_of_time() -> None:
    times, _ = reduce_trace(make_signal(600), 0.0, 600.0, 500)
    assert (np.diff(times) > 0).all()


def test_few_samples_are_drawn_as_they_are() -> None:
    signal = make_signal(4)
    times, values = reduce_trace(signal, 1.0, 3.0, 500)
    np.testing.assert_array_equal(values, signal.samples[125:375])
    assert times[0] == 1.0


def test_a_gap_stays_a_gap() -> None:
    signal = make_signal(600)
    signal.samples[25_000:31_250] = np.nan
    times, values = reduce_trace(signal, 0.0, 600.0, 500)
    missing = times[np.isnan(values)]
    assert missing.min() == pytest.approx(200, abs=2)
    assert missing.max() == pytest.approx(250, abs=2)
    assert gaps(signal, 0.0, 600.0, 500) == [(200.0, 250.0)]


def test_a_channel_that_begins_late_and_ends_early_has_gaps_at_both_ends() -> None:
    signal = replace(make_signal(60), start_s=20.0)
    assert gaps(signal, 0.0, 100.0, 500) == [(0.0, 20.0), (80.0, 100.0)]


def test_where_segments_overlap_the_lower_quality_counts() -> None:
    recording = make_recording()
    score = make_score(recording, 2)
    score = replace(score, segment_start_s=np.array([0.0, 15.0]))
    line = timeline(score)
    expected = np.minimum(score.quality[0, 0, 15:], score.quality[1, 0, :15])
    np.testing.assert_array_equal(line.quality[0, 15:30], expected)


def test_seconds_that_no_segment_covers_have_no_bar() -> None:
    quality = np.array([0.5, np.nan, 0.7], np.float32)
    found = list(bars(quality, np.zeros(3, np.uint16), 0, 3))
    assert [(bar.start_s, bar.end_s) for bar in found] == [(0, 1), (2, 3)]


def test_equal_neighbours_become_one_bar() -> None:
    found = list(bars(np.full(10, 0.8, np.float32), np.zeros(10, np.uint16), 0, 10))
    assert [(bar.start_s, bar.end_s, bar.quality) for bar in found] == [(0, 10, 0.8)]


def test_the_close_ups_are_the_worst_and_the_best_segment() -> None:
    recording = make_recording()
    score = replace(make_score(recording), overall=np.array([0.5, 0.1, 0.9], np.float32))
    assert [(z.start_s, z.end_s) for z in zooms(score)] == [(30.0, 60.0), (60.0, 90.0)]


def test_a_short_rest_at_the_end_is_no_close_up() -> None:
    recording = make_recording()
    score = replace(make_score(recording), overall=np.array([0.5, 0.6, 0.0], np.float32))
    score = replace(score, segment_length_s=np.array([30.0, 30.0, 2.0]))
    assert [z.start_s for z in zooms(score)] == [0.0, 30.0]


def test_segments_that_are_all_alike_get_one_close_up() -> None:
    recording = make_recording()
    score = replace(make_score(recording), overall=np.full(3, 0.5, np.float32))
    assert len(zooms(score)) == 1


def test_a_flushed_pressure_line_does_not_flatten_the_beats() -> None:
    samples = (90 + 30 * np.sin(np.arange(37_500) / 20)).astype(np.float32)
    samples[5_000:8_000] = 930.0
    signal = Signal(name="ABP", kind=ChannelKind.ABP, unit="mmHg", sample_rate_hz=125.0, samples=samples)
    low, high = value_range(signal, 0.0, 300.0)
    assert low < 60
    assert high < 350


@pytest.mark.parametrize("level", [0.0, 0.013, -400.0])
def test_a_flat_line_is_drawn_in_the_middle_of_a_readable_scale(level: float) -> None:
    signal = replace(make_signal(), samples=np.full(90 * 125, level, np.float32))
    low, high = value_range(signal, 0.0, 90.0)
    assert (low + high) / 2 == pytest.approx(level, abs=1e-6)
    assert high - low >= 0.99


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (0.0, 1e-5), (-3e8, 5e8), (59.0, 121.0), (7.0, 7.001)])
def test_ticks_are_few_and_inside_the_range(low: float, high: float) -> None:
    ticks = value_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert all(low <= tick <= high + 1e-9 for tick in ticks)


@pytest.mark.parametrize("length_s", [0.5, 30, 330, 3600, 86_400, 700_000])
def test_time_ticks_are_at_most_a_dozen(length_s: float) -> None:
    assert 1 <= len(time_ticks(0.0, length_s)) <= 12


def test_a_clock_carries_into_minutes_and_hours() -> None:
    assert (clock(59.6), clock(3599.7)) == ("1:00", "1:00:00")


@pytest.mark.real
@pytest.mark.parametrize("name", ["a104s", "v176s", "f530s"])
def test_real_records_clean_noisy_and_dead_get_a_small_page(real_data: Path, tmp_path: Path, name: str) -> None:
    from qualityfm.quality.score import score_quality
    from qualityfm.sources import open_recording

    recording = open_recording(real_data / "challenge2015" / "records" / name)
    out = write_report(recording, score_quality(recording), tmp_path / "r.html")
    page = out.read_text(encoding="utf-8")
    assert tags_of(page).open == []
    assert len(page) < 1_500_000
    assert "alarm" not in page.lower()  # labels of the archive lie in header comments
