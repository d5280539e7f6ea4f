"""Spellings of physical units -> the few that QualityFM works in: voltages in mV, blood pressures in mmHg."""

from __future__ import annotations

#: 1 kPa in mmHg. Source: conventional millimetre of mercury, 133.322387415 Pa (BIPM SI brochure, 8th ed., table 8).
MMHG_PER_KPA = 1000.0 / 133.322387415

#: Lower-case spelling, micro signs written "u" -> canonical unit and the factor that leads to it.
_UNITS: dict[str, tuple[str, float]] = {
    "v": ("mV", 1e3),
    "volt": ("mV", 1e3),
    "volts": ("mV", 1e3),
    "mv": ("mV", 1.0),
    "millivolt": ("mV", 1.0),
    "millivolts": ("mV", 1.0),
    "uv": ("mV", 1e-3),
    "microv": ("mV", 1e-3),
    "microvolt": ("mV", 1e-3),
    "microvolts": ("mV", 1e-3),
    "nv": ("mV", 1e-6),
    "nanovolt": ("mV", 1e-6),
    "nanovolts": ("mV", 1e-6),
    "mmhg": ("mmHg", 1.0),
    "mm_hg": ("mmHg", 1.0),
    "torr": ("mmHg", 1.0),
    "kpa": ("mmHg", MMHG_PER_KPA),
    "nu": ("NU", 1.0),
    "n.u.": ("NU", 1.0),
    "au": ("NU", 1.0),
    "a.u.": ("NU", 1.0),
    "adu": ("NU", 1.0),
    "arb": ("NU", 1.0),
    "arb.": ("NU", 1.0),
    "normalized": ("NU", 1.0),
    "unitless": ("NU", 1.0),
    "none": ("NU", 1.0),
}

_MICRO_SIGNS = str.maketrans({"\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u"})


def canonical_unit(unit: str) -> tuple[str, float]:
    """Return the unit QualityFM uses instead of `unit`, and the factor values are multiplied by.

    An unknown spelling stays as it is with factor 1.

    Example:
        >>> canonical_unit("uV"), canonical_unit("mmhg"), canonical_unit("Ohm")
        (('mV', 0.001), ('mmHg', 1.0), ('Ohm', 1.0))
    """
    return _UNITS.get(unit.translate(_MICRO_SIGNS).lower(), (unit, 1.0))
