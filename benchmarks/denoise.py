"""The decoder as a filter: SNR gain on MIT-BIH ECG with NSTDB noise, beside classical filters.

    QUALITYFM_DATA=... OMP_NUM_THREADS=1 python benchmarks/denoise.py --model qualityfm-tiny --out denoise.json

One 30-s segment (minute 10) of the first lead of each MIT-BIH record that is not paced; noise from minutes 13-20 of
NSTDB at 0, 3 and 6 dB of power. The encoder must not have met `mitdb`. SNR is taken after the best gain and offset of
each answer, because the decoder draws in its own scale; `none` shows what that alone gives. The best filter is chosen
in hindsight for each kind and level, in favour of the filters. Intervals: bootstrap over records.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pywt
import torch
from scipy.ndimage import median_filter
from scipy.signal import butter, savgol_filter, sosfiltfilt, wiener

from qualityfm.evidence.intervals import bootstrap
from qualityfm.inference.loading import load_model
from qualityfm.inference.predictor import Predictor
from qualityfm.models.decoder import SpectrumDecoder
from qualityfm.pretrain.noise import load_noise
from qualityfm.segments import cut_block, scale_values
from qualityfm.sources import open_recording
from qualityfm.waveform.noise import NoiseBank

#: Paced records (the data set's documentation), and 202, the same patient as 201.
LEFT_OUT = {"102", "104", "107", "217", "202"}
BEGIN_S = 600.0
LEVELS_DB = (0.0, 3.0, 6.0)
KINDS = ("bw", "em", "ma")


def band_pass(line: np.ndarray, rate_hz: float, low_hz: float = 0.5, high_hz: float = 40.0) -> np.ndarray:
    """Return a zero-phase Butterworth band-pass of order 4."""
    return sosfiltfilt(butter(2, [low_hz, high_hz], "bandpass", fs=rate_hz, output="sos"), line)


def without_moving_median(line: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return the line without its baseline, medians of 0.2 and 0.6 s (de Chazal et al., IEEE TBME 51:1196, 2004)."""
    baseline = median_filter(line, 2 * round(0.1 * rate_hz) + 1, mode="nearest")
    return line - median_filter(baseline, 2 * round(0.3 * rate_hz) + 1, mode="nearest")


def wavelet(line: np.ndarray, rate_hz: float) -> np.ndarray:
    """Return soft thresholding of sym8 at the universal threshold (Donoho, IEEE Trans. Inf. Theory 41:613, 1995)."""
    level = round(np.log2(rate_hz / 1.0))  # the approximation that is dropped lies below about 0.5 Hz
    parts = pywt.wavedec(line, "sym8", level=min(level, pywt.dwt_max_level(len(line), "sym8")))
    threshold = np.median(np.abs(parts[-1])) / 0.6745 * np.sqrt(2 * np.log(len(line)))
    kept = [np.zeros_like(parts[0]), *(pywt.threshold(part, threshold, "soft") for part in parts[1:])]
    return pywt.waverec(kept, "sym8")[: len(line)]


FILTERS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "none": lambda line, rate_hz: line,
    "band-pass 0.5-40 Hz": band_pass,
    "band-pass 1-25 Hz": lambda line, rate_hz: band_pass(line, rate_hz, 1.0, 25.0),
    "band-pass 5-20 Hz": lambda line, rate_hz: band_pass(line, rate_hz, 5.0, 20.0),
    "moving median": without_moving_median,
    "wavelet": wavelet,
    "moving median, wavelet": lambda line, rate_hz: wavelet(without_moving_median(line, rate_hz), rate_hz),
    "band-pass, Savitzky-Golay": lambda line, rate_hz: savgol_filter(band_pass(line, rate_hz), 9, 3),
    "band-pass, Wiener": lambda line, rate_hz: wiener(band_pass(line, rate_hz), 11),
}


def clean_lines(folder: Path, predictor: Predictor) -> dict[str, np.ndarray]:
    """Return the first ECG slot of one segment of each record, in the model's rate; whole ones only."""
    segments = replace(predictor.segments, min_recording_s=0.0)
    slot = segments.channels.index("ecg")
    lines = {}
    for header in sorted(folder.glob("*.hea")):
        if header.stem in LEFT_OUT:
            continue
        recording = open_recording(header.with_suffix(""), start_s=BEGIN_S, duration_s=segments.segment_s + 1)
        line = cut_block(recording, segments).values[0, slot]
        if np.isfinite(line).all() and line.std() > 0:
            lines[header.stem] = line.astype(np.float64) - line.mean()
    return lines


def reconstruct(predictor: Predictor, lines: np.ndarray) -> np.ndarray:
    """Return the decoder's answer for single ECG lines; the other channels are missing."""
    segments = predictor.segments
    values = np.full((len(lines), len(segments.channels), lines.shape[1]), np.nan, np.float32)
    values[:, segments.channels.index("ecg")] = lines
    scaled = torch.from_numpy(scale_values(values, segments).values)
    with torch.inference_mode():
        parts = [predictor.network.decoder(predictor.network.encoder(part)) for part in scaled.split(16)]
    return torch.cat(parts)[:, segments.channels.index("ecg"), : lines.shape[1]].double().numpy()


def snr_db(clean: np.ndarray, answer: np.ndarray) -> float:
    """Return the SNR of an answer after its best gain and offset, dB."""
    answer = answer - answer.mean()
    gain = answer @ clean / max(answer @ answer, 1e-12)
    return float(10 * np.log10(clean @ clean / max(((gain * answer - clean) ** 2).sum(), 1e-12)))


def noisy_lines(lines: dict[str, np.ndarray], bank: NoiseBank, kind: str, level_db: float, rate_hz: float) -> list:
    """Return each line with an excerpt of noise at a ratio of powers."""
    noisy = []
    for number, line in enumerate(lines.values()):
        noise = bank.excerpt(kind, len(line), rate_hz, np.random.default_rng([7, number])).astype(np.float64)
        noise -= noise.mean()
        noisy.append(line + noise * line.std() / noise.std() * 10 ** (-level_db / 20))
    return noisy


def measure(predictor: Predictor, lines: dict[str, np.ndarray], bank: NoiseBank, kind: str, level_db: float) -> dict:
    """Return the mean gain of every filter and of the decoder, and the paired difference to the best filter, dB."""
    rate_hz = predictor.segments.sample_rate_hz
    noisy = noisy_lines(lines, bank, kind, level_db, rate_hz)
    clean = list(lines.values())
    answers = {name: [use(line, rate_hz) for line in noisy] for name, use in FILTERS.items()}
    answers["decoder"] = list(reconstruct(predictor, np.stack(noisy)))
    answers["decoder of the clean line"] = list(reconstruct(predictor, np.stack(clean)))
    gains = {
        name: np.array([snr_db(*pair) for pair in zip(clean, found, strict=True)]) - level_db
        for name, found in answers.items()
    }
    best = max(FILTERS, key=lambda name: gains[name].mean())
    ahead = gains["decoder"] - gains[best]
    return {
        "noise": kind,
        "level_db": level_db,
        "records": len(clean),
        "gain_db": {name: round(float(values.mean()), 2) for name, values in gains.items()},
        "best_filter": best,
        "decoder_ahead_db": str(bootstrap(lambda chosen: float(ahead[chosen].mean()), np.array(list(lines)))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="qualityfm-tiny")
    parser.add_argument("--out", type=Path, help="JSON file of all figures")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    data = Path(os.environ["QUALITYFM_DATA"])
    predictor = load_model(arguments.model)
    if isinstance(predictor.network.decoder, SpectrumDecoder):
        raise SystemExit("a decoder of spectra draws no samples")
    lines = clean_lines(data / "mitdb", predictor)
    rate_hz = predictor.segments.sample_rate_hz
    bank = load_noise(data / "nstdb", sample_rate_hz=rate_hz, seed=0, part="evaluation")
    rows = [measure(predictor, lines, bank, kind, level_db) for kind in KINDS for level_db in LEVELS_DB]
    for row in rows:
        print(json.dumps(row), flush=True)
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
