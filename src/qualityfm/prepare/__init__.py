"""Archive -> shards, resumable: a pure step for each group of recordings, run through `cluster`."""

from qualityfm.prepare.archive import PrepareReport, Progress, prepare
from qualityfm.prepare.selection import Selection, read_selection

__all__ = ["PrepareReport", "Progress", "Selection", "prepare", "read_selection"]
