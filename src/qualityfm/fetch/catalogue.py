"""The open data sets that can be fetched, and those that cannot and why: one literal table."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from qualityfm.errors import ConfigError, problem

#: Where a data set lies, and how its checksums are known:
#: "physionet" has SHA256SUMS.txt beside its files, "zenodo" tells size and MD5 of each file through its record API,
#: "file" is one file of which its home publishes no checksum, "manual" cannot be fetched by plain HTTP.
Home = Literal["physionet", "zenodo", "file", "manual"]


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """One data set.

    Attributes:
        name: What to type.
        title: What it is called.
        holds: What is in it, in one line.
        licence: Under which terms it may be used, as its home says.
        page: Its page for people.
        home: How it is fetched.
        url: Folder of its files (physionet), record of the API (zenodo), or the file; "" where it is fetched by hand.
        about_bytes: Size of all of it, as far as known; the manifest knows better, where it tells sizes.
        by_hand: What to do where it cannot be fetched.
    """

    name: str
    title: str
    holds: str
    licence: str
    page: str
    home: Home
    url: str = ""
    about_bytes: int | None = None
    by_hand: str = ""


def _physionet(
    name: str, slug: str, version: str, title: str, holds: str, about_bytes: int | None, licence: str = "ODC-By 1.0"
) -> OpenSet:
    return OpenSet(
        name=name,
        title=title,
        holds=holds,
        licence=licence,
        page=f"https://physionet.org/content/{slug}/{version}/",
        home="physionet",
        url=f"https://physionet.org/files/{slug}/{version}/",
        about_bytes=about_bytes,
    )


#: Every name that `qualityfm fetch` knows. Sizes are rounded.
OPEN_SETS = (
    _physionet(
        "challenge2015",
        "challenge-2015",
        "1.0.0",
        "PhysioNet/CinC Challenge 2015: Reducing False Arrhythmia Alarms in the ICU",
        "750 alarms of 5 min: 2 ECG leads, PPG, ABP; each called true or false",
        None,
    ),
    _physionet(
        "challenge2011",
        "challenge-2011",
        "1.0.0",
        "PhysioNet/CinC Challenge 2011: Improving the Quality of ECGs Collected Using Mobile Phones",
        "12-lead ECG of 10 s, called acceptable or not",
        None,
    ),
    _physionet("mitdb", "mitdb", "1.0.0", "MIT-BIH Arrhythmia Database", "48 ECGs of 30 min with beats", 104_000_000),
    _physionet("nstdb", "nstdb", "1.0.0", "MIT-BIH Noise Stress Test Database", "recorded ECG noise", None),
    _physionet("cudb", "cudb", "1.0.0", "CU Ventricular Tachyarrhythmia Database", "35 ECGs into VT, VFL and VF", None),
    _physionet(
        "bidmc",
        "bidmc",
        "1.0.0",
        "BIDMC PPG and Respiration Dataset",
        "53 ICU patients, 8 min each: ECG, PPG, respiration; WFDB and CSV",
        None,
    ),
    _physionet(
        "vtac",
        "vtac",
        "1.0",
        "VTaC: A Benchmark Dataset of Ventricular Tachycardia Alarms from ICU Monitors",
        "5,000 VT alarms of 6 min: ECG, PPG, ABP; each called true or false",
        2_700_000_000,
        licence="see LICENSE.txt beside the files",
    ),
    _physionet(
        "vitaldb",
        "vitaldb",
        "1.0.0",
        "VitalDB, a high-fidelity multi-parameter vital signs database in surgical patients",
        "6,388 operations, whole: ECG, PPG, ABP and more at up to 500 Hz; .vital",
        95_400_000_000,
        licence="CC BY 4.0",
    ),
    _physionet(
        "mimic4wdb",
        "mimic4wdb",
        "0.1.0",
        "MIMIC-IV Waveform Database",
        "200 ICU records of 198 patients, whole stays: ECG, PPG, ABP; WFDB",
        None,
        licence="ODbL 1.0",
    ),
    OpenSet(
        name="mimic-perform",
        title="MIMIC PERform Datasets",
        holds="ICU ECG and PPG of 10 to 20 min, a part of them in AF; CSV, MAT and WFDB in zip files",
        licence="ODbL 1.0",
        page="https://zenodo.org/records/6807403",
        home="zenodo",
        url="https://zenodo.org/api/records/6807403",
    ),
    OpenSet(
        name="kachuee",
        title="Cuff-Less Blood Pressure Estimation (UCI 340; Kachuee et al.)",
        holds="12,000 pieces of MIMIC-II: PPG, ABP, ECG at 125 Hz, without patients; MAT v7.3 in a zip file",
        licence="CC BY 4.0",
        page="https://archive.ics.uci.edu/dataset/340/cuff+less+blood+pressure+estimation",
        home="file",
        url="https://archive.ics.uci.edu/static/public/340/cuff+less+blood+pressure+estimation.zip",
        about_bytes=3_363_163_675,
    ),
    OpenSet(
        name="pulsedb",
        title="PulseDB v2",
        holds="5.2 million segments of 10 s of 5,361 subjects: ECG, PPG, ABP; MAT v7.3",
        licence="as its two sources, MIMIC-III Matched and VitalDB",
        page="https://github.com/pulselabteam/PulseDB",
        home="manual",
        by_hand=(
            "its files lie in shared folders of OneDrive and Google Drive that only a browser opens: follow "
            "Segment_Files/File_Preparation_Guide.md on that page, unzip PulseDB_MIMIC.zip and PulseDB_Vital.zip into "
            "one folder, and prepare that"
        ),
    ),
)


def find_set(name: str) -> OpenSet:
    """Return the data set of that name.

    Raises:
        ConfigError: There is none.
    """
    known = {one.name: one for one in OPEN_SETS}
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise ConfigError(
        problem(
            "no such open data set",
            where="fetch",
            field="NAME",
            found=name,
            expected=f"one of {', '.join(known)}",
            advice=f"did you mean {nearest[0]!r}?" if nearest else "",
        )
    )
