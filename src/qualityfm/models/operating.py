"""What a fine-tuned head's numbers mean: calibrated probabilities, a threshold, and one that holds a sensitivity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import minimize_scalar
from scipy.special import expit, softmax

from qualityfm.models.calibration import fit_logistic
from qualityfm.models.question import Rule

#: What a missed true alarm costs against a false one. Source: Clifford et al., CinC 2015:273.
MISSED_COST = 5.0


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """How the logits of a classification become probabilities and answers.

    Attributes:
        slope: Of the calibrated logit over the head's (1 / temperature for several classes).
        offset: Of the same; 0 for several classes.
        threshold: Probability from which the answer is yes; chosen for `rule`.
        rule: "challenge" maximises the score of the 2015 challenge, "balanced" the mean of sensitivity and specificity.
        careful_threshold: Probability below which a no is safe enough to act on.
        sensitivity: Share of true examples that stay at or above `careful_threshold`, as asked for.
        num_fitted: Examples that all this was chosen on; none of them was trained on.
        num_true: How many of them were true.
    """

    slope: float
    offset: float
    threshold: float
    rule: Rule
    careful_threshold: float
    sensitivity: float
    num_fitted: int
    num_true: int

    def probability(self, logits: Float[np.ndarray, "example output"]) -> Float[np.ndarray, "example output"]:
        """Return calibrated probabilities: of yes for one output, of each class for several."""
        scaled = self.slope * np.asarray(logits, np.float64) + self.offset
        return np.asarray(expit(scaled) if scaled.shape[1] == 1 else softmax(scaled, axis=1))

    def answers(self, probability: Float[np.ndarray, " example"], can_judge: Bool[np.ndarray, " example"]) -> list[str]:
        """Return "yes", "no" or "abstain" for each example.

        It abstains where there was nothing to judge by, and where a no would not hold the stated sensitivity. For an
        alarm, only a no may silence it.
        """
        is_yes = probability >= max(self.threshold, self.careful_threshold)
        is_no = probability < self.careful_threshold
        return [
            "abstain" if not can else "yes" if yes else "no" if no else "abstain"
            for yes, no, can in zip(is_yes, is_no, can_judge, strict=True)
        ]


def fit_binary(
    logits: Float[np.ndarray, " example"], is_true: Bool[np.ndarray, " example"], *, rule: Rule, sensitivity: float
) -> OperatingPoint:
    """Return the operating point for one output, from examples that were not trained on."""
    slope, offset = fit_logistic(logits, is_true)
    # A head whose order is no better than chance must not be turned round by its calibration.
    probability = expit(max(slope, 1e-3) * logits + offset)
    return OperatingPoint(
        slope=max(slope, 1e-3),
        offset=offset,
        threshold=best_threshold(probability, is_true, rule),
        rule=rule,
        careful_threshold=holding_threshold(probability[is_true], sensitivity),
        sensitivity=sensitivity,
        num_fitted=len(logits),
        num_true=int(is_true.sum()),
    )


def fit_classes(
    logits: Float[np.ndarray, "example output"], label: Float[np.ndarray, " example"], sensitivity: float
) -> OperatingPoint:
    """Return the temperature for several classes; the most probable class is the answer.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML (2017), section 4.2.
    """
    rows = np.arange(len(label))

    def loss(log_slope: float) -> float:
        chance = softmax(np.exp(log_slope) * logits, axis=1)[rows, label.astype(int)]
        return float(-np.log(np.maximum(chance, 1e-12)).mean())

    slope = float(np.exp(minimize_scalar(loss, bounds=(-4.0, 4.0), method="bounded").x)) if len(label) else 1.0
    return OperatingPoint(
        slope=slope,
        offset=0.0,
        threshold=0.5,
        rule="balanced",
        careful_threshold=0.0,
        sensitivity=sensitivity,
        num_fitted=len(label),
        num_true=0,
    )


def best_threshold(
    probability: Float[np.ndarray, " example"], is_true: Bool[np.ndarray, " example"], rule: Rule
) -> float:
    """Return the threshold that serves a rule best; the middle of the best stretch, 0.5 where nothing can be chosen.

    For the challenge it is the score to be expected if the probabilities are right that is made largest: a few true
    examples move it less than the score that they had.
    """
    if is_true.all() or not is_true.any():
        return 0.5
    edges = np.unique(np.concatenate(([0.0], probability, [1.0])))
    candidates = (edges[1:] + edges[:-1]) / 2
    is_yes = probability[None] >= candidates[:, None]
    chance = probability if rule == "challenge" else is_true.astype(np.float64)
    true_yes, false_yes = is_yes @ chance, is_yes @ (1 - chance)
    num_true, num_false = chance.sum(), (1 - chance).sum()
    if rule == "challenge":
        missed = num_true - true_yes
        gain = (true_yes + num_false - false_yes) / (num_true + num_false + (MISSED_COST - 1) * missed)
    else:
        gain = true_yes / num_true - false_yes / num_false
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(candidates[best[len(best) // 2]])


def holding_threshold(probability_of_true: Float[np.ndarray, " example"], sensitivity: float) -> float:
    """Return the highest threshold that a further true example stays above with the stated probability, on average.

    The k-th smallest of n probabilities with k = floor((1 - sensitivity) (n + 1)); 0, below which nothing lies, where n
    is too small to promise anything.

    Source: order statistics as in split conformal prediction; Vovk et al., Algorithmic Learning in a Random World
    (2005), proposition 2.3; also Angelopoulos and Bates, arXiv 2107.07511 (2021), section 1.
    """
    rank = int(np.floor((1 - sensitivity) * (len(probability_of_true) + 1)))
    return float(np.sort(probability_of_true)[rank - 1]) if rank >= 1 else 0.0
