"""A model without torch: an exported folder, NumPy, and ONNX Runtime or OpenVINO."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.inference.export_folder import CARD, INPUT, read_export_card, read_network, read_segments
from qualityfm.inference.scoring import Answers, Scorer
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig

#: From scaled samples [segment channel time] to the network's outputs in the card's order.
Run = Callable[[np.ndarray], list[np.ndarray]]


class OnnxModel(Scorer):
    """An exported model. It cuts, scales and calibrates as the checkpoint it was made from.

    Args:
        card: The exported model's card.
        segments: How recordings are cut for it.
        run: The network.
        runtime: What computes it.
    """

    def __init__(self, card: dict[str, Any], segments: SegmentConfig, run: Run, runtime: str) -> None:
        super().__init__(card, segments, has_quality="quality" in card["outputs"])
        self.runtime = runtime
        self._run = run

    def answer(
        self,
        values: Float32[np.ndarray, "segment channel time"],
        findings: Float32[np.ndarray, "segment channel second finding"] | None = None,
    ) -> Answers:
        """Return what the network says of scaled segments, NaN where a sample is missing; findings are not exported.

        Raises:
            FormatError: The network fails, or answers in other shapes than the card promises.
        """
        try:
            found = dict(zip(self.card["outputs"], self._run(np.ascontiguousarray(values)), strict=True))
        except Exception as error:  # runtimes derive their errors from nothing narrower
            raise _unusable(self.name, "network", _first_line(error), "a network that runs") from error
        self._check_shapes(found, values.shape)
        return Answers(**found)

    def _check_shapes(self, found: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
        seconds = (*shape[:2], self.segments.num_seconds)
        expected = {
            "features": (shape[0], found["features"].shape[-1]),
            "quality": seconds,
            "causes": (*seconds, len(Cause.learnable())),
        }
        for name, values in found.items():
            if values.shape != expected[name] or values.dtype != np.float32 or not np.isfinite(values).all():
                told = f"finite float32 {list(expected[name])}"
                raise _unusable(self.name, name, f"{values.dtype} {list(values.shape)}", told)

    def __repr__(self) -> str:
        segments = self.segments
        return (
            f"OnnxModel {self.name!r}: {self.card['precision']}, run by {self.runtime}; "
            f"{segments.segment_s:g} s at {segments.sample_rate_hz:g} Hz; slots {', '.join(segments.channels)}"
        )


def load_onnx(folder: Path, runtime: Literal["onnx", "openvino"] = "onnx", threads: int | None = None) -> OnnxModel:
    """Return the exported model in a folder.

    Args:
        folder: Made by `qualityfm export-model`.
        runtime: ONNX Runtime or OpenVINO; either is asked for the CPU.
        threads: Of one call; by default OMP_NUM_THREADS, or what the runtime chooses.

    Raises:
        ConfigError: OMP_NUM_THREADS is no number.
        FormatError: Missing or damaged files, a foreign format, another version, or a network that does not fit.
        ModuleNotFoundError: The runtime is not installed.
    """
    card = read_export_card(folder)
    segments = read_segments(folder, card)
    network = read_network(folder, card)
    open_network = _open_with_onnxruntime if runtime == "onnx" else _open_with_openvino
    shape = (len(segments.channels), card["outputs"])
    try:
        run = open_network(network, *shape, _threads() if threads is None else threads)
        return OnnxModel(card, segments, run, runtime)
    except ConfigError as error:  # of the calibration
        raise FormatError(f"damaged exported model: {folder / CARD}: {error}") from error
    except (ModuleNotFoundError, FormatError):
        raise
    except Exception as error:  # runtimes derive their errors from nothing narrower
        raise _unusable(folder / card["network"], "network", _first_line(error), "an ONNX network") from error


def _threads() -> int:
    named = os.environ.get("OMP_NUM_THREADS", "0")
    return int(named) if named.isdigit() else 0


def _open_with_onnxruntime(network: bytes, num_channels: int, outputs: list[str], threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: as many as there are cores
    options.log_severity_level = 4  # what goes wrong is raised; nothing else belongs on the terminal
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    taken = {one.name: list(one.shape) for one in session.get_inputs()}
    _check_signature({name: shape[1:2] for name, shape in taken.items()}, num_channels, outputs, _names(session))
    return lambda values: list(session.run(outputs, {INPUT: values}))


def _names(session: Any) -> list[str]:
    return [one.name for one in session.get_outputs()]


def _open_with_openvino(network: bytes, num_channels: int, outputs: list[str], threads: int) -> Run:
    import openvino

    core = openvino.Core()
    # Other CPUs than the one it was measured on may have bfloat16, which is not what was exported.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(network, b""), "CPU", settings)
    taken = {one.any_name: _fixed(one.partial_shape[1]) for one in compiled.inputs}
    _check_signature(taken, num_channels, outputs, [one.any_name for one in compiled.outputs])
    ports = [compiled.output(name) for name in outputs]

    def run(values: np.ndarray) -> list[np.ndarray]:
        found = compiled({INPUT: values})
        return [np.array(found[port]) for port in ports]

    return run


def _fixed(dimension: Any) -> list[int]:
    return [dimension.get_length()] if dimension.is_static else []


def _check_signature(taken: dict[str, list[int]], num_channels: int, outputs: list[str], given: list[str]) -> None:
    """Refuse a network that takes or gives something else than the card promises.

    Raises:
        FormatError: It does.
    """
    if taken != {INPUT: [num_channels]}:
        raise _unusable("exported model", "inputs", taken, f"{INPUT} of {num_channels} channels")
    if given != outputs:
        raise _unusable("exported model", "outputs", given, ", ".join(outputs))


def _first_line(error: Exception) -> str:
    """Return what a runtime says, short enough for a screen."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _unusable(where: object, field: str, found: object, expected: str) -> FormatError:
    return FormatError(problem("cannot use exported model", where=where, field=field, found=found, expected=expected))
