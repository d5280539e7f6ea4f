"""From a batch of pairs to losses: who sees what, and what is compared."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.errors import ConfigError, problem
from qualityfm.models.encoder import Encoded
from qualityfm.models.heads import BeatHead, ProjectionHead
from qualityfm.models.network import Network
from qualityfm.pretrain import losses
from qualityfm.pretrain.batches import PairBatch
from qualityfm.pretrain.beats import MEASURES
from qualityfm.pretrain.config import SPECTRAL_WINDOW_S, PretrainConfig
from qualityfm.pretrain.teacher import Teacher


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a batch led to.

    Attributes:
        terms: Each loss by name, and their weighted sum as "loss".
        teacher_pooled: The teacher's pooled features of the better members; in training without distillation the
            student's, for then no teacher is asked.
        teacher_logits: The same after projection, centred.
    """

    terms: dict[str, Float[Tensor, ""]]
    teacher_pooled: Float[Tensor, "batch width"]
    teacher_logits: Float[Tensor, "batch prototype"]

    def numbers(self) -> dict[str, float]:
        """Return the losses as plain numbers."""
        return {name: value.item() for name, value in self.terms.items()}


class Objective(nn.Module):
    """Student, teacher and what binds them.

    Args:
        network: The student.
        config: The recipe.
    """

    def __init__(self, network: Network, config: PretrainConfig) -> None:
        super().__init__()
        self.config = config
        self.network = network
        width = network.config.width
        self.projection: nn.Module
        if config.num_prototypes:
            self.projection = ProjectionHead(width, config.num_prototypes)
        else:
            self.projection = nn.Identity()
        self.beats: BeatHead | None = None
        if config.beat_weight > 0:
            self.beats = BeatHead(width, network.slots, len(MEASURES))
        self.teacher = Teacher(network, self.projection, config.num_prototypes or width)
        self.window_samples = round(SPECTRAL_WINDOW_S * network.segments.sample_rate_hz)
        self.is_distilling = config.distill_weight > 0
        self.is_decoding = config.amplitude_weight > 0 or config.phase_weight > 0
        has_heads = network.quality is not None and config.quality_weight > 0
        if not (self.is_distilling or self.is_decoding or has_heads or self.beats is not None):
            expected = "a weight above 0 of distillation, spectra, quality or beats"
            raise ConfigError(
                problem("nothing to learn", where="pretrain", field="weights", found=0, expected=expected)
            )
        # What no loss asks for stays as it is: without a gradient no optimiser and no other process waits for it.
        self.projection.requires_grad_(self.is_distilling)
        network.decoder.requires_grad_(self.is_decoding)

    def student_parameters(self) -> list[nn.Parameter]:
        """Return the weights that are trained; the teacher's are not among them."""
        of_beats = () if self.beats is None else self.beats.parameters()
        every = (*self.network.parameters(), *self.projection.parameters(), *of_beats)
        return [parameter for parameter in every if parameter.requires_grad]

    def forward(self, batch: PairBatch) -> Outcome:
        """Return the losses of a batch, those of weight 0 left out; moves the centres while training."""
        seen = self.network.encoder(batch.worse, batch.hidden)
        guide = seen
        terms = {}
        with torch.no_grad():
            if self.is_distilling or not self.training:
                guide = self.teacher.network.encoder(batch.better)
            guide_pooled = self.teacher.projection(guide.pooled)
        if self.is_distilling:
            with torch.no_grad():
                guide_tokens = self.teacher.projection(guide.tokens)
            terms["distill"] = self._distill(seen, guide, guide_tokens, guide_pooled, batch)
        if self.is_decoding:
            terms["power"], terms["phase"] = self._spectral(seen, batch)
        if self.network.quality is not None:
            logits, named = self.network.judge(seen, batch.quality.shape[-1], batch.findings)
            terms["quality"] = losses.quality_loss(logits, batch.quality, batch.has_quality)
        if self.network.causes is not None:
            terms["causes"] = losses.cause_loss(named, batch.causes, batch.has_quality, self.config.cause_emphasis)
        if self.beats is not None:
            assert batch.beats is not None  # whoever sets the weight gets batches with beats
            assert batch.beats_known is not None
            terms["beats"] = losses.beat_loss(self.beats(seen), batch.beats, batch.beats_known)
        centred = guide_pooled - self.teacher.pooled_center
        if self.training and self.is_distilling:
            flat = guide_tokens[guide.is_valid]
            self.teacher.move_centers(flat, guide_pooled, self.config.center_momentum)
        weights = {
            "distill": self.config.distill_weight,
            "power": self.config.amplitude_weight,
            "phase": self.config.phase_weight,
            "quality": self.config.quality_weight,
            "causes": self.config.cause_weight,
            "beats": self.config.beat_weight,
        }
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        return Outcome(terms={"loss": total, **terms}, teacher_pooled=guide.pooled.detach(), teacher_logits=centred)

    def _distill(
        self, seen: Encoded, guide: Encoded, guide_tokens: Tensor, guide_pooled: Tensor, batch: PairBatch
    ) -> Float[Tensor, ""]:
        """Return the distillation loss.

        "paper" compares all tokens of all pairs. "aligned" compares tokens only where both members show the same
        moment, and the pooled features of every pair: a beat has no counterpart at the same place of another segment.
        """
        temperatures = {
            "student_temperature": self.config.student_temperature,
            "teacher_temperature": self.config.teacher_temperature,
        }
        valid = guide.is_valid.float()
        weight = valid if self.config.objective == "paper" else valid * batch.same_moment[:, None]
        tokens = losses.distillation(
            self.projection(seen.tokens), guide_tokens, self.teacher.token_center, weight, **temperatures
        )
        if self.config.objective == "paper":
            return tokens
        pooled = losses.distillation(
            self.projection(seen.pooled),
            guide_pooled,
            self.teacher.pooled_center,
            torch.ones(len(guide_pooled), device=guide_pooled.device),
            **temperatures,
        )
        return (tokens + pooled) / 2

    def _spectral(self, seen: Encoded, batch: PairBatch) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        decoded = self.network.decoder(seen)
        if self.config.objective == "paper":
            targets = losses.fft_targets(batch.clean, decoded.shape[-1])
            return losses.smooth_l1(decoded[0], targets[0]), losses.smooth_l1(decoded[1], targets[1])
        return losses.short_time_spectra(decoded, batch.clean, batch.same_moment, window_samples=self.window_samples)
