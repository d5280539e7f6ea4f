"""A picture of held-out pairs while a run is at work: what the teacher sees, what the student sees, what is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from qualityfm.models.decoder import SpectrumDecoder
from qualityfm.models.network import Network
from qualityfm.pretrain import losses
from qualityfm.pretrain.batches import PairBatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pairs in the picture.
NUM_SHOWN = 3


def choose_shown(batch: PairBatch) -> list[int]:
    """Return positions of the pairs to draw: those of one moment first, where a reconstruction can be judged."""
    is_made = batch.same_moment.numpy()
    order = np.argsort(~is_made, kind="stable")
    return [int(i) for i in order[:NUM_SHOWN]]


@torch.inference_mode()
def draw_samples(network: Network, batch: PairBatch, place: torch.device, title: str) -> Figure:
    """Return a figure with a row for each pair and a column for each channel.

    Better member in black, worse one in grey, the decoder's answer in red, hidden patches shaded. A decoder of spectra
    is drawn against its target: standardised amplitudes of the first frequencies.

    Args:
        network: In evaluation mode.
        batch: On the CPU.
        place: Device of the network.
        title: Of the figure.
    """
    from matplotlib.figure import Figure

    shown = choose_shown(batch)
    hidden = None if batch.hidden is None else batch.hidden[shown].to(place)
    decoded = network.decoder(network.encoder(batch.worse[shown].to(place), hidden)).cpu()
    channels = network.segments.channels
    figure = Figure(figsize=(4.5 * len(channels), 2.2 * len(shown)), layout="constrained")
    figure.suptitle(title)
    grid = figure.subplots(len(shown), len(channels), squeeze=False)
    for row, i in enumerate(shown):
        for slot, kind in enumerate(channels):
            axes = grid[row, slot]
            if isinstance(network.decoder, SpectrumDecoder):
                target = losses.fft_targets(batch.clean[i : i + 1], decoded.shape[-1])[0, 0, slot]
                _draw_lines(axes, {"target": target, "reconstruction": decoded[0, row, slot]}, 1.0)
            else:
                members = {"worse": batch.worse[i, slot], "better": batch.clean[i, slot]}
                lines = {**members, "reconstruction": decoded[row, slot, : batch.clean.shape[-1]]}
                _draw_lines(axes, lines, 1 / network.segments.sample_rate_hz)
                _shade(axes, None if batch.hidden is None else batch.hidden[i], network)
            moment = "same moment" if batch.same_moment[i] else "another moment"
            axes.set_title(f"{kind}, {moment}", fontsize=8)
    grid[0, 0].legend(frameon=False, fontsize=7)
    return figure


def _draw_lines(axes: Axes, lines: dict[str, torch.Tensor], spacing: float) -> None:
    colours = {"worse": "0.75", "better": "black", "target": "black", "reconstruction": "tab:red"}
    for name, values in lines.items():
        axes.plot(np.arange(len(values)) * spacing, values.numpy(), color=colours[name], linewidth=0.6, label=name)
    axes.tick_params(labelsize=7)


def _shade(axes: Axes, hidden: torch.Tensor | None, network: Network) -> None:
    if hidden is None:
        return
    patch_s = network.config.patch_samples / network.segments.sample_rate_hz
    for number in torch.nonzero(hidden).flatten().tolist():
        axes.axvspan(number * patch_s, (number + 1) * patch_s, color="tab:blue", alpha=0.08, linewidth=0)
