"""The published, rhythm-based quality, for the `paper-*` family alone: it calls an irregular heart a bad signal.

Source: Guo, Chen, Ferrario, arXiv 2509.06516, 2025, as reconstructed from descriptions: an ECG is worth its share of
plausible beats, a PPG the mean of five indices, a segment the mean of both. How each PPG index is taken to [0, 1] is
not published; the mappings here are our own choice, docs/decisions/0004.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32

from qualityfm.quality.lines import Lines, prepare_lines
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock
from qualityfm.waveform.beats import find_qrs
from qualityfm.waveform.spectrum import power_spectrum

#: Plausible beats. Source: as above.
RATES_PER_MIN = (40.0, 120.0)
MAX_JUMP_S = 0.5
MAX_RATE_CHANGE = 0.3
#: Pulse bands. Source: Elgendi, Bioengineering 3:21, 2016.
PULSE_HZ = (0.5, 8.0)
RELATIVE_HZ = (0.5, 5.0)
#: What counts as perfect, our own choice, docs/decisions/0004: SNR in dB; perfusion in percent of the level.
FULL_SNR_DB = 20.0
FULL_PERFUSION_PERCENT = 5.0
#: Segments scored at a time.
CHUNK_SEGMENTS = 64


def paper_quality(block: SegmentBlock) -> Float32[np.ndarray, " segment"]:
    """Return the published quality in [0, 1] of each segment, from its first ECG and its first PPG.

    The mean of both, or the one that is there; 0 where neither is.
    """
    slots = [s for s in (_first(block, ChannelKind.ECG), _first(block, ChannelKind.PPG)) if s is not None]
    quality = np.zeros(len(block), np.float32)
    if not slots:
        return quality
    for first in range(0, len(block), CHUNK_SEGMENTS):
        part = slice(first, first + CHUNK_SEGMENTS)
        quality[part] = np.mean([_channel_quality(block, slot, part) for slot in slots], axis=0)
    return quality


def _first(block: SegmentBlock, kind: ChannelKind) -> int | None:
    filled = (c for c, name in enumerate(block.names) if name is not None and block.config.channels[c] == kind)
    return next(filled, None)


def _channel_quality(block: SegmentBlock, slot: int, part: slice) -> Float[np.ndarray, " segment"]:
    config = block.config
    lines = prepare_lines(
        config.channels[slot],
        block.names[slot] or "",
        block.units[slot],
        config.sample_rate_hz,
        block.values[part, slot],
        block.is_real[part, slot],
        config.num_seconds,
    )
    quality = plausible_share(lines) if lines.kind == ChannelKind.ECG else pulse_indices(lines).mean(axis=0)
    return np.where(lines.is_real.any(axis=1), quality, 0)


def plausible_share(lines: Lines) -> Float[np.ndarray, " line"]:
    """Return the share of beat intervals with a plausible rate and no jump from the interval before; 0 without any."""
    is_beat = find_qrs(lines.values, lines.sample_rate_hz)
    line, sample = np.nonzero(is_beat)
    same_line = np.diff(line) == 0
    interval_s = (np.diff(sample) / lines.sample_rate_hz)[same_line]
    of_line = line[1:][same_line]
    rate = 60 / interval_s
    is_plausible = (rate >= RATES_PER_MIN[0]) & (rate <= RATES_PER_MIN[1])
    follows = np.diff(of_line) == 0
    jumps = (np.abs(np.diff(interval_s)) > MAX_JUMP_S) | (np.abs(np.diff(rate)) > MAX_RATE_CHANGE * rate[:-1])
    is_plausible[1:] &= ~(follows & jumps)
    num_lines = len(is_beat)
    plausible = np.bincount(of_line, weights=is_plausible, minlength=num_lines)
    return np.asarray(plausible / np.maximum(np.bincount(of_line, minlength=num_lines), 1))


def pulse_indices(lines: Lines) -> Float[np.ndarray, "index line"]:
    """Return five indices of a PPG, each in [0, 1]: SNR, perfusion, skewness, relative power, entropy.

    - SNR: power in the pulse band against all other power, 0 dB is 0 and 20 dB is 1.
    - Perfusion: range against the mean level, 5 % and more is 1.
    - Skewness: -1 is 0 and +1 is 1; a pulse rises above its level shortly and rests below it.
    - Relative power: the share of all power in 0.5-5 Hz.
    - Entropy: 1 minus the spectrum's entropy, as a share of what white noise has.
    """
    frequency_hz, power = power_spectrum(lines.values, lines.sample_rate_hz)
    total = np.maximum(power.sum(axis=1), 1e-30)
    pulse = _band_share(frequency_hz, power, PULSE_HZ)
    snr_db = 10 * np.log10(np.maximum(pulse, 1e-12) / np.maximum(1 - pulse, 1e-12))

    values = lines.values.astype(np.float64)
    centred = values - values.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1))
    skewness = (centred**3).mean(axis=1) / np.maximum(deviation**3, 1e-30)
    perfusion = 100 * np.ptp(values, axis=1) / np.maximum(np.abs(values.mean(axis=1)), 1e-12)

    share = power[:, 1:] / total[:, None]
    entropy = -(share * np.log(np.maximum(share, 1e-30))).sum(axis=1) / np.log(max(2, share.shape[1]))
    is_moving = deviation > 0
    indices = np.stack(
        [
            snr_db / FULL_SNR_DB,
            perfusion / FULL_PERFUSION_PERCENT,
            (skewness + 1) / 2,
            _band_share(frequency_hz, power, RELATIVE_HZ),
            1 - entropy,
        ]
    )
    return np.where(is_moving, np.clip(indices, 0, 1), 0)


def _band_share(
    frequency_hz: Float[np.ndarray, " frequency"],
    power: Float[np.ndarray, "line frequency"],
    band_hz: tuple[float, float],
) -> Float[np.ndarray, " line"]:
    """Return the share of the power that lies in a band."""
    inside = (frequency_hz >= band_hz[0]) & (frequency_hz <= band_hz[1])
    return np.asarray(power[:, inside].sum(axis=1) / np.maximum(power.sum(axis=1), 1e-30))
