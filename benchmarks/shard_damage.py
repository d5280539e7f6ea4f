"""Damage of every kind that disks, copies and people do to a data set, and whether it is found before use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qualityfm.errors import FormatError
from qualityfm.shards import ShardReader, verify
from qualityfm.shards.format import ARRAYS

#: Longest range of bytes that is overwritten.
MAX_RANGE = 4096


@dataclass(frozen=True)
class Whole:
    """A data set as it was written: its folder, its files' bytes and all that a reader gives."""

    folder: Path
    files: dict[str, bytes]
    content: dict[str, np.ndarray]


def take_whole(folder: Path) -> Whole:
    """Return a data set as it is now."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return Whole(folder, files, read_everything(folder))


def read_everything(folder: Path) -> dict[str, np.ndarray]:
    """Return every row and column that a reader gives."""
    reader = ShardReader(folder)
    return {**reader.rows, **{f"array {k}": v for k, v in vars(reader.read(np.arange(len(reader)))).items()}}


def outcome(whole: Whole) -> str:
    """Return what became of damage: "refused", "harmless" (the data are right, verify reports it) or "missed"."""
    try:
        content = read_everything(whole.folder)
    except FormatError:
        return "refused"
    is_right = content.keys() == whole.content.keys() and all(
        np.array_equal(content[name], expected, equal_nan=expected.dtype.kind in "fM")
        for name, expected in whole.content.items()
    )
    return "harmless" if is_right and verify(whole.folder) else "missed"


def spoil(whole: Whole, rng: np.random.Generator) -> str:
    """Damage a data set in one way and return which; draws again where nothing changed."""
    while True:
        kind = str(rng.choice(list(KINDS)))
        KINDS[kind](whole, rng)
        if _changed(whole):
            return kind


def mend(whole: Whole) -> None:
    """Put every file back."""
    for name in _changed(whole):
        (whole.folder / name).write_bytes(whole.files[name])


def _changed(whole: Whole) -> list[str]:
    paths = {name: whole.folder / name for name in whole.files}
    return [name for name, path in paths.items() if not path.is_file() or path.read_bytes() != whole.files[name]]


def _any_file(whole: Whole, rng: np.random.Generator) -> Path:
    return whole.folder / str(rng.choice(list(whole.files)))


def _flip_bits(whole: Whole, rng: np.random.Generator) -> None:
    path = _any_file(whole, rng)
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), rng.integers(1, 9)):
        content[place] ^= 1 << int(rng.integers(0, 8))
    path.write_bytes(content)


def _overwrite(whole: Whole, rng: np.random.Generator, fill: Callable[[int], bytes]) -> None:
    path = _any_file(whole, rng)
    content = bytearray(path.read_bytes())
    begin = int(rng.integers(0, len(content)))
    length = min(int(rng.integers(1, MAX_RANGE)), len(content) - begin)
    content[begin : begin + length] = fill(length)
    path.write_bytes(content)


def _change_length(whole: Whole, rng: np.random.Generator) -> None:
    path = _any_file(whole, rng)
    content = path.read_bytes()
    num_bytes = int(rng.integers(1, len(content) + 1))
    path.write_bytes(content + b"\0" * num_bytes if rng.random() < 0.3 else content[:-num_bytes])


def _swap_files(whole: Whole, rng: np.random.Generator) -> None:
    first, second = _any_file(whole, rng), _any_file(whole, rng)
    if rng.random() < 0.7:  # the same file of another shard: the likeliest to pass
        twins = sorted(whole.folder.glob(f"shard-*/{first.name}")) or [first]
        second = twins[int(rng.integers(0, len(twins)))]
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def _swap_shards(whole: Whole, rng: np.random.Generator) -> None:
    folders = sorted(whole.folder.glob("shard-*"))
    first, second = (folders[k] for k in rng.choice(len(folders), 2, replace=False))
    aside = whole.folder / "aside"
    shutil.move(first, aside)
    shutil.move(second, first)
    shutil.move(aside, second)


def _remove_file(whole: Whole, rng: np.random.Generator) -> None:
    _any_file(whole, rng).unlink()


def _swap_rows(whole: Whole, rng: np.random.Generator, names: tuple[str, ...]) -> None:
    folders = sorted(whole.folder.glob("shard-*"))
    folder = folders[int(rng.integers(0, len(folders)))]
    num_rows = len(np.load(folder / "step.npy"))
    first, second = rng.integers(0, num_rows, 2)
    for name in names:
        array = np.load(folder / f"{name}.npy", mmap_mode="r+")
        one, other = array[first].copy(), array[second].copy()
        array[first], array[second] = other, one
        array.flush()


def _edit_index(whole: Whole, rng: np.random.Generator) -> None:
    path = whole.folder / "index.json"
    plain = json.loads(path.read_text())
    shards = plain["shards"]
    edits: list[Callable[[], object]] = [
        lambda: plain.update(num_segments=plain["num_segments"] + 1),
        lambda: plain["segments"].update(sample_rate_hz=plain["segments"]["sample_rate_hz"] * 2),
        lambda: plain["segments"].update(clip=plain["segments"]["clip"] + 1),
        lambda: plain.update(hours=plain["hours"] * (1 + 1e-9)),
        lambda: shards.reverse(),
        lambda: shards.pop(),
        lambda: shards[0]["files"][0].update(sha256="0" * 64),
        lambda: plain.update(format_version=1),
        lambda: plain.pop("grades"),
    ]
    edits[int(rng.integers(0, len(edits)))]()
    path.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")


#: Every way to spoil a data set.
KINDS: dict[str, Callable[[Whole, np.random.Generator], None]] = {
    "bit flips": _flip_bits,
    "zeroed range": lambda whole, rng: _overwrite(whole, rng, bytes),
    "foreign range": lambda whole, rng: _overwrite(whole, rng, rng.bytes),
    "another length": _change_length,
    "swapped files": _swap_files,
    "swapped shards": _swap_shards,
    "missing file": _remove_file,
    "swapped rows of one array": lambda whole, rng: _swap_rows(whole, rng, (str(rng.choice(list(ARRAYS))),)),
    "swapped rows of all arrays": lambda whole, rng: _swap_rows(whole, rng, tuple(ARRAYS)),
    "swapped rows, checksums too": lambda whole, rng: _swap_rows(whole, rng, (*ARRAYS, "checks")),
    "edited index": _edit_index,
}
