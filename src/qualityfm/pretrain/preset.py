"""Presets: complete TOML files, by name (shipped) or by path (the user's own)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from qualityfm.config import from_mapping, read_toml
from qualityfm.errors import ConfigError, problem
from qualityfm.models.config import ModelConfig
from qualityfm.pretrain.config import PretrainConfig
from qualityfm.segments import SegmentConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that makes a run: how segments are cut, what the network is, how it is trained."""

    name: str
    segments: SegmentConfig
    model: ModelConfig
    pretrain: PretrainConfig


def preset_names() -> list[str]:
    """Return the names of the shipped presets."""
    folder = files("qualityfm.presets")
    return sorted(path.name.removesuffix(".toml") for path in folder.iterdir() if path.name.endswith(".toml"))


def load_preset(name_or_path: str | Path) -> Preset:
    """Return a shipped preset, or the one in a TOML file.

    Raises:
        ConfigError: No such preset, a missing table, or an unknown or wrong setting.

    Example:
        >>> load_preset("paper-base").model.width
        512
    """
    text = str(name_or_path)
    if text in preset_names():
        path = Path(str(files("qualityfm.presets") / f"{text}.toml"))
    elif text.endswith(".toml"):
        path = Path(text)
    else:
        expected = f"one of {', '.join(preset_names())}, or a path ending in .toml"
        raise ConfigError(problem("no such preset", where="presets", field="name", found=text, expected=expected))
    tables = read_toml(path)
    return from_mapping(Preset, {"name": path.stem, **_complete(tables, path)}, where=path)


def _complete(tables: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the tables, all of which a preset must have: presets inherit from nothing."""
    if "name" in tables:
        found = tables["name"]
        raise ConfigError(problem("unknown setting", where=path, field="name", found=found, expected="no such key"))
    return tables
