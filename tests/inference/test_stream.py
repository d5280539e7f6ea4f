from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qualityfm.errors import SignalError
from qualityfm.inference.loading import load_model
from qualityfm.inference.stream import Stream, StreamChannel, StreamConfig
from qualityfm.quality.score import score_quality
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.segments import SegmentConfig
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.simulate import SimulationConfig, simulate

CONFIG = SegmentConfig(segment_s=10.0, step_s=10.0)


def channels_of(recording: Recording) -> list[StreamChannel]:
    return [
        StreamChannel(name=s.name, kind=s.kind, unit=s.unit, sample_rate_hz=s.sample_rate_hz, start_s=s.start_s)
        for s in recording.signals
    ]


def with_rate(signal: Signal, rate_hz: float, start_s: float) -> Signal:
    samples = np.asarray(resample(signal.samples, signal.sample_rate_hz, rate_hz), np.float32)
    return replace(signal, samples=samples, sample_rate_hz=rate_hz, start_s=start_s)


def with_gaps(signal: Signal, seed: int, duration_s: float) -> Signal:
    """The signal with short and long gaps, and cut or gone on with missing samples to one length of all."""
    random = np.random.default_rng(seed)
    samples = np.full(round((duration_s - signal.start_s) * signal.sample_rate_hz), np.nan, np.float32)
    samples[: len(signal.samples)] = signal.samples[: len(samples)]
    for _ in range(6):
        begin, length_s = random.integers(len(samples)), random.choice([0.01, 0.1, 0.25, 0.9, 3.0, 14.0])
        samples[begin : begin + round(length_s * signal.sample_rate_hz)] = np.nan
    return replace(signal, samples=samples)


@pytest.fixture(scope="module")
def simulated() -> Recording:
    return simulate(5, SimulationConfig(duration_s=45.0, faults_per_minute=3.0)).recording


RATES = [250.0, 125.0, 62.4725, 500.0, 360.0, 100.0, 499.78]


def assert_same(scores, offline) -> None:
    for name in ("quality", "causes", "overall", "segment_start_s", "segment_length_s"):
        np.testing.assert_array_equal(np.concatenate([getattr(one, name) for one in scores]), getattr(offline, name))
    for use, is_usable in offline.usable.items():
        np.testing.assert_array_equal(np.concatenate([one.usable[use] for one in scores]), is_usable)


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_packeting_gives_the_numbers_of_the_file_bit_for_bit(simulated, data):
    rates = [data.draw(st.sampled_from(RATES)) for _ in simulated.signals]
    starts = [data.draw(st.sampled_from([0.0, 0.0, 0.4, 1 / 3])) for _ in simulated.signals]
    seed, step_s = data.draw(st.integers(0, 2**20)), data.draw(st.sampled_from([10.0, 5.0, 7.3]))
    signals = tuple(
        with_gaps(with_rate(s, rate, start), seed + i, 44.6)
        for i, (s, rate, start) in enumerate(zip(simulated.signals, rates, starts, strict=True))
    )
    recording = replace(simulated, signals=signals)
    config = replace(CONFIG, step_s=step_s)
    stream = Stream(channels_of(recording), config, stream=StreamConfig(reorder_s=3.0))
    scores = []
    for name, first, samples in packets(recording, np.random.default_rng(seed)):
        scores += stream.feed(name, first, samples)
    assert sum(one.late for one in stream.counts.values()) == 0
    assert len(scores) > 0
    assert_same(scores + stream.close(), score_quality(recording, config))


def packets(recording: Recording, random: np.random.Generator) -> list[tuple[str, int, np.ndarray]]:
    """Packets of any size up to a second, some twice, each delivered up to 1.4 s later than its neighbours."""
    found = []
    for signal in recording.signals:
        first = 0
        while first < len(signal.samples):
            length = 1 + int(random.integers(signal.sample_rate_hz * random.choice([0.02, 1.0])))
            samples = signal.samples[first : first + length]
            for _ in range(1 + (random.random() < 0.1)):
                arrives_s = signal.start_s + first / signal.sample_rate_hz + random.uniform(0, 1.4)
                found.append((arrives_s, signal.name, first, samples))
            first += length
    return [packet[1:] for packet in sorted(found, key=lambda packet: packet[0])]


def one_lead(rate_hz: float = 125.0, **stream: float) -> Stream:
    lead = StreamChannel(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=rate_hz)
    return Stream([lead], CONFIG, stream=StreamConfig(**stream))


def wave(num_samples: int) -> np.ndarray:
    return np.sin(np.arange(num_samples) / 9).astype(np.float32)


def test_memory_does_not_grow_with_time():
    stream, packet = one_lead(), wave(125)
    held = []
    for second in range(400):
        stream.feed("II", second * 125, packet)
        held.append(stream.num_held)
    assert max(held[200:]) <= max(held[:200])


def test_a_packet_of_any_size_is_taken_in_pieces():
    stream = one_lead()
    assert len(stream.feed("II", 0, wave(125 * 900))) == 89
    assert stream.num_held < 125 * 60


def test_every_second_comes_within_the_stated_delay():
    stream = one_lead()
    for second in range(100):
        done = stream.feed("II", second * 125, wave(125))
        for score in done:
            assert second + 1 - float(score.segment_start_s[0]) <= stream.delay_s + 1


def test_late_samples_are_counted_and_left_out():
    stream = one_lead(reorder_s=1.0)
    stream.feed("II", 0, wave(500))
    stream.feed("II", 1000, wave(1500))
    before = stream.counts["II"].taken
    stream.feed("II", 500, wave(500))
    assert (stream.counts["II"].late, stream.counts["II"].taken) == (500, before)


def test_the_first_copy_of_a_sample_counts():
    stream, offline = one_lead(), wave(3000)
    stream.feed("II", 0, offline)
    stream.feed("II", 2500, offline[:500] + 7)
    assert stream.counts["II"].doubled == 500
    lead = Signal(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0, samples=offline)
    recording = Recording(recording_id="r", subject_id=None, start=None, signals=(lead,))
    assert np.array_equal(stream.preview()[-1].quality, score_quality(recording, CONFIG).quality[-1:])


def test_a_silent_hour_is_scored_as_missing():
    stream = one_lead(max_jump_s=4000.0)
    stream.feed("II", 0, wave(1250))
    done = stream.feed("II", 125 * 3600, wave(1250))
    assert len(done) == 360
    assert float(done[100].overall[0]) == 0.0


def test_a_preview_holds_the_second_that_just_ended():
    stream = one_lead()
    stream.feed("II", 0, wave(125 * 4))
    assert stream.preview()[0].segment_length_s[0] == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("name", "first", "samples", "field"),
    [
        ("V9", 0, wave(5), "channel"),
        ("II", -1, wave(5), "first"),
        ("II", True, wave(5), "first"),
        ("II", 10**15, wave(5), "first"),
        ("II", 0, np.zeros((2, 2)), "samples"),
    ],
)
def test_a_packet_that_cannot_be_is_refused_and_disturbs_nothing(name, first, samples, field):
    stream = one_lead()
    stream.feed("II", 0, wave(100))
    with pytest.raises(SignalError, match=f"{field}: found .*expected"):
        stream.feed(name, first, samples)
    assert stream.feed("II", 100, wave(100)) == []
    assert stream.counts["II"].taken == 200


def test_nothing_comes_after_the_end():
    stream = one_lead()
    stream.close()
    assert stream.close() == []
    with pytest.raises(SignalError, match="after the end"):
        stream.feed("II", 0, wave(5))


LEAD = StreamChannel(name="II", kind=ChannelKind.ECG, unit="mV", sample_rate_hz=125.0)


@pytest.mark.parametrize(
    ("channels", "field"),
    [
        ([], "channels"),
        ([LEAD, LEAD], "name"),
        ([replace(LEAD, name="")], "name"),
        ([replace(LEAD, sample_rate_hz=-125.0)], "sample_rate_hz"),
        ([replace(LEAD, sample_rate_hz=float("nan"))], "sample_rate_hz"),
        ([replace(LEAD, start_s=float("inf"))], "start_s"),
        ([replace(LEAD, kind=ChannelKind.OTHER)], "channels"),
    ],
)
def test_a_channel_table_that_cannot_be_is_refused(channels, field):
    with pytest.raises(SignalError, match=f"{field}: found"):
        Stream(channels, CONFIG)


@pytest.fixture(scope="module")
def model():
    return load_model("qualityfm-tiny")


def test_a_model_in_the_stream_says_what_it_says_of_the_file(simulated, model):
    stream, scores = Stream(channels_of(simulated), model=model), []
    for name, first, samples in packets(simulated, np.random.default_rng(3)):
        scores += stream.feed(name, first, samples)
    scores += stream.close()
    whole = model.score(simulated)
    np.testing.assert_array_equal(np.concatenate([one.quality for one in scores]), whole.quality)
    for name in ("model_quality", "model_good"):
        streamed = np.concatenate([getattr(one, name) for one in scores])
        np.testing.assert_allclose(streamed, getattr(whole, name), atol=1e-5)


def test_a_model_brings_its_own_recipe(simulated, model):
    with pytest.raises(SignalError, match="config: found"):
        Stream(channels_of(simulated), CONFIG, model=model)
