"""An archive of simulated patients: WFDB records, and tables of what is true about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from qualityfm.errors import ConfigError, problem
from qualityfm.prepare.truth import Truth, write_truth
from qualityfm.sources.wfdb_write import write_wfdb
from qualityfm.waveform.noise import NoiseBank
from qualityfm.waveform.rhythm import RHYTHMS
from qualityfm.waveform.rhythm_bank import RhythmBank
from qualityfm.waveform.simulate import Simulation, SimulationConfig, simulate

#: Every third patient has no artefacts.
CLEAN_EVERY = 3

#: Artefacts in a minute of each channel of the others.
FAULTS_PER_MINUTE = 1.5

RECORDS_TABLE, FAULTS_TABLE = "records.csv", "faults.csv"


@dataclass(frozen=True, kw_only=True)
class SimulatedArchive:
    """What to write.

    Attributes:
        num_records: Patients, one record each; the rhythms take turns.
        record_s: Length of each, s.
        seed: Patients of another seed are other patients.
    """

    num_records: int = 24
    record_s: float = 300.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("num_records", 10**6), ("seed", 2**31 - 1)):
            found, least = getattr(self, name), int(name == "num_records")
            if not least <= found <= most:
                expected = f"{least} <= x <= {most:,}"
                raise ConfigError(
                    problem("wrong setting", where="simulated archive", field=name, found=found, expected=expected)
                )
        SimulationConfig(duration_s=self.record_s)  # refuses an impossible length

    @property
    def hours(self) -> float:
        """Hours of recording."""
        return self.num_records * self.record_s / 3600


def write_simulated(
    folder: Path,
    archive: SimulatedArchive,
    *,
    noise: NoiseBank | None = None,
    beats: RhythmBank | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> None:
    """Write simulated patients as WFDB records, the truth about each second of them, and two tables.

    `records.csv` has record, rhythm and seed; `faults.csv` has every artefact: record, channel, cause, start_s,
    duration_s and snr_db (empty where an SNR means nothing); `NAME.truth.json` has the quality and causes of every
    second, which `prepare` takes over. The same settings write the same bytes.

    Args:
        folder: Where to; made if missing.
        archive: How many, how long.
        noise: Recorded noise for the artefacts; modelled where there is none.
        beats: Beats of real patients; modelled where there are none, and where none of them is long enough.
        progress: Called after each record with their number and the rhythm.

    Raises:
        ConfigError: The folder holds something.
        FormatError: It cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        expected = "a new or empty folder"
        raise ConfigError(problem("folder in use", where=folder, field="out", found="files", expected=expected))
    records, faults = [], []
    for number in range(archive.num_records):
        name, seed = f"simulated-{archive.seed}-{number:05d}", archive.seed * 1_000_000 + number
        config = _config(archive, number)
        simulation = _simulate(seed, config, noise, beats)
        header = write_wfdb(replace(simulation.recording, recording_id=name), folder)
        write_truth(header, _truth(simulation))
        records.append({"record": name, "rhythm": config.rhythm, "seed": seed})
        faults += _rows_of_faults(name, simulation)
        if progress:
            progress(number + 1, config.rhythm)
    columns = ["record", "channel", "cause", "start_s", "duration_s", "snr_db"]
    pd.DataFrame(records).to_csv(folder / RECORDS_TABLE, index=False)
    pd.DataFrame(faults, columns=columns).to_csv(folder / FAULTS_TABLE, index=False, float_format="%.3f")


def _config(archive: SimulatedArchive, number: int) -> SimulationConfig:
    rhythms = tuple(RHYTHMS)
    is_clean = number % CLEAN_EVERY == CLEAN_EVERY - 1
    return SimulationConfig(
        duration_s=archive.record_s,
        rhythm=rhythms[number % len(rhythms)],
        faults_per_minute=0.0 if is_clean else FAULTS_PER_MINUTE,
    )


def _simulate(seed: int, config: SimulationConfig, noise: NoiseBank | None, beats: RhythmBank | None) -> Simulation:
    try:
        return simulate(seed, config, noise, beats)
    except ConfigError:
        if beats is None:
            raise
        return simulate(seed, config, noise)  # no patient of the bank has a stretch of this rhythm and length


def _truth(simulation: Simulation) -> Truth:
    names = tuple(signal.name for signal in simulation.recording.signals)
    return Truth(names=names, quality=simulation.quality, causes=simulation.causes)


def _rows_of_faults(name: str, simulation: Simulation) -> list[dict[str, object]]:
    return [
        {
            "record": name,
            "channel": simulation.recording.signals[fault.channel].name,
            "cause": fault.cause.words,
            "start_s": fault.start_s,
            "duration_s": fault.duration_s,
            "snr_db": fault.snr_db,
        }
        for fault in simulation.truth
    ]
