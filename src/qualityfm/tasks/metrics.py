"""How answers are judged: one function for each sort of task, plain numbers by name. Intervals are made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

from qualityfm.tasks.examples import Example

#: Price of a missed true alarm in the score of the PhysioNet/CinC Challenge 2015. Source: Clifford et al., CinC
#: 2015:273.
MISS_COST = 5


def auc(is_positive: Bool[np.ndarray, " sample"], score: Float[np.ndarray, " sample"]) -> float:
    """Return the area under the ROC curve; NaN where one class is missing. Ties count half.

    Source: Mann-Whitney statistic; Hanley and McNeil, Radiology 143(1):29, 1982.

    Example:
        >>> auc(np.array([False, False, True]), np.array([0.1, 0.4, 0.8]))
        1.0
    """
    num_positive, num_negative = int(is_positive.sum()), int((~is_positive).sum())
    if not num_positive or not num_negative:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[is_positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))


def decision_metrics(is_true: Bool[np.ndarray, " sample"], is_called: Bool[np.ndarray, " sample"]) -> dict[str, float]:
    """Return `score`, `tpr`, `tnr` and `f1` of yes/no answers; NaN where a figure is not defined.

    `score` is 100 (TP + TN) / (TP + TN + FP + 5 FN), positive = true alarm.

    Source: Clifford et al., Computing in Cardiology 2015:273.

    Example:
        >>> decision_metrics(np.array([True, False]), np.array([True, True]))["score"]
        50.0
    """
    tp, fn = int((is_true & is_called).sum()), int((is_true & ~is_called).sum())
    fp, tn = int((~is_true & is_called).sum()), int((~is_true & ~is_called).sum())
    return {
        "score": _ratio(100 * (tp + tn), tp + tn + fp + MISS_COST * fn),
        "tpr": _ratio(tp, tp + fn),
        "tnr": _ratio(tn, tn + fp),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def binary_metrics(
    truth: Float[np.ndarray, "sample 1"],
    score: Float[np.ndarray, "sample 1"],
    examples: Sequence[Example],
    *,
    threshold: float | Float[np.ndarray, " sample"] = 0.5,
) -> dict[str, float]:
    """Return `auc`, `score`, `tpr`, `tnr`, `f1`, and by kind of example `auc_<kind>` and their mean `auc_macro`.

    Args:
        truth: 1 for true.
        score: Higher for true.
        examples: Where the answers belong.
        threshold: From which score on an answer is yes: one for all, or one for each example (out of its own fold).
    """
    is_true, answer = truth[:, 0] > 0.5, np.asarray(score[:, 0], np.float64)
    kinds = np.array([example.kind for example in examples])
    found = {"auc": auc(is_true, answer), **decision_metrics(is_true, answer >= threshold)}
    if len(set(kinds)) > 1:
        by_kind = {kind: auc(is_true[kinds == kind], answer[kinds == kind]) for kind in sorted(set(kinds))}
        found |= {f"auc_{kind.lower()}": value for kind, value in by_kind.items()}
        defined = [value for value in by_kind.values() if np.isfinite(value)]
        found["auc_macro"] = float(np.mean(defined)) if defined else float("nan")
    return found


def regression_metrics(
    truth: Float[np.ndarray, "sample output"],
    score: Float[np.ndarray, "sample output"],
    outputs: Sequence[str],
    train_mean: Float[np.ndarray, "#sample output"] | None = None,
    *,
    unit: str = "",
) -> dict[str, float]:
    """Return for each output `mae_<output>`, mean error `me_`, spread `sd_` and, against the training mean, `mase_`.

    Args:
        truth: Measured values.
        score: Estimated values.
        outputs: Name of each column.
        train_mean: Mean of the training examples (of each example's own fold); without it there is no `mase_`.
        unit: Ends the names of figures in the unit of the values, such as "mmhg".

    `mase_` is 100 x MAE over the MAE of always saying `train_mean`, percent.
    """
    found: dict[str, float] = {}
    tail = f"_{unit}" if unit else ""
    for k, name in enumerate(outputs):
        error = np.asarray(score[:, k] - truth[:, k], np.float64)
        found[f"mae_{name}{tail}"] = float(np.abs(error).mean())
        found[f"me_{name}{tail}"] = float(error.mean())
        found[f"sd_{name}{tail}"] = float(error.std(ddof=1)) if len(error) > 1 else float("nan")
        if train_mean is not None:
            plain = np.abs(train_mean[:, k] - truth[:, k]).mean()
            found[f"mase_{name}"] = _ratio(100 * float(np.abs(error).mean()), float(plain))
    return found


def multiclass_metrics(
    truth: Float[np.ndarray, "sample class"], score: Float[np.ndarray, "sample class"], outputs: Sequence[str]
) -> dict[str, float]:
    """Return `accuracy`, the AUC of each class against the others as `auc_<class>`, and their mean `auc_macro`."""
    found = {"accuracy": float((truth.argmax(axis=1) == score.argmax(axis=1)).mean())}
    each = [auc(truth[:, k] > 0.5, score[:, k]) for k in range(len(outputs))]
    found |= {f"auc_{name}": value for name, value in zip(outputs, each, strict=True)}
    defined = [value for value in each if np.isfinite(value)]
    return found | {"auc_macro": float(np.mean(defined)) if defined else float("nan")}
