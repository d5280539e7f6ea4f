"""The losses of both families, each a plain function of tensors.

All spectral arithmetic is float32 and keeps finite values and gradients for silent, constant and pure-tone signals:
no `angle()`, no bare logarithm, no square root of zero.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from qualityfm.training.ranks import mean_over_ranks

#: Power floor, as a share of the target's mean power and in absolute scaled units (docs/decisions/0006).
RELATIVE_FLOOR, ABSOLUTE_FLOOR = 1e-3, 1e-6

#: A window whose target's standard deviation is below this (scaled units) counts as flat and teaches nothing.
FLAT_SD = 1e-3


def distillation(
    student: Float[Tensor, "*batch prototype"],
    teacher: Float[Tensor, "*batch prototype"],
    center: Float[Tensor, " prototype"],
    weight: Float[Tensor, "*batch"],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> Float[Tensor, ""]:
    """Return the weighted mean cross-entropy between the teacher's sharpened, centred softmax and the student's.

    Source: Caron et al., DINO, arXiv 2104.14294 (2021), equation 1.
    """
    target = ((teacher - center) / teacher_temperature).softmax(-1).detach()
    cross_entropy = -(target * (student / student_temperature).log_softmax(-1)).sum(-1)
    return (cross_entropy * weight).sum() / mean_over_ranks(weight.sum()).clamp(min=1e-6)


def fft_targets(values: Float[Tensor, "batch channel time"], num_bins: int) -> Float[Tensor, "2 batch channel bin"]:
    """Return amplitude and raw phase of the first FFT bins, standardised for each channel (the paper's targets).

    Source: reconstructed from public descriptions of arXiv 2509.06516. Missing samples count as 0.
    """
    spectrum = torch.fft.rfft(torch.nan_to_num(values))[..., :num_bins]
    both = torch.stack([spectrum.abs(), spectrum.angle()])
    return (both - both.mean(-1, keepdim=True)) / both.std(-1, keepdim=True).clamp(min=1e-6)


def smooth_l1(predicted: Float[Tensor, "*batch"], target: Float[Tensor, "*batch"]) -> Float[Tensor, ""]:
    """Return the mean Smooth-L1 difference."""
    return F.smooth_l1_loss(predicted, target.detach())


def short_time_spectra(
    predicted: Float[Tensor, "batch channel time"],
    target: Float[Tensor, "batch channel time"],
    same_moment: Bool[Tensor, " batch"],
    *,
    window_samples: int,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the power and the phase term between the spectra of half-overlapping Hann windows.

    Where both members show the same moment, windows are compared one by one, in power and in phase. Elsewhere only
    the power averaged over all windows is compared: the phase of another moment cannot be predicted.

    The power term is the Huber difference of log(P + s), the phase term the target-power-weighted
    1 - (Re Re' + Im Im' + s) / sqrt((P + s)(P' + s)): 0 only at equality, at most 2, never wrapping.

    Args:
        predicted: The decoder's samples; at least as long as the target.
        target: The better member; NaN where missing. Windows that touch a missing sample are left out.
        same_moment: Which pairs were made by adding noise.
        window_samples: Length of a window.
    """
    num_samples = target.shape[-1]
    present = ~target.isnan()
    spectrum = _windowed_fft(predicted[..., :num_samples], window_samples)
    target_windows = torch.nan_to_num(target).unfold(-1, window_samples, window_samples // 2)
    target_spectrum = _windowed_fft(torch.nan_to_num(target), window_samples)
    whole = present.unfold(-1, window_samples, window_samples // 2).all(-1)
    usable = whole & (target_windows.std(-1) > FLAT_SD)  # [batch channel window]

    power, target_power = _power(spectrum), _power(target_spectrum)
    floor = RELATIVE_FLOOR * target_power.mean(-1, keepdim=True) + ABSOLUTE_FLOOR
    log_difference = (power + floor).log() - (target_power + floor).log()
    by_window = F.huber_loss(log_difference, torch.zeros_like(log_difference), reduction="none").mean(-1)
    same = same_moment[:, None, None] & usable
    power_same = _mean_where(by_window, same)

    share = usable.float() / usable.float().sum(-1, keepdim=True).clamp(min=1)
    mean_power = (power * share[..., None]).sum(2)
    mean_target = (target_power * share[..., None]).sum(2)
    mean_floor = RELATIVE_FLOOR * mean_target.mean(-1, keepdim=True) + ABSOLUTE_FLOOR
    mean_difference = (mean_power + mean_floor).log() - (mean_target + mean_floor).log()
    by_channel = F.huber_loss(mean_difference, torch.zeros_like(mean_difference), reduction="none").mean(-1)
    other = ~same_moment[:, None] & usable.any(-1)
    power_other = _mean_where(by_channel, other)

    made_share = mean_over_ranks(same_moment.float().mean())
    power_term = made_share * power_same + (1 - made_share) * power_other

    agreement = spectrum.real * target_spectrum.real + spectrum.imag * target_spectrum.imag + floor
    cosine = agreement / ((power + floor) * (target_power + floor)).sqrt()
    weight = target_power / target_power.sum(-1, keepdim=True).clamp(min=ABSOLUTE_FLOOR)
    phase_term = _mean_where(((1 - cosine) * weight).sum(-1), same)
    return power_term, phase_term


def _windowed_fft(values: Float[Tensor, "batch channel time"], window_samples: int) -> Tensor:
    hann = torch.hann_window(window_samples, device=values.device)
    windows = values.float().unfold(-1, window_samples, window_samples // 2)
    return torch.as_tensor(torch.fft.rfft(windows * hann) / window_samples**0.5)


def _power(spectrum: Tensor) -> Tensor:
    return spectrum.real.square() + spectrum.imag.square()


def _mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Return the mean of the chosen values; 0, with a gradient of 0, where none is chosen."""
    return (values * where).sum() / mean_over_ranks(where.sum().float()).clamp(min=1e-6)


def cause_loss(
    logits: Float[Tensor, "batch channel second cause"],
    causes: Bool[Tensor, "batch channel second cause"],
    has_quality: Bool[Tensor, "batch channel second"],
    emphasis: float = 1.0,
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of every cause, summed over causes, mean over the seconds that are there.

    Args:
        logits: The cause head's answers.
        causes: Which causes hold.
        has_quality: Seconds that count.
        emphasis: How much more a cause that holds counts than one that does not.
    """
    weight = logits.new_tensor(emphasis)
    known = causes.to(logits.dtype)
    by_cause = F.binary_cross_entropy_with_logits(logits, known, reduction="none", pos_weight=weight)
    return _mean_where(by_cause.sum(-1), has_quality)


def beat_loss(
    answers: Float[Tensor, "batch channel patch measure"],
    measures: Float[Tensor, "batch channel patch measure"],
    is_known: Bool[Tensor, "batch channel patch measure"],
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of beats plus the Huber difference of each measure, over what is known.

    Args:
        answers: The beat head's; the first of each is the logit of a beat.
        measures: In the order of `qualityfm.pretrain.beats.MEASURES`.
        is_known: Which of them count.
    """
    is_beat = F.binary_cross_entropy_with_logits(answers[..., 0], measures[..., 0], reduction="none")
    differences = F.huber_loss(answers[..., 1:], measures[..., 1:], reduction="none")
    terms = [_mean_where(is_beat, is_known[..., 0])]
    terms += [_mean_where(differences[..., k], is_known[..., k + 1]) for k in range(differences.shape[-1])]
    return torch.stack(terms).sum()


def quality_loss(
    logits: Float[Tensor, "batch channel second"],
    quality: Float[Tensor, "batch channel second"],
    has_quality: Bool[Tensor, "batch channel second"],
) -> Float[Tensor, ""]:
    """Return the mean binary cross-entropy between estimated and known quality, over the channels that are there."""
    by_second = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return _mean_where(by_second, has_quality)
