"""Archive -> shards, resumable: a pure step for each group of recordings, run through `cluster`."""

from qualityfm.prepare.archive import PrepareReport, Progress, prepare
from qualityfm.prepare.identity import Identity, read_key
from qualityfm.prepare.selection import Selection, read_selection, selection_from_layout

__all__ = [
    "Identity",
    "PrepareReport",
    "Progress",
    "Selection",
    "prepare",
    "read_key",
    "read_selection",
    "selection_from_layout",
]
