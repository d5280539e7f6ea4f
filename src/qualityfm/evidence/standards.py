"""How errors of pressure compare with what is asked of cuffs. An arterial line is not what those standards certify."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

#: Limits of ANSI/AAMI SP10: mean error and standard deviation, mmHg, in at least so many patients. Shares of the BHS
#: grades within 5, 10 and 15 mmHg. Source: O'Brien et al., J Hypertens 11(S2):S43, 1993.
AAMI_MEAN, AAMI_SD, AAMI_PATIENTS = 5.0, 8.0, 85
BHS_SHARES = {"A": (0.60, 0.85, 0.95), "B": (0.50, 0.75, 0.90), "C": (0.40, 0.65, 0.85)}


def standard_row(
    model: str,
    output: str,
    truth: Float[np.ndarray, " example"],
    score: Float[np.ndarray, " example"],
    num_patients: int,
) -> dict[str, object]:
    """Return how errors compare with the limits of AAMI and the grades of the BHS: "compared with", never "meets"."""
    error = score - truth
    within = [float((np.abs(error) <= limit).mean()) for limit in (5, 10, 15)]
    fits = (grade for grade, limits in BHS_SHARES.items() if all(w >= m for w, m in zip(within, limits, strict=True)))
    is_inside = abs(error.mean()) <= AAMI_MEAN and error.std(ddof=1) <= AAMI_SD
    few = "" if num_patients >= AAMI_PATIENTS else f"; only {num_patients} of {AAMI_PATIENTS} patients"
    return {
        "model": model,
        "pressure": output,
        "mean error, mmHg": round(float(error.mean()), 2),
        "SD, mmHg": round(float(error.std(ddof=1)), 2),
        "compared with AAMI": ("within its limits" if is_inside else "outside its limits") + few,
        "within 5, 10, 15 mmHg": ", ".join(f"{w:.1%}" for w in within),
        "compared with BHS": f"as grade {next(fits, 'D')}",
    }
