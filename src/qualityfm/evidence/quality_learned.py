"""What only a learned score claims: probabilities that hold, and knowing what it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.evidence.quality_data import RATE_HZ, SEGMENT_S
from qualityfm.evidence.quality_figures import Figure, auc_figure, figure_of, mean_figure
from qualityfm.evidence.quality_scorers import Scorer, as_recording
from qualityfm.models.calibration import GOOD_FROM, NUM_BINS, calibration_error
from qualityfm.records import ChannelKind
from qualityfm.waveform.resampling import resample
from qualityfm.waveform.simulate import Simulation

#: Segments of each kind of made input.
NUM_STRANGE = 40


def calibration_figures(patients: Sequence[Simulation], scorers: Mapping[str, Scorer], rounds: int) -> list[Figure]:
    """Return how far the probability of a good second is from its frequency, on simulated truth.

    The expected calibration error and its bins are those of `models.calibration`; the Brier score stands beside it, and
    that of always saying the share of good seconds.
    """
    figures = []
    for method, scorer in scorers.items():
        parts = [_good_seconds(patient, scorer, number) for number, patient in enumerate(patients)]
        if parts[0] is None:
            continue
        probability, is_good, groups = (np.concatenate(p) for p in zip(*filter(None, parts), strict=True))
        figures += _calibration(method, probability, is_good, groups, rounds)
    return figures


def _good_seconds(patient: Simulation, scorer: Scorer, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the probability of each second of each channel, whether it is good, and its patient."""
    found = scorer(patient.recording)
    if found.good is None:
        return None
    num_channels, num_seconds = patient.quality.shape
    rows = [found.channels.index(signal.name) for signal in patient.recording.signals]
    probability = found.good[rows, :num_seconds].ravel()
    return probability, (patient.quality >= GOOD_FROM).ravel(), np.full(num_channels * num_seconds, number)


def _calibration(
    method: str, probability: np.ndarray, is_good: np.ndarray, groups: np.ndarray, rounds: int
) -> list[Figure]:
    part, case = "calibration", "probability of a good second, simulated truth"
    error = lambda i: calibration_error(probability[i], is_good[i])  # noqa: E731
    curve = reliability(probability, is_good)
    names = (part, case, method, f"expected calibration error, {NUM_BINS} bins")
    figures = [figure_of(names, error, groups, rounds, curve=curve)]
    share = is_good.mean()
    for measure, values in (
        ("Brier score", (probability - is_good) ** 2),
        ("Brier score of the mere share of good seconds", (share - is_good) ** 2),
    ):
        figures.append(mean_figure((part, case, method, measure), np.asarray(values, float), groups, rounds))
    names = (part, case, method, "AUC of a low probability in seconds that are not good")
    return [*figures, auc_figure(names, ~is_good, probability, groups, rounds)]


def reliability(probability: Float[np.ndarray, " second"], is_true: np.ndarray) -> tuple[tuple[float, float], ...]:
    """Return mean probability and frequency of every bin that holds a second."""
    bins = np.minimum((probability * NUM_BINS).astype(int), NUM_BINS - 1)
    return tuple(
        (round(float(probability[bins == b].mean()), 4), round(float(is_true[bins == b].mean()), 4))
        for b in np.unique(bins)
    )


def strange_lines() -> dict[str, Float32[np.ndarray, "line time"]]:
    """Return input that is no ECG and no pulse, in sizes of 1: 30-s lines at the benchmark's rate."""
    rng = np.random.default_rng(1)
    shape = (NUM_STRANGE, SEGMENT_S * int(RATE_HZ))
    walk = np.cumsum(rng.standard_normal(shape), axis=1)
    text = np.frombuffer(" ".join(map(str, range(shape[0] * shape[1]))).encode(), np.uint8)[: shape[0] * shape[1]]
    seconds = np.arange(shape[1]) / RATE_HZ
    period_s = rng.uniform(0.05, 10, (NUM_STRANGE, 1))
    made = {
        "white noise": rng.standard_normal(shape),
        "random walk": walk / walk.std(axis=1, keepdims=True),
        "bytes of a text": (text.reshape(shape) - 50.0) / 10,
        "square waves": np.sign(np.sin(2 * np.pi * seconds / period_s)),
        "sine waves": np.sin(2 * np.pi * seconds / period_s),
    }
    return {name: lines.astype(np.float32) for name, lines in made.items()}


def wrong_rate(lines: Float32[np.ndarray, "line time"], factor: float) -> Float32[np.ndarray, "line time"]:
    """Return lines as they look when their rate is taken to be `factor` times what it is; the first 30 s of each."""
    num_samples = lines.shape[1]
    played = [resample(np.tile(line, 1 + int(factor)), factor * RATE_HZ, RATE_HZ) for line in lines]
    return np.stack([line[:num_samples] for line in played]).astype(np.float32)


def abstention_figures(
    lines: Mapping[ChannelKind, tuple[Float32[np.ndarray, "line time"], np.ndarray]],
    noisy: Mapping[ChannelKind, tuple[Float32[np.ndarray, "line time"], np.ndarray]],
    scorers: Mapping[str, Scorer],
    rounds: int,
) -> list[Figure]:
    """Return of what share of segments a score says that it does not know them, and how good it calls their seconds.

    Args:
        lines: Clean real segments and their records, by kind.
        noisy: The same with noise.
        scorers: By name; those that never abstain give no figure.
        rounds: Bootstrap rounds.
    """
    strange = {name: (made, np.arange(len(made))) for name, made in strange_lines().items()}
    figures = []
    for kind, (clean, records) in lines.items():
        cases = {"known: clean": (clean, records), "known: with noise": noisy[kind]}
        cases |= {f"rate {f:g} times": (wrong_rate(clean, f), records) for f in (0.5, 2.0, 4.0)}
        for method, scorer in scorers.items():
            for name, (made, groups) in {**cases, **strange}.items():
                figures += _abstention((f"{kind.value}, {name}", method), made, groups, kind, scorer, rounds)
    return figures


def _abstention(
    names: tuple[str, str], lines: np.ndarray, groups: np.ndarray, kind: ChannelKind, scorer: Scorer, rounds: int
) -> list[Figure]:
    found = scorer(as_recording(lines, kind))
    if found.knows is None:
        return []
    is_foreign = 1 - found.knows.reshape(len(lines), -1).mean(axis=1)
    quality = found.quality[0].reshape(len(lines), -1).mean(axis=1)
    case, method = names
    # At half or twice its rate a heart looks slow or fast, and nothing says that it is not.
    aim = "at most .05" if "known" in case else "" if "rate" in case else "at least .95"
    part = "abstention"
    return [
        mean_figure((part, case, method, "share of segments it does not know"), is_foreign, groups, rounds, aim),
        mean_figure((part, case, method, "mean quality"), np.asarray(quality, float), groups, rounds),
    ]
