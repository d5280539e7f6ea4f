"""Presets: complete TOML files, by name (shipped) or by path (the user's own)."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from qualityfm.config import from_mapping, read_toml
from qualityfm.errors import ConfigError, problem
from qualityfm.models.config import ModelConfig
from qualityfm.pretrain.config import SPECTRAL_WINDOW_S, PretrainConfig
from qualityfm.segments import SegmentConfig


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Everything that makes a run: how segments are cut, what the network is, how it is trained."""

    name: str
    segments: SegmentConfig
    model: ModelConfig
    pretrain: PretrainConfig

    def __post_init__(self) -> None:
        is_paper = self.pretrain.objective == "paper"
        decoder = "paper" if is_paper else "waveform"
        self._require("decoder", self.model.decoder == decoder, f"{decoder!r}, which the objective compares")
        has_use = self.model.quality_head or self.pretrain.quality_weight == 0
        self._require("quality_head", has_use, "true, since pretrain.quality_weight is above 0")
        if is_paper and self.pretrain.beat_weight:
            found, expected = (
                self.pretrain.beat_weight,
                "0 with objective = 'paper', whose tokens are longer than a beat",
            )
            raise ConfigError(
                problem("wrong setting", where="pretrain", field="beat_weight", found=found, expected=expected)
            )
        num_bins = self.segments.num_samples // 2 + 1
        self._require("width", not is_paper or self.model.width <= num_bins, f"at most {num_bins}, the bins of the FFT")
        if not is_paper and self.segments.segment_s < SPECTRAL_WINDOW_S:
            found, expected = self.segments.segment_s, f"at least {SPECTRAL_WINDOW_S:g}, a window of the spectral loss"
            raise ConfigError(
                problem("wrong setting", where="segments", field="segment_s", found=found, expected=expected)
            )

    def _require(self, field: str, holds: bool, expected: str) -> None:
        if not holds:
            found = getattr(self.model, field)
            raise ConfigError(problem("wrong setting", where="model", field=field, found=found, expected=expected))


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
    if "name" in tables:
        found = tables["name"]
        raise ConfigError(problem("unknown setting", where=path, field="name", found=found, expected="no such key"))
    # Complete, because presets inherit from nothing: not from each other, and not from today's defaults.
    return from_mapping(Preset, {"name": path.stem, **tables}, where=path, is_complete=True)
