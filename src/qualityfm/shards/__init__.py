"""The file format of prepared segments, and nothing else."""

from qualityfm.shards.format import DatasetIndex, read_index
from qualityfm.shards.parquet_export import export_parquet
from qualityfm.shards.parquet_import import import_parquet
from qualityfm.shards.reader import ShardBatch, ShardReader
from qualityfm.shards.split_file import read_split, write_split
from qualityfm.shards.split_sides import make_split
from qualityfm.shards.splits import refuse_leakage, split_by_subject
from qualityfm.shards.store import open_store
from qualityfm.shards.verify import verify, verify_dataset

__all__ = [
    "DatasetIndex",
    "ShardBatch",
    "ShardReader",
    "export_parquet",
    "import_parquet",
    "make_split",
    "open_store",
    "read_index",
    "read_split",
    "refuse_leakage",
    "split_by_subject",
    "verify",
    "verify_dataset",
    "write_split",
]
