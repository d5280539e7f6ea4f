"""The inner loop of reading: chosen rows of one shard's arrays -> rows of a batch, compiled."""

from __future__ import annotations

import numba
import numpy as np

from qualityfm.shards.quantise import MISSING

#: The float32 of every float16, by its bits: the compiler knows no float16.
HALF_FLOATS = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def decode_samples(integers, packed, step, values, is_real):  # type: ignore[no-untyped-def]
    """Fill one channel: `values` from `integers` and their step, NaN where missing; `is_real` from packed bits.

    Args:
        integers: Int16[time].
        packed: UInt8[byte], eight samples each, the first in the lowest bit.
        step: Size of one integer.
        values: Float32[time], filled.
        is_real: Bool[time], filled.
    """
    nan = np.float32(np.nan)
    for t in range(len(values)):
        values[t] = nan if integers[t] == MISSING else np.float32(integers[t]) * step
    num_whole = len(is_real) // 8
    for b in range(num_whole):
        byte = packed[b]
        for k in range(8):
            is_real[8 * b + k] = ((byte >> k) & 1) != 0
    for t in range(8 * num_whole, len(is_real)):
        is_real[t] = ((packed[num_whole] >> (t - 8 * num_whole)) & 1) != 0


@numba.njit(cache=True, nogil=True)
def decode_rows(shard, local_rows, places, batch, half_floats):  # type: ignore[no-untyped-def]
    """Fill rows `places` of a batch from rows `local_rows` of a shard.

    Args:
        shard: Arrays values, is_real, step, center, scale, quality (float16 as its bits) and causes, as on disk.
        local_rows: Rows of the shard to read.
        places: Row of the batch in which each goes.
        batch: Arrays values, is_real, center, scale, quality and causes of the batch, filled.
        half_floats: `HALF_FLOATS`.
    """
    integers, packed, step, center, scale, quality, causes = shard
    values, is_real, center_out, scale_out, quality_out, causes_out = batch
    for i in range(len(local_rows)):
        row, place = local_rows[i], places[i]
        for c in range(values.shape[1]):
            decode_samples(integers[row, c], packed[row, c], step[row, c], values[place, c], is_real[place, c])
            center_out[place, c] = center[row, c]
            scale_out[place, c] = scale[row, c]
            for second in range(quality_out.shape[2]):
                quality_out[place, c, second] = half_floats[quality[row, c, second]]
                causes_out[place, c, second] = causes[row, c, second]
