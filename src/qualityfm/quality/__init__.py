"""How far each second of each channel can be trusted, in [0, 1], with reasons."""

from qualityfm.quality.score import score_block, score_quality

__all__ = ["score_block", "score_quality"]
