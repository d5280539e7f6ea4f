"""The tables of channel names and units."""

import pytest

from qualityfm.records import ChannelKind
from qualityfm.sources.channel_names import kind_of
from qualityfm.sources.units import canonical_unit

LEADS = """
    I II III aVR aVL aVF avr V V1 V6 v5 V4R MLII MCL MCL1 MCL1+ ML2 MV2 CM5 ECG ECG1 EKG
    ecg ii+ II+ II, III+ aVR+ ECG_II ECG-II ECG_V5 ECG_lead_I SNUADC/ECG_II
"""
PULSES = "PLETH Pleth PLETH, PPG PPG1 ppg_ir SNUADC/PLETH SpO2 SPO2_wave Pleth_L BVP"
PRESSURES = "ABP ABP1 ABP+ ART Art SNUADC/ART SNUADC/FEM UAP FAP AOBP Ao BP"


@pytest.mark.parametrize("name", LEADS.split())
def test_leads_are_ecg(name: str) -> None:
    assert kind_of(name, "mV") == ChannelKind.ECG


@pytest.mark.parametrize("name", PULSES.split())
def test_plethysmograms_are_ppg(name: str) -> None:
    assert kind_of(name, "NU") == ChannelKind.PPG


@pytest.mark.parametrize("name", PRESSURES.split())
def test_arterial_pressures_are_abp(name: str) -> None:
    assert kind_of(name, "mmHg") == ChannelKind.ABP


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("ABPmean", "mmHg"),
        ("ABPSys", "mmHg"),
        ("CVP", "mmHg"),
        ("SNUADC/CVP", "mmHg"),
        ("PAP", "mmHg"),
        ("ICP", "mmHg"),
        ("NBPSys", "mmHg"),
        ("Solar8000/ART_MBP", "mmHg"),
        ("RESP", "Ohm"),
        ("HR", "bpm"),
        ("PULSE", "bpm"),
        ("noise1", "mV"),
        ("", ""),
        ("EEG", "mV"),
    ],
)
def test_everything_else_is_other(name: str, unit: str) -> None:
    assert kind_of(name, unit) == ChannelKind.OTHER


@pytest.mark.parametrize(
    ("name", "unit"), [("SpO2", "%"), ("I", "mmHg"), ("ABP", "mV"), ("PLETH", "mmHg"), ("V", "bpm")]
)
def test_a_unit_that_contradicts_the_name_wins(name: str, unit: str) -> None:
    assert kind_of(name, unit) == ChannelKind.OTHER


@pytest.mark.parametrize(
    ("unit", "canonical", "factor"),
    [
        ("mV", "mV", 1.0),
        ("MV", "mV", 1.0),
        ("uV", "mV", 1e-3),
        ("\N{MICRO SIGN}V", "mV", 1e-3),
        ("\N{GREEK SMALL LETTER MU}V", "mV", 1e-3),
        ("nV", "mV", 1e-6),
        ("V", "mV", 1e3),
        ("Volts", "mV", 1e3),
        ("mmHg", "mmHg", 1.0),
        ("MMHG", "mmHg", 1.0),
        ("kPa", "mmHg", 7.50062),
        ("a.u.", "NU", 1.0),
        ("%", "%", 1.0),
        ("Ohm", "Ohm", 1.0),
    ],
)
def test_a_unit_becomes_the_one_qualityfm_works_in(unit: str, canonical: str, factor: float) -> None:
    name, found = canonical_unit(unit)
    assert name == canonical
    assert found == pytest.approx(factor, rel=1e-5)
