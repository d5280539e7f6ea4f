"""Fit what tells ventricular complexes from the patient's usual ones: `src/qualityfm/tasks/ventricular.npz`.

    python benchmarks/fit_ventricular.py --data mitdb --out src/qualityfm/tasks/ventricular.npz

Learns from the shape of each complex alone, on both leads of MIT-BIH Arrhythmia in stretches of five minutes; paced
records are left out. Prints the AUC of each lead, six parts of patients apart.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.sources import open_recording, read_annotations
from qualityfm.tasks.alarm_features import ECG_BAND, filtered
from qualityfm.tasks.beat_trains import ecg_train
from qualityfm.tasks.boosting import boosted
from qualityfm.tasks.metrics import auc
from qualityfm.tasks.rhythms import SAME_PATIENT
from qualityfm.tasks.traces import RATE_HZ, SEGMENT_S
from qualityfm.tasks.trees import Trees
from qualityfm.tasks.ventricular import shape_table

#: Paced records. Source: MIT-BIH Arrhythmia Database directory.
PACED = ("102", "104", "107", "217")
#: Ventricular and other complexes; fusions and unknown ones teach nothing. Source: WFDB annotation codes.
VENTRICULAR, OTHER = tuple("VE"), tuple("NLRAaJSejn")
SETTINGS = {"max_iter": 80, "max_leaf_nodes": 8, "min_samples_leaf": 200}
STRETCH_S, SAME_S, PARTS = 300.0, 0.12, 6


@dataclass(frozen=True, kw_only=True)
class Complexes:
    """Complexes of one stretch of one lead."""

    patient: str
    lead: int
    shapes: np.ndarray
    is_ventricular: np.ndarray


def complexes_of(path: Path) -> list[Complexes]:
    """Return the annotated complexes of a record."""
    kinds = (ChannelKind.ECG, ChannelKind.ECG)
    config = SegmentConfig(channels=kinds, sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S)
    values = cut_block(open_recording(str(path)), config).values.transpose(1, 0, 2).reshape(2, -1)
    marks = read_annotations(path, "atr")
    symbols = np.array(marks.symbols)
    is_known = np.isin(symbols, VENTRICULAR + OTHER)
    times_s, symbols = marks.times_s[is_known], symbols[is_known]
    found, width = [], round(STRETCH_S * RATE_HZ)
    for lead, whole in enumerate(values):
        line = filtered(whole, ECG_BAND)
        for k in range(len(whole) // width if line is not None else 0):
            train = ecg_train(line[k * width : (k + 1) * width], STRETCH_S)
            beats_s = train.times_s + k * STRETCH_S
            nearest = np.abs(beats_s[:, None] - times_s).argmin(axis=1)
            is_same = np.abs(beats_s - times_s[nearest]) < SAME_S
            is_ventricular = np.isin(symbols[nearest[is_same]], VENTRICULAR)
            patient = SAME_PATIENT.get(path.name, path.name)
            shapes = shape_table(train)[is_same]
            found.append(Complexes(patient=patient, lead=lead, shapes=shapes, is_ventricular=is_ventricular))
    return found


def fit(parts: list[Complexes]) -> Trees:
    """Return the trees of all complexes."""
    shapes, is_ventricular = (
        np.concatenate([getattr(p, name) for p in parts]) for name in ("shapes", "is_ventricular")
    )
    return boosted(shapes, is_ventricular, SETTINGS, 0)


def main() -> None:
    """Read, measure patients apart, fit on all and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    paths = sorted(p.with_suffix("") for p in options.data.rglob("*.hea") if p.stem not in PACED)
    found = [one for path in paths for one in complexes_of(path)]
    patients = sorted({one.patient for one in found})
    said: dict[int, list[np.ndarray]] = {0: [], 1: []}
    true: dict[int, list[np.ndarray]] = {0: [], 1: []}
    for part in range(PARTS):
        tested = set(patients[part::PARTS])
        trees = fit([one for one in found if one.patient not in tested])
        for one in (one for one in found if one.patient in tested):
            said[one.lead].append(trees.predict(one.shapes))
            true[one.lead].append(one.is_ventricular)
    for lead in (0, 1):
        figure = auc(np.concatenate(true[lead]), np.concatenate(said[lead]))
        print(f"lead {lead + 1}: AUC {figure:.4f}, {sum(map(len, true[lead]))} complexes of {len(patients)} patients")
    trees = fit(found)
    np.savez_compressed(options.out, **trees.arrays(""))
    print(f"{trees.num_trees} trees, {options.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
