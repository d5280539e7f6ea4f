"""One map over recordings: a process pool; knows nothing of waveforms."""

from qualityfm.cluster.pool import map_unordered

__all__ = ["map_unordered"]
