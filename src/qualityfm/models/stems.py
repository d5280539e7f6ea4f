"""Stems: one channel's samples -> one vector a patch, with weights shared by all channels of a kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.records import ChannelKind

#: Low-pass filter of Daubechies' wavelet with four vanishing moments; the high-pass one is its mirror.
#: Source: Daubechies, Ten Lectures on Wavelets (1992), table 6.1, N = 4.
DAUBECHIES_4 = (
    0.2303778133088964,
    0.7148465705529154,
    0.6308807679298587,
    -0.0279837694168599,
    -0.1870348117190931,
    0.0308413818355607,
    0.0328830116668852,
    -0.0105974017850690,
)

#: Octaves of the wavelet stem: at 125 Hz the details reach from 62 Hz down to 2 Hz, the rest lies below.
NUM_OCTAVES = 5


class ByKind(nn.ModuleDict):
    """One network for each kind of channel; channels of a kind share it, so their number is free.

    Args:
        kinds: Kind of each slot.
        make: Makes the network of one kind.
    """

    def __init__(self, kinds: tuple[ChannelKind, ...], make: Callable[[], nn.Module]) -> None:
        super().__init__({kind: make() for kind in dict.fromkeys(kinds)})
        self.kinds = kinds

    def forward(self, x: Float[Tensor, "batch channel *rest"]) -> Float[Tensor, "batch channel *answer"]:
        """Return each slot's answer of its kind's network, which sees [batch * slots *rest]."""
        answers: list[Tensor] = [x] * len(self.kinds)
        for kind, network in self.items():
            slots = [c for c, k in enumerate(self.kinds) if k == kind]
            found = network(x[:, slots].flatten(0, 1))
            for place, slot in enumerate(slots):
                answers[slot] = found.unflatten(0, (x.shape[0], len(slots)))[:, place]
        return torch.stack(answers, dim=1)


class WaveletBands(nn.Module):
    """A signal split into octaves by learned filters, which begin as an undecimated wavelet transform.

    Each octave filters what the one before left, with holes of twice the width between its taps. The idea of learned
    filters that begin as wavelets is PhysioWave's (arXiv 2506.10351, 2025); the form is our own.
    """

    def __init__(self, num_octaves: int = NUM_OCTAVES) -> None:
        super().__init__()
        low = torch.tensor(DAUBECHIES_4) / 2**0.5  # undecimated: each octave keeps the level
        high = low.flip(0) * torch.tensor([1.0, -1.0]).repeat(len(low) // 2)
        self.filters = nn.Parameter(torch.stack([low, high]).expand(num_octaves, 2, -1).clone())

    def forward(self, line: Float[Tensor, "line 1 time"]) -> Float[Tensor, "line band time"]:
        """Return the details of each octave, finest first, and the rest, all as long as the signal."""
        rest, bands = line, []
        for octave, pair in enumerate(self.filters):
            spread = 2**octave
            reach = spread * (pair.shape[1] - 1)
            padded = nn.functional.pad(rest, (reach // 2, reach - reach // 2))
            both = nn.functional.conv1d(padded, pair[:, None], dilation=spread)
            rest, detail = both[:, :1], both[:, 1:]
            bands.append(detail)
        return torch.cat([*bands, rest], dim=1)


def make_stem(kind: Literal["patch", "wavelet"], patch_samples: int, width: int, hidden: int = 32) -> nn.Sequential:
    """Return a small network from [line 1 time] to [line width patch].

    Args:
        kind: "patch" looks at a patch and little beyond it; "wavelet" at octaves of the signal around it.
        patch_samples: Samples in a patch.
        width: Features of a vector.
        hidden: Filters of the first step.
    """
    first = next(step for step in (5, 4, 6, 3, 2, 1) if patch_samples % step == 0)
    bands = [WaveletBands()] if kind == "wavelet" else []
    return nn.Sequential(
        *bands,
        nn.Conv1d(NUM_OCTAVES + 1 if bands else 1, hidden, kernel_size=first + 2, stride=first, padding=1),
        nn.GELU(),
        nn.Conv1d(hidden, width, kernel_size=patch_samples // first, stride=patch_samples // first),
    )
