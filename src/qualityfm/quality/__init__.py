"""How far each second of each channel can be trusted, in [0, 1], with reasons."""

from qualityfm.quality.score import judge_channels, score_block, score_quality

__all__ = ["judge_channels", "score_block", "score_quality"]
