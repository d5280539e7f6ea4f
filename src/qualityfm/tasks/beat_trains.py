"""The beats of one channel against the patient's own norm: how alike, how large, how wide, how far apart each is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from qualityfm.tasks.beat_features import beat_shapes, likeness
from qualityfm.tasks.pulses import find_pulses
from qualityfm.tasks.traces import RATE_HZ
from qualityfm.waveform.beats import find_qrs

Values = Float[np.ndarray, " beat"]

#: The norm is that of the beats before the window where at least so many are known, else that of all beats. Our own
#: choice, docs/decisions/0037.
LEAST_USUAL = 10
#: Deflections beyond this multiple of the usual largest one of two seconds are artefacts, and are cut off before beats
#: are looked for: a detector whose threshold follows the mean energy would overlook all others. Our own choice.
CLIP = 2.5
CLIP_BLOCK_S = 2.0
#: A beat is usual above this correlation with the usual shape and within these shares of the usual size; an interval is
#: usual within these shares of the usual one. Our own choice, docs/decisions/0037.
USUAL_LIKE, USUAL_SIZE, USUAL_INTERVAL = 0.8, (0.5, 1.8), (0.6, 1.5)
#: Half of the stretch around a pulse's upstroke that is compared, s.
PULSE_REACH_S = 0.3


@dataclass(frozen=True, kw_only=True)
class BeatTrain:
    """The beats of one channel. Sizes, widths and intervals are shares of the patient's usual ones.

    Attributes:
        times_s: Moment of each beat, seconds of the trace.
        like: Correlation with the usual shape.
        size: Range of its stretch.
        broadness: Mean over largest deflection.
        sharpness: Energy of its slope over its own, which falls with the square of its width.
        spread: Distance in time of its energy from its middle.
        interval: Time since the beat before; NaN for the first.
        usual_interval_s: Median interval of the norm, s; NaN without three beats.
        usual_size: Size of the usual beat in the line's unit; NaN without two beats.
        unlike_before: Share of beats before the window that are unlike the usual one.
    """

    times_s: Values
    like: Values
    size: Values
    broadness: Values
    sharpness: Values
    spread: Values
    interval: Values
    usual_interval_s: float
    usual_size: float
    unlike_before: float

    def __len__(self) -> int:
        return len(self.times_s)

    def usual_spans(self) -> Float[np.ndarray, "span 2"]:
        """Return begin and end of every interval that begins and ends with a usual beat and is itself usual, s."""
        if len(self) < 2:
            return np.zeros((0, 2))
        is_usual = (self.like >= USUAL_LIKE) & _within(self.size, USUAL_SIZE)
        chosen = is_usual[1:] & is_usual[:-1] & _within(self.interval[1:], USUAL_INTERVAL)
        spans: Float[np.ndarray, "span 2"] = np.stack((self.times_s[:-1], self.times_s[1:]), axis=1)[chosen]
        return spans


def _within(values: Values, limits: tuple[float, float]) -> Bool[np.ndarray, " beat"]:
    return (values >= limits[0]) & (values <= limits[1])


def ecg_train(line: Float32[np.ndarray, " time"], begin_s: float) -> BeatTrain:
    """Return the QRS complexes of an ECG without baseline; its window begins at `begin_s`."""
    cut = clipped(line)
    beats = np.flatnonzero(find_qrs(cut[None], RATE_HZ)[0]).astype(np.int64)
    return _train(line, beats, beat_shapes(line, beats), begin_s)


def pulse_train(line: Float32[np.ndarray, " time"], begin_s: float) -> BeatTrain:
    """Return the pulses of a band-passed PPG or pressure line; its window begins at `begin_s`."""
    cut = clipped(line)
    beats = find_pulses(cut, RATE_HZ).foot
    reach = round(PULSE_REACH_S * RATE_HZ)
    around = np.clip(beats[:, None] + np.arange(-reach // 3, 2 * reach), 0, len(line) - 1)
    shapes = cut[around]
    return _train(cut, beats, shapes - shapes.mean(axis=1, keepdims=True), begin_s)


def clipped(line: Float32[np.ndarray, " time"]) -> Float32[np.ndarray, " time"]:
    """Return a line without baseline whose deflections end at `CLIP` times the usual largest one."""
    width = round(CLIP_BLOCK_S * RATE_HZ)
    num = len(line) // width
    if num < 2:
        return line
    largest = np.abs(line[: num * width]).reshape(num, width).max(axis=1)
    limit = CLIP * float(np.median(largest))
    return np.clip(line, -limit, limit) if limit > 0 else line


def _train(
    line: Float32[np.ndarray, " time"],
    beats: Int64[np.ndarray, " beat"],
    shapes: Float32[np.ndarray, "beat t"],
    begin_s: float,
) -> BeatTrain:
    times_s = beats / RATE_HZ
    if len(beats) < 2:
        none = np.full(len(beats), np.nan)
        figures = dict.fromkeys(("like", "size", "broadness", "sharpness", "spread", "interval"), none)
        return BeatTrain(times_s=times_s, **figures, usual_interval_s=np.nan, usual_size=np.nan, unlike_before=np.nan)
    is_before = times_s < begin_s
    usual = is_before if is_before.sum() >= LEAST_USUAL else np.ones(len(beats), bool)
    template = np.median(shapes[usual], axis=0)
    like = likeness(shapes, template)
    of_usual = _forms(shapes[usual & (like >= USUAL_LIKE)] if (usual & (like >= USUAL_LIKE)).any() else shapes)
    forms = {name: values / (np.median(of_usual[name]) + 1e-9) for name, values in _forms(shapes).items()}
    gaps = np.diff(times_s, prepend=np.nan)
    usual_s = float(np.nanmedian(gaps[usual])) if np.isfinite(gaps[usual]).sum() >= 2 else np.nan
    return BeatTrain(
        times_s=times_s,
        like=like,
        **forms,
        interval=gaps / usual_s,
        usual_interval_s=usual_s,
        usual_size=float(np.median(of_usual["size"])),
        unlike_before=float((like[usual] < USUAL_LIKE).mean()),
    )


def _forms(shapes: Float32[np.ndarray, "beat t"]) -> dict[str, Values]:
    """Return size, broadness, sharpness and spread of each shape, in the line's unit and samples."""
    largest = np.abs(shapes).max(axis=1) + 1e-9
    energy = shapes.astype(np.float64) ** 2
    whole = energy.sum(axis=1) + 1e-12
    time = np.arange(shapes.shape[1])
    middle = (energy * time).sum(axis=1) / whole
    return {
        "size": np.ptp(shapes, axis=1).astype(np.float64),
        "broadness": np.abs(shapes).mean(axis=1) / largest,
        "sharpness": (np.diff(shapes, axis=1).astype(np.float64) ** 2).sum(axis=1) / whole,
        "spread": np.sqrt((energy * (time - middle[:, None]) ** 2).sum(axis=1) / whole),
    }
