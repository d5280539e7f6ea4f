"""Anything on disk -> Recording. A source knows no sibling, no data set and no model."""
