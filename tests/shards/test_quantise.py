"""Sixteen bits a sample."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qualityfm.shards.decode import decode_samples
from qualityfm.shards.quantise import MISSING, pack_bits, quantise

lines = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 40)),
    elements=st.one_of(st.just(np.float32(np.nan)), st.floats(-1e6, 1e6, width=32)),
)


def dequantise(values):
    integers, step = quantise(values)
    packed = pack_bits(np.isfinite(values))
    out, real = np.empty(values.shape, np.float32), np.empty(values.shape, np.bool_)
    for place in np.ndindex(step.shape):
        decode_samples(integers[place], packed[place], step[place], out[place], real[place])
    return out, real, step


@settings(deadline=None)
@given(lines)
def test_the_round_trip_differs_by_at_most_half_a_step(values):
    out, _, step = dequantise(values)
    rounding = np.spacing(np.abs(out))  # of the float32 product
    error = np.abs(out.astype(float) - values)
    assert not (error > 0.5001 * step[..., None] + rounding).any()


@settings(deadline=None)
@given(lines)
def test_exactly_the_missing_samples_are_missing_after_the_round_trip(values):
    out, real, _ = dequantise(values)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(values))
    np.testing.assert_array_equal(real, ~np.isnan(values))


def test_the_largest_sample_uses_the_whole_range_and_never_the_mark_for_missing():
    integers, _ = quantise(np.array([[[-3.0, 3.0, 0.0]], [[-1e-3, 1e-9, 0.0]]], np.float32))
    assert integers[0, 0].tolist() == [-32767, 32767, 0]
    assert integers[1, 0, 0] == -32767
    assert MISSING not in integers


def test_a_silent_channel_comes_back_as_zeros():
    out, _, _ = dequantise(np.zeros((1, 1, 5), np.float32))
    assert out.tolist() == [[[0.0] * 5]]
