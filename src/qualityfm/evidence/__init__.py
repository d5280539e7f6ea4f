"""Figures that survive a reviewer: splits, intervals, probes."""
