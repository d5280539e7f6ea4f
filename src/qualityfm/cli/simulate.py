"""`qualityfm simulate`: an archive of simulated patients whose artefacts are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from qualityfm.cli.places import BEATS_FOLDER, MODELLED, NOISE_FOLDER, open_data_folder
from qualityfm.cli.terminal import progress, remark, say_facts, say_json

if TYPE_CHECKING:
    from qualityfm.waveform.noise import NoiseBank
    from qualityfm.waveform.rhythm_bank import RhythmBank

EXAMPLES = (
    "qualityfm simulate simulated/",
    "qualityfm simulate simulated/ --records 240 --minutes 10 --seed 3",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `simulate`."""

    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """New folder: WFDB records (two ECG leads, PPG, pressure), the truth beside each, records.csv and faults.csv."""
    records: Annotated[int, tyro.conf.arg(metavar="N")] = 24
    """Patients, one record each; every third has no artefacts."""
    minutes: Annotated[float, tyro.conf.arg(metavar="MIN")] = 5.0
    """Length of each record, minutes."""
    seed: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Another seed gives other patients."""
    noise: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Recorded noise (WFDB), or "modelled"; by default $QUALITYFM_DATA/nstdb where it is there, else modelled."""
    beats: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Annotated beats of real patients (training cases only), or "modelled"; by default those below $QUALITYFM_DATA."""
    dry_run: bool = False
    """Say what would be written, and write nothing."""
    json: bool = False
    """Print the summary as JSON."""


def run(options: Options) -> int:
    """Write the archive with progress."""
    from qualityfm.prepare.simulated import SimulatedArchive, write_simulated

    archive = SimulatedArchive(num_records=options.records, record_s=options.minutes * 60, seed=options.seed)
    noise, beats = open_data_folder(options.noise, NOISE_FOLDER), open_data_folder(options.beats, BEATS_FOLDER)
    summary = {
        "out": str(options.out),
        "num_records": archive.num_records,
        "hours": round(archive.hours, 2),
        "noise": MODELLED if noise is None else str(noise),
        "beats": MODELLED if beats is None else str(beats),
    }
    if not options.dry_run:
        with progress("simulating patients", archive.num_records) as advance:
            write_simulated(options.out, archive, noise=_noise(noise), beats=_beats(beats), progress=advance)
    if options.json:
        say_json(summary | {"is_dry_run": options.dry_run})
    else:
        say_facts("would write" if options.dry_run else "simulated archive", summary)
        remark(f"next: qualityfm prepare {options.out} --out DATASET")
    return 0


def _noise(folder: Path | None) -> NoiseBank | None:
    from qualityfm.pretrain.noise import load_noise

    return None if folder is None else load_noise(folder, sample_rate_hz=250.0, seed=0)


def _beats(folder: Path | None) -> RhythmBank | None:
    from qualityfm.waveform.rhythm_bank import RhythmBank

    return None if folder is None else RhythmBank.from_folder(folder, "train")
