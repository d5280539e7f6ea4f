"""`qualityfm pretrain`: a data set -> a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from qualityfm.cli.places import MODELLED, NOISE_FOLDER, open_data_folder
from qualityfm.cli.terminal import LateProgress, remark, say_facts, say_json

if TYPE_CHECKING:
    from qualityfm.pretrain.progress import RunSummary, StepReport

EXAMPLES = (
    "qualityfm pretrain qualityfm-tiny --data dataset --out runs/first",
    "qualityfm pretrain qualityfm-tiny --data icu simulated --heldout icu-heldout --out runs/both",
    "qualityfm pretrain my-preset.toml --data dataset --out runs/second --steps 2000 --threads 2",
    "torchrun --nproc-per-node 8 -m qualityfm pretrain paper-base --data dataset --out runs/third --device cuda",
)

#: Exit code of a run that was asked to stop.
INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `pretrain`."""

    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PRESET")]
    """A shipped preset, or the path of a TOML file."""
    data: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET [DATASET ...]")]
    """Data sets to learn from, folders or URLs: one, or several that were prepared with one preset."""
    out: Annotated[Path, tyro.conf.arg(metavar="RUN")]
    """Run folder; one that holds an unfinished run of the same plan is resumed."""
    heldout: Annotated[tuple[str, ...], tyro.conf.arg(metavar="DATASET [DATASET ...]")] = ()
    """Data sets that are never learnt from; by default a tenth of the patients."""
    noise: Annotated[str | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Recorded noise (WFDB), or "modelled"; by default $QUALITYFM_DATA/nstdb where it is there, else modelled."""
    init: Annotated[str | None, tyro.conf.arg(metavar="RUN_OR_NAME")] = None
    """Run, checkpoint or shipped model to begin with; by default weights begin at random."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Length of the run; by default the preset's epochs."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """CPU threads; a run is repeatable bit for bit at a fixed number."""
    seed: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """In place of the preset's seed."""
    device: str = "cpu"
    """Torch device, such as cpu or cuda; under torchrun, cuda means the card of each process."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of forward and backward; auto is bf16 where a CUDA device has units for it."""
    sharding: Literal["replicate", "shard"] = "replicate"
    """Under torchrun: all weights in every process (DDP), or a part in each (FSDP2)."""
    accumulate: Annotated[int, tyro.conf.arg(metavar="N")] = 1
    """Parts that a batch is worked through in, to fit the memory."""
    workers: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Processes that make batches ahead, beside each one that trains; worth it where a device waits for batches."""
    json: bool = False
    """Print the outcome as JSON."""


def run(options: Options) -> int:
    """Pre-train, with progress; Ctrl-C saves and leaves with 130. Of several processes only the first one speaks."""
    from qualityfm.training.ranks import is_first

    summary = train(options)
    if is_first():
        return show(options, summary)
    return 0 if summary.is_finished else INTERRUPTED


def show(options: Options, summary: RunSummary) -> int:
    """Say how a run ended, and return the exit code."""
    checkpoint = summary.folder / "checkpoint"
    if options.json:
        say_json(_plain(summary))
    else:
        facts = {
            "steps": f"{summary.steps} of {summary.num_steps}",
            "held-out loss": f"{summary.heldout_start['loss']:.4f} -> {summary.heldout_end['loss']:.4f}",
            "pairs": f"{summary.num_natural:,} natural, {summary.num_made:,} made by adding noise",
            "checkpoint": checkpoint,
        }
        say_facts(f"run {summary.folder}", facts)
    if summary.is_collapsed:
        remark("warning: the features have collapsed; see log.jsonl, and try a smaller learning rate or other seed")
    if not summary.is_finished:
        remark(f"interrupted: saved at step {summary.steps} of {summary.num_steps}; the same command resumes")
        return INTERRUPTED
    return 0


def train(options: Options) -> RunSummary:
    """Pre-train with a progress display."""
    from qualityfm.inference.loading import find_checkpoint
    from qualityfm.pretrain.loop import pretrain
    from qualityfm.pretrain.preset import load_preset
    from qualityfm.training.engine import EngineConfig
    from qualityfm.training.ranks import is_first

    engine = EngineConfig(
        precision=options.precision,
        sharding=options.sharding,
        accumulate=options.accumulate,
        workers=options.workers,
    )
    preset = load_preset(options.preset)
    noise = open_data_folder(options.noise, NOISE_FOLDER)
    if is_first():
        remark(f"noise for made pairs: {MODELLED if noise is None else noise}")
    with LateProgress("pre-training") as display:
        return pretrain(
            preset,
            options.data,
            options.out,
            heldout=options.heldout,
            noise=noise,
            init=None if options.init is None else find_checkpoint(options.init),
            steps=options.steps,
            threads=options.threads,
            seed=options.seed,
            device=options.device,
            engine=engine,
            report=_shower(display),
        )


def _shower(display: LateProgress) -> Callable[[StepReport], None]:
    """Return what shows a step, with the last held-out loss beside its own."""
    heldout = ""

    def show(report: StepReport) -> None:
        nonlocal heldout
        if report.heldout_loss is not None:
            heldout = f"  held-out {report.heldout_loss:.3f}"
        note = f"loss {report.loss:.3f}{heldout}  {report.pairs_per_s:.0f} pairs/s"
        if report.is_collapsed:
            note += "  FEATURES COLLAPSED"
        display.show(report.step, report.num_steps, note)

    return show


def _plain(summary: RunSummary) -> dict[str, Any]:
    names = (
        "steps",
        "num_steps",
        "is_finished",
        "is_collapsed",
        "heldout_start",
        "heldout_end",
        "num_natural",
        "num_made",
    )
    paths = {"folder": str(summary.folder), "checkpoint": str(summary.folder / "checkpoint")}
    return paths | {name: getattr(summary, name) for name in names}
