"""The file format of prepared segments, and nothing else."""

from qualityfm.shards.format import DatasetIndex, read_index
from qualityfm.shards.reader import ShardBatch, ShardReader
from qualityfm.shards.splits import refuse_leakage, split_by_subject
from qualityfm.shards.verify import verify

__all__ = ["DatasetIndex", "ShardBatch", "ShardReader", "read_index", "refuse_leakage", "split_by_subject", "verify"]
