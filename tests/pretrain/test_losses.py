import math

import pytest
import torch

from qualityfm.pretrain import losses


def test_distillation_is_the_cross_entropy_of_two_softmaxes():
    student, teacher = torch.randn(5, 7), torch.randn(5, 7)
    center = torch.randn(7)
    found = losses.distillation(
        student, teacher, center, torch.ones(5), student_temperature=0.1, teacher_temperature=0.04
    )
    plain = 0.0
    for s, t in zip(student, teacher, strict=True):
        share = torch.softmax((t - center) / 0.04, 0)
        plain -= float((share * torch.log_softmax(s / 0.1, 0)).sum()) / 5
    assert float(found) == pytest.approx(plain, rel=1e-4)


def test_distillation_gives_the_teacher_no_gradient():
    student, teacher = torch.randn(4, 6, requires_grad=True), torch.randn(4, 6, requires_grad=True)
    losses.distillation(
        student, teacher, torch.zeros(6), torch.ones(4), student_temperature=0.1, teacher_temperature=0.04
    ).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


def test_the_papers_targets_are_standardised_amplitude_and_phase():
    values = torch.randn(2, 3, 900)
    amplitude, phase = losses.fft_targets(values, 64)
    spectrum = torch.fft.rfft(values)[..., :64]
    expected = (spectrum.abs() - spectrum.abs().mean(-1, keepdim=True)) / spectrum.abs().std(-1, keepdim=True)
    torch.testing.assert_close(amplitude, expected)
    torch.testing.assert_close(phase.mean(-1), torch.zeros(2, 3), atol=1e-5, rtol=0)


def spectra(predicted, target, same=True):
    return losses.short_time_spectra(
        predicted, target, torch.full((len(target),), same, dtype=torch.bool), window_samples=100
    )


def wave(frequency=5.0, phase=0.0):
    time_s = torch.arange(1000) / 100
    return torch.sin(2 * math.pi * frequency * time_s + phase).expand(2, 3, 1000).clone()


def test_equal_signals_have_no_spectral_loss():
    power, phase = spectra(wave(), wave())
    assert float(power) == pytest.approx(0, abs=1e-6)
    assert float(phase) == pytest.approx(0, abs=1e-5)


def test_the_phase_term_grows_with_the_shift_up_to_two_and_never_wraps():
    found = [float(spectra(wave(phase=p), wave())[1]) for p in (0.0, math.pi / 2, math.pi, 2 * math.pi - 1e-3)]
    assert found[0] < found[1] < found[2] <= 2.0 + 1e-5
    assert found[1] == pytest.approx(1.0, abs=0.05)
    assert found[3] == pytest.approx(0.0, abs=1e-3)


def test_the_phase_of_another_moment_is_not_asked_for_and_its_place_does_not_matter_to_power():
    target = torch.randn(2, 3, 1000)
    power, phase = spectra(target.flip(-1), target, same=False)
    assert float(phase) == 0.0
    assert float(power) < 1e-3  # the same spectrum run backwards


@pytest.mark.parametrize("kind", ["silent", "constant", "tone", "random", "half missing", "all missing"])
@pytest.mark.parametrize("same", [True, False])
def test_spectral_losses_stay_finite_with_finite_gradients(kind, same):
    target = {
        "silent": torch.zeros(2, 3, 1000),
        "constant": torch.ones(2, 3, 1000),
        "tone": wave(),
        "random": torch.randn(2, 3, 1000),
        "half missing": torch.cat([torch.full((2, 3, 500), torch.nan), torch.randn(2, 3, 500)], -1),
        "all missing": torch.full((2, 3, 1000), torch.nan),
    }[kind]
    for predicted in (torch.zeros(2, 3, 1000), torch.randn(2, 3, 1000)):
        predicted.requires_grad_()
        power, phase = spectra(predicted, target, same)
        (power + phase).backward()
        assert math.isfinite((power + phase).item())
        assert torch.isfinite(predicted.grad).all()


def test_windows_that_touch_a_missing_sample_do_not_count():
    target = torch.randn(1, 1, 1000)
    predicted = target.clone()
    predicted[..., 300:400] += 5
    target[..., 300:400] = torch.nan
    power, _ = spectra(predicted, target)
    assert float(power) == pytest.approx(0, abs=1e-5)


def test_the_spectral_gradient_is_right():
    target = torch.randn(1, 2, 60, dtype=torch.float64)
    same = torch.tensor([True])

    def total(predicted):
        return sum(losses.short_time_spectra(predicted, target, same, window_samples=20))

    predicted = torch.randn(1, 2, 60, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total, predicted, eps=1e-3, atol=2e-2, rtol=2e-2)


def test_the_quality_of_a_missing_channel_costs_nothing():
    logits = torch.randn(2, 3, 5)
    quality = torch.rand(2, 3, 5)
    has = torch.zeros(2, 3, 5, dtype=torch.bool)
    assert float(losses.quality_loss(logits, quality, has)) == 0.0
    has[:, 1] = True
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 1], quality[:, 1])
    assert float(losses.quality_loss(logits, quality, has)) == pytest.approx(float(expected), rel=1e-5)
