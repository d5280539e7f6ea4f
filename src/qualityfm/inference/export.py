"""A torch model as an ONNX graph of any batch and any number of seconds, compared with torch before it is kept."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import remove_leftovers, sha256_of, write_atomically
from qualityfm.inference.export_folder import CARD, FINDINGS, FORMAT, FORMAT_VERSION, INPUT, OPSET, OUTPUTS
from qualityfm.inference.predictor import Predictor
from qualityfm.models import encoder
from qualityfm.models.attention import dense_band_attention, dense_block_attention
from qualityfm.models.checkpoint import TASK, write_json
from qualityfm.models.network import Network
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.version import __version__

if TYPE_CHECKING:
    from onnx import ModelProto

#: Farthest that a float32 export may lie from torch, in any output. Our own: rounding in another order gives some 1e-5.
MAX_DIFFERENCE = 1e-4

#: Segments and seconds of the batches that the two are compared on: not those that the graph was traced with.
COMPARED = ((1, 30), (3, 7), (2, 61))

#: What the encoder calls, and the twin that computes the same by one masked matrix.
PLAIN_TWINS = {"windowed_attention": dense_band_attention, "shifted_blocks_attention": dense_block_attention}

#: Entries of a checkpoint's card that an exported one says in its own way.
REPLACED = ("format", "format_version", "package_version", "weights", "weights_sha256")


class Answering(nn.Module):
    """What of a network an exported graph holds: encoder and heads, without what pre-training alone needs."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        self.rate_hz = round(network.segments.sample_rate_hz)

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns."""
        heads = {"features": True, "quality": self.network.quality, "causes": self.network.causes}
        return [name for name in OUTPUTS if heads[name] is not None]

    @property
    def inputs(self) -> list[str]:
        """Names of what `forward` takes."""
        return [INPUT, FINDINGS] if self.network.sees_findings else [INPUT]

    def forward(
        self,
        values: Float[Tensor, "batch channel time"],
        findings: Float[Tensor, "batch channel second finding"] | None = None,
    ) -> tuple[Tensor, ...]:
        """Return pooled features, and the logits of the heads that are there, for whole seconds of scaled samples."""
        encoded = self.network.encoder(values)
        num_seconds = values.shape[2] // self.rate_hz
        if findings is not None:
            quality, causes = self.network.judge(encoded, num_seconds, findings)
            return (encoded.pooled, quality) if self.network.causes is None else (encoded.pooled, quality, causes)
        heads = [head for head in (self.network.quality, self.network.causes) if head is not None]
        return (encoded.pooled, *(head(encoded, num_seconds) for head in heads))


def export_model(model: Predictor, folder: str | Path, *, int8: bool = False) -> dict[str, Any]:
    """Write a model as a folder that `load_model(folder, runtime="onnx")` scores with, without torch; return its card.

    Args:
        model: A pre-trained model, on the CPU.
        folder: Made if missing; the network is written before the card that vouches for it by checksum.
        int8: Keep the weights of matrix products as whole numbers of 8 bits: smaller, and not the same numbers.

    Raises:
        ConfigError: The model was fine-tuned for a task, its rate is no whole number, or `folder` holds a checkpoint.
        FormatError: The graph's answers are not torch's, or the disk refuses.
        ModuleNotFoundError: `onnx`, `onnxscript` or `onnxruntime` is not installed.
    """
    path = Path(folder)
    _require_exportable(model, path)
    assert isinstance(model.network, Network)
    answering = Answering(model.network).eval()
    graph = trace_graph(answering)
    path.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    content = graph.SerializeToString()
    difference = largest_difference(answering, content)
    if not max(difference.values()) <= MAX_DIFFERENCE:
        expected = f"at most {MAX_DIFFERENCE:g}"
        raise FormatError(
            problem("not exported", where=model.name, field="difference", found=difference, expected=expected)
        )
    if int8:
        from qualityfm.inference.export_int8 import with_int8_weights

        content = with_int8_weights(graph)
        difference = largest_difference(answering, content)
    return _write(path, model, answering, content, "int8" if int8 else "float32", difference)


def trace_graph(answering: Answering) -> ModelProto:
    """Return the graph of a network, for any number of segments and of whole seconds.

    Attention within a window becomes its plain twin under one mask, whose graph has no block that depends on length.
    """
    rate = answering.rate_hz
    batch, seconds = torch.export.Dim("batch", max=2**20), torch.export.Dim("seconds", min=2, max=2**20)
    num_channels = len(answering.network.segments.channels)
    examples = (torch.zeros(2, num_channels, 12 * rate), torch.zeros(2, num_channels, 12, NUM_FINDINGS))
    shapes = ({0: batch, 2: rate * seconds}, {0: batch, 2: seconds})
    num_inputs = len(answering.inputs)
    with _plain_attention(), _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            answering,
            examples[:num_inputs],
            dynamo=True,
            # The optimiser of the exporter fixes lengths that it has seen once; the runtimes optimise anyway.
            optimize=False,
            opset_version=OPSET,
            dynamic_shapes=shapes[:num_inputs],
            input_names=answering.inputs,
            output_names=answering.outputs,
        )
    assert program is not None
    return _without_paths(program.model_proto)


def largest_difference(answering: Answering, content: bytes) -> dict[str, float]:
    """Return for each output how far ONNX Runtime lies from torch on batches with missing and absurd samples."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    worst = dict.fromkeys(answering.outputs, 0.0)
    rng = np.random.default_rng(0)
    for num_segments, num_seconds in COMPARED:
        num_channels = len(answering.network.segments.channels)
        values = _difficult(rng, num_segments, num_channels, num_seconds, answering.rate_hz)
        findings = rng.random((num_segments, num_channels, num_seconds, NUM_FINDINGS), np.float32)
        given = dict(zip(answering.inputs, (values, findings), strict=False))
        with torch.inference_mode():
            expected = [one.numpy() for one in answering(*map(torch.from_numpy, given.values()))]
        found = session.run(answering.outputs, given)
        for name, one, other in zip(answering.outputs, found, expected, strict=True):
            far = float(np.abs(one - other).max()) if one.shape == other.shape else float("inf")
            worst[name] = max(worst[name], far)
    return worst


def _difficult(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return noise of which a channel is absent and another in part, and with a sample beyond any scale."""
    num_segments, num_channels, num_seconds, rate = shape
    values = rng.standard_normal((num_segments, num_channels, num_seconds * rate)).astype(np.float32)
    values[0, 0] = np.nan
    values[-1, -1, : 3 * rate] = np.nan
    values[-1, 0, -rate // 2 :] = np.inf
    return values


def _require_exportable(model: Predictor, folder: Path) -> None:
    if TASK in model.card or not isinstance(model.network, Network):
        raise ConfigError(
            problem("not exported", where=model.name, field=TASK, found="a task's", expected="a pre-trained model")
        )
    rate = model.segments.sample_rate_hz
    if rate != round(rate):
        expected = "a whole number of samples in a second"
        raise ConfigError(
            problem("not exported", where=model.name, field="sample_rate_hz", found=rate, expected=expected)
        )
    from qualityfm.inference.export_folder import format_of

    if folder.exists() and not folder.is_dir():
        raise ConfigError(problem("not exported", where=folder, field="folder", found="a file", expected="a folder"))
    if (folder / CARD).is_file() and format_of(folder) != FORMAT:
        found = format_of(folder) or "a card that cannot be read"
        expected = "a new folder, or an exported model's, which is replaced"
        raise ConfigError(problem("not exported", where=folder, field=CARD, found=found, expected=expected))


def _write(
    folder: Path, model: Predictor, answering: Answering, content: bytes, precision: str, difference: dict[str, float]
) -> dict[str, Any]:
    import hashlib

    name = f"network-{hashlib.sha256(content).hexdigest()[:12]}.onnx"
    write_atomically(folder / name, lambda path: path.write_bytes(content))
    about = {field: value for field, value in model.card.items() if field not in REPLACED}
    card = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "network": name,
        "network_sha256": sha256_of(folder / name),
        "opset": OPSET,
        "precision": precision,
        "inputs": answering.inputs,
        "outputs": answering.outputs,
        "difference_from_torch": {field: float(f"{value:.3g}") for field, value in difference.items()},
        "made_from_sha256": str(model.card.get("weights_sha256", "")),
        **about,
    }
    write_json(folder / CARD, card)
    for old in folder.glob("network-*.onnx"):
        if old.name != name:
            old.unlink()
    return card


def _without_paths(graph: ModelProto) -> ModelProto:
    """Return the graph without the exporter's notes for debugging: stack traces with this machine's paths."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    del graph.graph.metadata_props[:]
    for part in (*graph.graph.node, *graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for tensor in graph.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    for function in graph.functions:
        del function.metadata_props[:]
        for node in function.node:
            del node.metadata_props[:]
    return graph


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Let the encoder compute windowed attention by the twins of the tests, which are equal to it."""
    kept = {name: getattr(encoder, name) for name in PLAIN_TWINS}
    try:
        vars(encoder).update(PLAIN_TWINS)
        yield
    finally:
        vars(encoder).update(kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its remarks on other libraries off the terminal."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        exporter.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)
