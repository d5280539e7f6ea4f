"""Figures on twelve-lead records that people judged: the 2011 challenge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from qualityfm.evidence.quality_data import read_rows
from qualityfm.evidence.quality_figures import Figure, auc_figure, mean_figure
from qualityfm.quality import judge_channels, score_block
from qualityfm.records import ChannelKind
from qualityfm.segments import SegmentBlock, SegmentConfig, cut_block
from qualityfm.sources import open_recording

#: Flat and clipped for more than this share: the rule that any learned model of the 2011 challenge must beat.
RULE_SHARE = 0.1


def twelve_lead_figures(folder: Path, rounds: int, every: int = 1, num_trees: int = 1000) -> list[Figure]:
    """Return how well records that people called unacceptable are found: by rule, by score, by a model in folds.

    Args:
        folder: Set a of the 2011 challenge, with `labels.csv`.
        rounds: Bootstrap rounds.
        every: Read every n-th record.
        num_trees: Of the forest in folds.
    """
    config = SegmentConfig(channels=(ChannelKind.ECG,) * 12, segment_s=10.0, step_s=10.0)
    rows = [row for row in read_rows(folder / "labels.csv") if row["quality"] != "indeterminate"][::every]
    blocks = [cut_block(open_recording(folder / "records" / row["record"]), config) for row in rows]
    is_bad = np.array([row["quality"] == "unacceptable" for row in rows])
    groups = np.array([row["record"] for row in rows])
    qualities = [score_block(block) for block in blocks]
    scores = {
        "rule: a lead constant or clipped": np.array([-_rule_share(block) for block in blocks]),
        "QualityFM, joint": np.array([q.overall[0] for q in qualities]),
        "QualityFM, worst lead": np.array([q.quality[0].mean(axis=1).min() for q in qualities]),
    }
    features = np.array([lead_features(block) for block in blocks])
    in_folds = _out_of_fold(features, is_bad, np.array([int(row["fold"]) for row in rows]), num_trees)
    if in_folds is not None:
        scores["QualityFM's indices, trees in folds"] = -in_folds
    part, case, measure = "twelve leads", "challenge2011", "AUC of unacceptable records"
    figures = []
    for name, score in scores.items():
        aim = "at least .985" if "folds" in name else ""
        figures.append(auc_figure((part, case, name, measure), is_bad, score, groups, rounds, aim))
    for name, called in (
        ("rule: a lead constant or clipped", -scores["rule: a lead constant or clipped"] > RULE_SHARE),
    ) + (() if in_folds is None else (("QualityFM's indices, trees in folds", in_folds > 0.5),)):
        is_right = (called == is_bad).astype(float)
        names = (part, case, name, "accuracy")
        figures.append(mean_figure(names, is_right, groups, rounds))
    return figures


def _rule_share(block: SegmentBlock) -> float:
    """Return the largest share of a lead that does not change, or that lies at its highest or lowest value."""
    values = np.nan_to_num(block.values[0])
    rests = (np.diff(values, axis=1) == 0).mean(axis=1)
    rails = ((values == values.max(axis=1, keepdims=True)) | (values == values.min(axis=1, keepdims=True))).mean(axis=1)
    return float(np.maximum(rests, rails).max())


def lead_features(block: SegmentBlock) -> Float[np.ndarray, " feature"]:
    """Return one segment's indices over all leads: the worst two, middle and best lead, and the mean, of each index."""
    rows = []
    quality = score_block(block).quality[0]
    for c, judgement in judge_channels(block).items():
        samples = np.nan_to_num(block.values[0, c])
        trusts = [f(trust[0]) for trust in judgement.trusts.values() for f in (np.mean, np.min)]
        signs = [] if judgement.signs is None else [*judgement.signs[0].mean(axis=0), *judgement.signs[0].max(axis=0)]
        size = (
            np.log(np.ptp(samples) + 1e-3),
            np.log(samples.std() + 1e-3),
            np.log(np.abs(np.diff(samples)).mean() + 1e-4),
        )
        rests = (np.abs(np.diff(samples)) < 1e-6).mean()
        rows.append([*trusts, *signs, quality[c].mean(), quality[c].min(), *size, rests])
    table = np.array(rows)
    ordered = np.sort(table, axis=0)
    return np.concatenate((ordered[0], ordered[1], ordered[3], ordered[5], ordered[-1], table.mean(axis=0)))


def _out_of_fold(
    features: np.ndarray, is_bad: np.ndarray, fold: np.ndarray, num_trees: int
) -> Float[np.ndarray, " record"] | None:
    """Return each record's probability by a forest that has not seen its fold; None without scikit-learn."""
    try:
        from sklearn.ensemble import ExtraTreesClassifier
    except ModuleNotFoundError:
        return None
    probability = np.zeros(len(is_bad))
    for held_out in np.unique(fold):
        is_train = fold != held_out
        model = ExtraTreesClassifier(num_trees, min_samples_leaf=2, max_features=0.3, random_state=0)
        model.fit(features[is_train], is_bad[is_train])
        probability[~is_train] = model.predict_proba(features[~is_train])[:, 1]
    return probability
