"""From a name to a model, run by torch or without it. Importing this needs no torch."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from qualityfm.errors import ConfigError, problem
from qualityfm.inference.export_folder import BESIDE, CARD, FORMAT, check_origin, format_of
from qualityfm.inference.scoring import Scorer
from qualityfm.tasks.tree_model import FORMAT as TREES

if TYPE_CHECKING:
    from qualityfm.inference.predictor import Predictor

#: "auto" takes what a folder holds; a checkpoint goes to torch where torch is, else to its exported form.
Runtime = Literal["auto", "torch", "onnx", "openvino"]
RUNTIMES = ("auto", "torch", "onnx", "openvino")


@overload
def load_model(name_or_folder: str | Path, device: str = "cpu", runtime: Literal["torch"] = "torch") -> Predictor: ...


@overload
def load_model(
    name_or_folder: str | Path, device: str = "cpu", *, runtime: Literal["auto", "onnx", "openvino"]
) -> Scorer: ...


def load_model(name_or_folder: str | Path, device: str = "cpu", runtime: Runtime = "torch") -> Scorer:
    """Return a model: a shipped one by its name, or the checkpoint or exported model in a folder (a run's will do).

    One that was fine-tuned for a task is a `TaskModel`, which has `predict_task` beside what every model has; so is
    one made of trees, a `TreePredictor`, whatever the runtime: it needs none.

    Args:
        name_or_folder: Such as "qualityfm-tiny", "runs/first", "runs/first/checkpoint", or what `export-model` wrote.
        device: Torch device; the other runtimes have the CPU alone.
        runtime: What computes the network: "torch"; "onnx" or "openvino" for an exported model, without torch; or
            "auto" for what the folder holds.

    Raises:
        ConfigError: Neither a shipped name nor a folder, or no such device or runtime.
        FormatError: The model is damaged, of another version, or not in the form that the runtime takes.
        ModuleNotFoundError: The runtime is not installed.
    """
    if runtime not in RUNTIMES:
        expected = f"one of {', '.join(RUNTIMES)}"
        raise ConfigError(problem("no such runtime", where="models", field="runtime", found=runtime, expected=expected))
    folder = find_checkpoint(name_or_folder)
    if format_of(folder) == TREES:
        from qualityfm.inference.tree_predictor import load_tree_predictor

        return load_tree_predictor(folder)
    chosen = _runtime_for(folder) if runtime == "auto" else runtime
    if chosen in ("onnx", "openvino"):
        return _load_exported(folder, device, chosen)
    from qualityfm.inference.predictor import load_predictor

    return load_predictor(folder, device)


def shipped_models() -> list[str]:
    """Return the names of the models that come with the package."""
    folder = Path(str(files("qualityfm"))) / "weights"
    return sorted(path.name for path in folder.iterdir() if (path / CARD).is_file()) if folder.is_dir() else []


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """Return the folder behind a shipped name, a run's folder, a checkpoint's folder or an exported model's.

    Raises:
        ConfigError: Neither a shipped name nor a folder.
    """
    if str(name_or_folder) in shipped_models():
        return Path(str(files("qualityfm"))) / "weights" / str(name_or_folder)
    folder = Path(name_or_folder)
    if not folder.is_dir():
        names = ", ".join(shipped_models()) or "none in this installation"
        expected = f"a folder, or a shipped model ({names})"
        raise ConfigError(
            problem("no such model", where="models", field="name", found=str(name_or_folder), expected=expected)
        )
    return folder / "checkpoint" if (folder / "checkpoint" / CARD).is_file() else folder


def _runtime_for(folder: Path) -> Literal["torch", "onnx"]:
    if format_of(folder) == FORMAT:
        return "onnx"
    return "onnx" if not _has_torch() and (folder / BESIDE / CARD).is_file() else "torch"


def _has_torch() -> bool:
    try:
        return find_spec("torch") is not None
    except ModuleNotFoundError:  # an environment that refuses to be asked
        return False


def _load_exported(folder: Path, device: str, runtime: Literal["onnx", "openvino"]) -> Scorer:
    from qualityfm.inference.onnx_model import load_onnx

    if device != "cpu":
        expected = "cpu, which is where exported models run"
        raise ConfigError(problem("no such device", where="models", field="device", found=device, expected=expected))
    if format_of(folder) == FORMAT or not (folder / BESIDE).is_dir():
        return load_onnx(folder, runtime)
    check_origin(folder)
    return load_onnx(folder / BESIDE, runtime)
