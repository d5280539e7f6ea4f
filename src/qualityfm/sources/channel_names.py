"""Which kind a channel is, from its name and unit: one table for monitors, archives and operating rooms.

A new spelling is one more word in `_NAMES`. Names are compared without case, blanks, underscores, dashes, plus signs
and commas, and without a device prefix: "ECG_II", "ecg ii", "II+", "II," and "SNUADC/ECG_II" meet the same rows.
"""

from __future__ import annotations

import re

from qualityfm.records import ChannelKind

#: ECG leads: limb, chest (right and posterior ones too), modified leads of Holter and bedside monitors, EASI, Frank.
_LEADS = """
    I II III IV AVR AVL AVF V V1 V2 V3 V4 V5 V6 V7 V8 V9 VA VB V3R V4R V5R V6R VX VY VZ
    MLI MLII MLIII ML1 ML2 ML3 ML5 MV1 MV2 MV3 MV4 MV5 MV6 MCL MCL1 MCL2 MCL3 MCL4 MCL5 MCL6
    CM1 CM2 CM4 CM5 CC5 CS12 MODI MODII MODV1 MODV5 ES AS AI
"""

_NAMES: dict[ChannelKind, str] = {
    ChannelKind.ECG: "ECG ECG0 ECG1 ECG2 ECG3 ECG4 EKG EKG1 EKG2 EKG3 ECGA ECGB ECGLEAD D1 D2 D3",
    ChannelKind.PPG: """
        PLETH PLETH1 PLETH2 PLETHL PLETHR PLETHT PLETHWAVE PLETHYSMOGRAM PLETHYSMOGRAPH PPG PPG0 PPG1 PPG2 PPG3
        PPGIR PPGRED PPGGREEN PPGGRN PPGWAVE REDPPG IRPPG GREENPPG IR RED GREEN BVP SPO2 SPO2WAVE SPO2PLETH PLETHSPO2
        SPO2WAVEFORM SPO2L SPO2R SAO2 SAO2WAVE PULSEOX PULSEOXIMETER OXIMETER FINGERPPG
    """,
    ChannelKind.ABP: """
        ABP ABP1 ABP2 ABPWAVE ABPWAVEFORM ART ART1 ART2 ARTWAVE ARTWAVEFORM ARTBP ARTERIALPRESSURE ARTPRESSURE
        AOBP AO AOP FAP BAP UAP RADIAL RADIALABP FEM FEMABP IBPART INVASIVEBP BP BPWAVE FINAPRES FINOMETER PORTAPRES
    """,
}

#: Units that measure something a channel of the kind cannot be: "I" in mmHg is no ECG lead, SpO2 in % is a number.
_FOREIGN_UNITS = {
    ChannelKind.ECG: {"mmhg", "kpa", "cmh2o", "%", "bpm", "ohm", "pm", "1/min", "l/min", "degc"},
    ChannelKind.PPG: {"mmhg", "kpa", "cmh2o", "bpm", "ohm", "pm", "1/min", "l/min", "degc"},
    ChannelKind.ABP: {"mv", "%", "bpm", "ohm", "pm", "1/min", "l/min", "degc"},
}

#: Names that are a waveform in an arbitrary unit and a plain number in percent.
_NUMBER_IN_PERCENT = {"SPO2", "SAO2", "SPO2L", "SPO2R"}


def _build_table() -> dict[str, ChannelKind]:
    table = {name: kind for kind, names in _NAMES.items() for name in names.split()}
    for lead in _LEADS.split():
        table |= {lead: ChannelKind.ECG, f"ECG{lead}": ChannelKind.ECG, f"EKG{lead}": ChannelKind.ECG}
        table |= {f"LEAD{lead}": ChannelKind.ECG, f"ECGLEAD{lead}": ChannelKind.ECG}
    return table


_TABLE = _build_table()


def kind_of(name: str, unit: str) -> ChannelKind:
    """Return what a channel measures; OTHER for names that are not in the table, or whose unit contradicts them.

    Args:
        name: The file's name of the channel, such as "II", "Pleth" or "SNUADC/ART".
        unit: Its unit, canonical ("mV", "mmHg") or as written; "" where unknown.

    Example:
        >>> kind_of("SNUADC/ECG_II", "mV"), kind_of("ABPmean", "mmHg"), kind_of("SpO2", "%")
        (<ChannelKind.ECG: 'ecg'>, <ChannelKind.OTHER: 'other'>, <ChannelKind.OTHER: 'other'>)
    """
    short = re.sub(r"[\s_+.,\-]", "", name.rsplit("/", 1)[-1]).upper()
    kind = _TABLE.get(short, ChannelKind.OTHER)
    if unit.lower() in _FOREIGN_UNITS.get(kind, ()):
        return ChannelKind.OTHER
    if short in _NUMBER_IN_PERCENT and unit == "%":
        return ChannelKind.OTHER
    return kind
