"""A run's log: JSON lines for machines, TensorBoard for watching, a picture of the curves for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.tensorboard import SummaryWriter

from qualityfm.files import write_atomically, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOG = "log.jsonl"


class RunLog:
    """Writes one line a step to log.jsonl and TensorBoard; a resumed run cuts off the lines it is about to repeat.

    Args:
        folder: The run's folder.
        last_step: Lines up to this step stay; -1 starts an empty log.

    Raises:
        FormatError: The disk refuses; the log of the run so far stays.
    """

    def __init__(self, folder: Path, *, last_step: int) -> None:
        self._folder, self._path = folder, folder / LOG
        kept = [line for line in read_log(folder) if line["step"] <= last_step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in kept))
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add the values of one step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **{k: _round(v) for k, v in values.items()}}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, name: str, figure: Figure, step: int) -> None:
        """Keep the newest picture as NAME.png, and add it to those in TensorBoard.

        Raises:
            FormatError: The disk refuses.
        """
        from matplotlib.image import imread

        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=90)
        write_atomically(self._folder / f"{name}.png", lambda aside: aside.write_bytes(drawn.getvalue()))
        drawn.seek(0)
        self._board.add_image(name, imread(drawn)[..., :3], step, dataformats="HWC")

    def close(self) -> None:
        """Flush TensorBoard's file."""
        self._board.close()


def _round(value: float) -> float:
    return float(f"{value:.9g}")


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's log; what is no line of ours, such as one cut short by a kill, is left out."""
    path = folder / LOG
    lines = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def draw_curves(folder: Path) -> Path:
    """Draw losses, collapse indicators and probes of a run into curves.png and return its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_log(folder)
    losses = ["loss", "distill", "power", "phase", "quality", "causes", "beats"]
    panels = {
        "loss (training)": losses,
        "loss (held-out)": [f"heldout/{name}" for name in losses],
        "spread and rank against the start": ["heldout/feature_spread", "heldout/effective_rank"],
        "teacher entropy": ["heldout/teacher_entropy"],
        "linear probe of held-out patients": ["probe/quality_auc", "probe/rate_correlation"],
        "norm of the gradient": ["gradient_norm"],
    }
    figure = Figure(figsize=(16, 7), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, names) in zip(figure.subplots(2, 3).flat, panels.items(), strict=True):
        for name in names:
            points = [(line["step"], line[name]) for line in lines if name in line]
            if points:
                steps, values = zip(*points, strict=True)
                if "against the start" in title and values[0]:
                    values = tuple(v / values[0] for v in values)
                axes.plot(steps, values, label=name.rpartition("/")[2], linewidth=1.2)
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(frameon=False, fontsize=8)
    path = folder / "curves.png"
    figure.savefig(path, dpi=110)
    return path
