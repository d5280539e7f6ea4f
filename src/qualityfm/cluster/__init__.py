"""One map over independent items: a process pool or a Ray cluster; knows nothing of waveforms."""

from qualityfm.cluster.engines import ENGINES, Engine, map_unordered

__all__ = ["ENGINES", "Engine", "map_unordered"]
