"""A model without torch: an exported folder, NumPy, and ONNX Runtime or OpenVINO."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.inference.export_folder import (
    CARD,
    FINDINGS,
    INPUT,
    inputs_of,
    read_export_card,
    read_network,
    read_segments,
)
from qualityfm.inference.scoring import Answers, Scorer
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig

#: From the network's inputs by name to its outputs in the card's order.
Run = Callable[[dict[str, np.ndarray]], list[np.ndarray]]

#: How many channels each input has; nothing where the network leaves it open.
Inputs = dict[str, list[int]]


class OnnxModel(Scorer):
    """An exported model. It cuts, scales and calibrates as the checkpoint it was made from.

    Args:
        card: The exported model's card.
        segments: How recordings are cut for it.
        run: The network.
        runtime: What computes it.
    """

    def __init__(self, card: dict[str, Any], segments: SegmentConfig, run: Run, runtime: str) -> None:
        has_quality, sees_findings = "quality" in card["outputs"], FINDINGS in inputs_of(card)
        super().__init__(card, segments, has_quality=has_quality, sees_findings=sees_findings)
        self.runtime = runtime
        self._run = run

    def answer(
        self,
        values: Float32[np.ndarray, "segment channel time"],
        findings: Float32[np.ndarray, "segment channel second finding"] | None = None,
    ) -> Answers:
        """Return what the network says of scaled segments, NaN where a sample is missing.

        Raises:
            FormatError: The network fails, or answers in other shapes than the card promises.
        """
        given = {INPUT: np.ascontiguousarray(values)}
        if self.sees_findings:
            if findings is None:  # as for a network in torch: nobody asked the indices
                findings = np.zeros((*values.shape[:2], self.segments.num_seconds, NUM_FINDINGS), np.float32)
            given[FINDINGS] = np.ascontiguousarray(findings, np.float32)
        try:
            found = dict(zip(self.card["outputs"], self._run(given), strict=True))
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
    shape = ({name: [len(segments.channels)] for name in inputs_of(card)}, card["outputs"])
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


def _open_with_onnxruntime(network: bytes, inputs: Inputs, outputs: list[str], threads: int) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads  # 0: as many as there are cores
    options.log_severity_level = 4  # what goes wrong is raised; nothing else belongs on the terminal
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    taken = {one.name: list(one.shape) for one in session.get_inputs()}
    _check_signature({name: shape[1:2] for name, shape in taken.items()}, inputs, outputs, _names(session))
    return lambda given: list(session.run(outputs, given))


def _names(session: Any) -> list[str]:
    return [one.name for one in session.get_outputs()]


def _open_with_openvino(network: bytes, inputs: Inputs, outputs: list[str], threads: int) -> Run:
    import openvino

    core = openvino.Core()
    # Other CPUs than the one it was measured on may have bfloat16, which is not what was exported.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(network, b""), "CPU", settings)
    taken = {one.any_name: _fixed(one.partial_shape[1]) for one in compiled.inputs}
    _check_signature(taken, inputs, outputs, [one.any_name for one in compiled.outputs])
    ports = [compiled.output(name) for name in outputs]

    def run(given: dict[str, np.ndarray]) -> list[np.ndarray]:
        found = compiled(given)
        return [np.array(found[port]) for port in ports]

    return run


def _fixed(dimension: Any) -> list[int]:
    return [dimension.get_length()] if dimension.is_static else []


def _check_signature(taken: Inputs, inputs: Inputs, outputs: list[str], given: list[str]) -> None:
    """Refuse a network that takes or gives something else than the card promises.

    Raises:
        FormatError: It does.
    """
    if taken != inputs:
        (num_channels,) = inputs[INPUT]
        raise _unusable("exported model", "inputs", taken, f"{' and '.join(inputs)} of {num_channels} channels")
    if given != outputs:
        raise _unusable("exported model", "outputs", given, ", ".join(outputs))


def _first_line(error: Exception) -> str:
    """Return what a runtime says, short enough for a screen."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


def _unusable(where: object, field: str, found: object, expected: str) -> FormatError:
    return FormatError(problem("cannot use exported model", where=where, field=field, found=found, expected=expected))
