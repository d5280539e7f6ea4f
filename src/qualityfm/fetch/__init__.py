"""Open data sets from their official homes: resumed where they stopped, checked before they take their names."""

from qualityfm.fetch.catalogue import OPEN_SETS, OpenSet, find_set
from qualityfm.fetch.fetcher import FetchReport, fetch

__all__ = ["OPEN_SETS", "FetchReport", "OpenSet", "fetch", "find_set"]
