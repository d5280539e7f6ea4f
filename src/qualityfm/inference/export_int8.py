"""Weights of an ONNX graph as whole numbers of 8 bits; what this costs is measured, see docs/EXPORT.md."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

#: What is quantised: products with weights. Convolutions see the samples themselves and are a tiny part of the work.
QUANTISED = ("MatMul", "Gemm")


def with_int8_weights(graph: ModelProto) -> bytes:
    """Return an ONNX file whose matrix products have int8 weights, each output feature with a scale of its own.

    Activations are quantised as they come ("dynamically"), so that no recording is needed.

    Source: the scheme is ONNX Runtime's `quantize_dynamic`.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        traced, before, after = (Path(folder) / f"{name}.onnx" for name in ("traced", "before", "after"))
        onnx.save(graph, traced)
        # As traced a weight is turned on its way into the product; only one that is turned already is quantised.
        quant_pre_process(traced, before, skip_onnx_shape=True, skip_symbolic_shape=True)
        quantize_dynamic(
            before, after, op_types_to_quantize=list(QUANTISED), per_channel=True, weight_type=QuantType.QInt8
        )
        return after.read_bytes()
