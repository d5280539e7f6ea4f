"""`qualityfm doctor`: what this installation has, and the pip line for what it has not."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from qualityfm.cli.batches import num_processors
from qualityfm.cli.places import DATA_VARIABLE
from qualityfm.cli.terminal import say, say_facts, say_json

EXAMPLES = ("qualityfm doctor", "qualityfm doctor --json")

#: The extra that is the sum of others.
EVERYTHING = "all"

REQUIREMENT = re.compile(r"(?P<package>[A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['\"](?P<extra>[^'\"]+)['\"])?")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `doctor`."""

    json: bool = False
    """Print JSON."""


def run(options: Options) -> int:
    """Show what is there; something missing is a line of advice, not a failure, unless the core itself is broken."""
    parts = optional_parts()
    core = {name: _version(name) for name in _requirements()[""]}
    found: dict[str, Any] = {
        "qualityfm": metadata.version("qualityfm"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": num_processors(),
        "memory_gb": memory_gb(),
        "torch": torch_build(),
        "data": os.environ.get(DATA_VARIABLE),
        "packages": core,
        "optional": parts,
    }
    if options.json:
        say_json(found)
    else:
        _show(found)
    return 1 if None in core.values() else 0


def optional_parts() -> dict[str, dict[str, Any]]:
    """Return for each extra whether it is complete, what is missing, and the pip line that adds it."""
    parts = {}
    for extra, packages in _requirements().items():
        if extra in {"", EVERYTHING}:
            continue
        versions = {name: _version(name) for name in packages}
        missing = [name for name, version in versions.items() if version is None]
        parts[extra] = {
            "present": not missing,
            "packages": versions,
            "missing": missing,
            "install": f"pip install 'qualityfm[{extra}]'" if missing else None,
        }
    return parts


def _requirements() -> dict[str, list[str]]:
    """Return the packages of every extra, those of the core under ""."""
    found: dict[str, list[str]] = {"": []}
    for extra in metadata.metadata("qualityfm").get_all("Provides-Extra") or []:
        found[extra] = []
    for line in metadata.requires("qualityfm") or []:
        match = REQUIREMENT.match(line)
        if match and match["package"] != "qualityfm":
            found.setdefault(match["extra"] or "", []).append(match["package"])
    return found


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def memory_gb() -> float | None:
    """Return the machine's memory in GB; None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def torch_build() -> dict[str, Any] | None:
    """Return torch's version, kind of build and devices; None without torch."""
    if _version("torch") is None:
        return None
    try:
        import torch
    except (ImportError, OSError) as error:
        return {"version": _version("torch"), "build": "broken", "problem": str(error).splitlines()[0], "devices": []}
    devices = ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    build = (
        f"CUDA {torch.version.cuda}"
        if torch.version.cuda
        else f"ROCm {torch.version.hip}"
        if torch.version.hip
        else "CPU"
    )
    return {"version": torch.__version__, "build": build, "devices": devices, "threads": torch.get_num_threads()}


def _show(found: dict[str, Any]) -> None:
    torch = found["torch"]
    facts = {
        "python": f"{found['python']} ({sys.executable})",
        "platform": found["platform"],
        "cores": found["cores"],
        "memory": f"{found['memory_gb']} GB" if found["memory_gb"] else "unknown",
        "torch": f"{torch['version']}, {torch['build']} build, {torch['threads']} threads"
        if torch and "threads" in torch
        else f"{torch['version']} is broken: {torch['problem']}"
        if torch
        else "not installed",
        "devices": ", ".join(torch["devices"]) if torch else "cpu",
        DATA_VARIABLE: found["data"] or "not set",
    }
    say_facts(f"qualityfm {found['qualityfm']}", facts)
    say()
    missing = "MISSING: reinstall with pip install qualityfm"
    say_facts("core", {name: version or missing for name, version in found["packages"].items()})
    say()
    say_facts("optional parts", {extra: _part_line(part) for extra, part in found["optional"].items()})


def _part_line(part: dict[str, Any]) -> str:
    if part["present"]:
        return "present  " + " ".join(f"{name} {version}" for name, version in part["packages"].items())
    return f"missing {', '.join(part['missing'])}: {part['install']}"
