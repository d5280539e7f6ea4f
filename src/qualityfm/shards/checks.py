"""A checksum for each row over all its arrays, so that damage is found before a sample is handed out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xxhash
from jaxtyping import Int, UInt64


class RowHasher:
    """Computes the checksums of rows of one shard.

    The checksum is xxh3_64 over the row's bytes of every array, one after the other. It finds accidents, not forgery:
    whoever changes a file on purpose is found by the SHA-256 of the file.

    Args:
        arrays: The shard's arrays in the order of `ARRAYS`, each C-ordered, the row first.

    Source:
        xxHash, XXH3 64-bit with seed 0 (Y. Collet, https://xxhash.com, specification 0.2.0).
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        flat = [array.reshape(-1).view(np.uint8) for array in arrays]
        self._views = [(whole.data, len(whole) // len(array)) for whole, array in zip(flat, arrays, strict=True)]

    def hash_rows(self, rows: Int[np.ndarray, " row"]) -> UInt64[np.ndarray, " row"]:
        """Return the checksum of each of these rows."""
        found = np.empty(len(rows), np.uint64)
        for place, row in enumerate(rows.tolist()):
            row_hash = xxhash.xxh3_64()
            for view, num_bytes in self._views:
                row_hash.update(view[row * num_bytes : (row + 1) * num_bytes])
            found[place] = row_hash.intdigest()
        return found
