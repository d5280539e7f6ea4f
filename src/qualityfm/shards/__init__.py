"""The file format of prepared segments, and nothing else."""
