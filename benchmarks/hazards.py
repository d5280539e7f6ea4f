"""Thousands of damaged files of every format: each is read properly or refused in one line, at once.

    python benchmarks/hazards.py [--count 20000] [--seed 1] [--only wfdb]

Prints tracebacks (anything that is no QualityFMError), opens of more than a second, refusals that do not name file and
field, labels that leaked, and damaged numbers that were read as something else without a word. All must be 0.

What is damaged comes from the modules `tests/sources/golden_*.py`. One with a function `hazard_cases()`, which returns
dictionaries with the fields of `Case`, is asked; of any other, each `write_<source>(recording, folder)` makes a file
whose bytes are damaged (with `layout_for(recording, source)` where the module has it).
"""

import argparse
import collections
import importlib
import inspect
import random
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.records import ChannelKind, Recording, Signal
from qualityfm.sources import SOURCES, open_recording

GOLDEN = Path(__file__).parents[1] / "tests" / "sources"

#: An open may take so long; one that takes HANG_S is broken off.
SLOW_S, HANG_S = 1.0, 10

#: Words of labels that golden files carry in comments; no outcome may repeat them.
LABELS = ("Asystole", "False alarm", "Jane Doe")

_REFUSAL = re.compile(r"[^:\n]+: (?P<where>.+?): (?P<field>[^\n]+?): found (?P<found>.*), expected [^\n]+")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file to damage again and again, and how a user opens it.

    Attributes:
        name: Format and file, for the table.
        write: Writes all good files into an empty folder.
        damaged: The file to damage, from that folder on.
        open: Opens the recording in that folder as a user would.
        tokens: Words to put in the place of others in a file of text; empty for a file of bytes.
        is_silently_wrong: Says what was read wrongly without a word, given the damaged bytes and what was read.
    """

    name: str
    write: Callable[[Path], object]
    damaged: str
    open: Callable[[Path], object]
    tokens: Sequence[str] = ()
    is_silently_wrong: Callable[[bytes, object], str | None] | None = None


@dataclass(kw_only=True)
class Tally:
    """What became of the damaged files of one case; each list holds what must not be."""

    num_read: int = 0
    num_refused: int = 0
    slowest_s: float = 0.0
    fields: collections.Counter[str] = field(default_factory=collections.Counter)
    tracebacks: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        return [*self.tracebacks, *self.hangs, *self.unnamed, *self.leaks, *self.silent]


def golden_cases(only: str = "") -> list[Case]:
    """Return the cases of all golden modules whose names contain a word."""
    cases = []
    if str(GOLDEN) not in sys.path:
        sys.path.append(str(GOLDEN))
    for path in sorted(GOLDEN.glob("golden_*.py")):
        if only in path.stem:
            module = importlib.import_module(path.stem)
            cases += [Case(**c) for c in module.hazard_cases()] if hasattr(module, "hazard_cases") else _written(module)
    return cases


def _written(module: ModuleType) -> Iterator[Case]:
    """Yield a case for each format that a golden module writes recordings in."""
    recording = small_recording()
    for name, write in vars(module).items():
        source = name.removeprefix("write_")
        is_writer = name.startswith("write_") and source in SOURCES and write.__module__ == module.__name__
        if is_writer and [*inspect.signature(write).parameters] == ["recording", "folder"]:
            layout = module.layout_for(recording, source) if hasattr(module, "layout_for") else None
            with tempfile.TemporaryDirectory() as folder:
                damaged = write(recording, Path(folder)).name
            yield Case(
                name=f"{source} {damaged}",
                write=lambda folder, write=write: write(recording, folder),
                damaged=damaged,
                open=lambda folder, damaged=damaged, layout=layout: open_recording(folder / damaged, layout=layout),
            )


def small_recording() -> Recording:
    """Return four seconds of two channels at two rates, with a gap."""
    time_s = np.arange(1000) / 250
    wave = np.sin(2 * np.pi * 1.2 * time_s).astype(np.float32)
    ppg = wave[::2] * 3 + 10
    ppg[100:150] = np.nan
    signals = (("II", ChannelKind.ECG, "mV", 250.0, wave), ("PLETH", ChannelKind.PPG, "NU", 125.0, ppg))
    return Recording(
        recording_id="golden",
        subject_id=None,
        start=None,
        signals=tuple(
            Signal(name=name, kind=kind, unit=unit, sample_rate_hz=rate_hz, samples=samples)
            for name, kind, unit, rate_hz, samples in signals
        ),
    )


def run(cases: Sequence[Case], count: int, seed: int) -> dict[str, Tally]:
    """Damage each case's file in turn, `count` times in all, and return what became of it."""
    tallies = {}
    for i, case in enumerate(cases):
        chance = random.Random(f"{seed} {case.name}")
        tallies[case.name] = Tally()
        with tempfile.TemporaryDirectory() as name:
            case.write(Path(name))
            case.open(Path(name))  # undamaged, it opens
            for _ in range(count // len(cases) + (i < count % len(cases))):
                _damage_and_open(case, Path(name), chance, tallies[case.name])
    return tallies


def _damage_and_open(case: Case, folder: Path, chance: random.Random, tally: Tally) -> None:
    path = folder / case.damaged
    good = path.read_bytes()
    content = damaged_text(good, case.tokens, chance) if case.tokens else damaged_bytes(good, chance)
    path.write_bytes(content)
    outcome: object = None
    begin_s = time.perf_counter()
    try:
        with _alarm():
            outcome = case.open(folder)
    except QualityFMError as error:
        outcome = error
    except Exception as error:
        tally.tracebacks.append(f"{type(error).__name__}: {error} {content[:200]!r}")
    taken_s = time.perf_counter() - begin_s
    path.write_bytes(good)
    tally.slowest_s = max(tally.slowest_s, taken_s)
    if taken_s > SLOW_S:
        tally.hangs.append(f"{taken_s:.1f} s {content[:200]!r}")
    _judge(case, folder, content, outcome, tally)


def _judge(case: Case, folder: Path, content: bytes, outcome: object, tally: Tally) -> None:
    if isinstance(outcome, QualityFMError):
        tally.num_refused += 1
        message = str(outcome)
        match = _REFUSAL.fullmatch(message)
        if match is None or not match["where"].startswith(str(folder)) or len(message) > 1000:
            tally.unnamed.append(message)
        else:
            tally.fields[re.sub(r"\d+", "#", match["field"])] += 1
    elif outcome is not None:
        tally.num_read += 1
        wrong = case.is_silently_wrong(content, outcome) if case.is_silently_wrong else None
        if wrong:
            tally.silent.append(wrong)
    text = f"{outcome!r} {outcome} {getattr(outcome, 'notes', '')}"
    # A label whose "#" was lost is no comment any more: nothing tells it from a name.
    comments = b" ".join(re.findall(rb"#[^\r\n]*", content)).decode("utf-8", "replace")
    tally.leaks += [f"{label}: {text}" for label in LABELS if label in text and label in comments]


@contextmanager
def _alarm() -> Iterator[None]:
    """Break off what takes too long."""

    def ring(*_: object) -> None:
        raise TimeoutError("broken off")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damaged_bytes(content: bytes, chance: random.Random) -> bytes:
    """Return bytes with 1 to 3 changes: bits flipped, bytes changed, lost, doubled or cut off, runs of 0 or 255."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at, size = _place(len(data), chance), chance.choice([1, 1, 2, 4, 8, 64])
        match chance.randrange(7):
            case 0:
                data[at : at + 1] = bytes(b ^ 1 << chance.randrange(8) for b in data[at : at + 1])
            case 1:
                data[at : at + size] = chance.randbytes(min(size, len(data) - at))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size]
            case 4:
                del data[at:]
            case 5:
                data[at : at + size] = chance.choice([b"\0", b"\xff", b"\x7f"]) * min(size, len(data) - at)
            case _:
                data[at:at] = chance.randbytes(size)
    return bytes(data)


def _place(num_bytes: int, chance: random.Random) -> int:
    """Return a place to damage: as often near start or end, where formats keep their heads, as anywhere."""
    near = chance.randrange(min(num_bytes, 512) + 1)
    return chance.choice([near, num_bytes - near, chance.randrange(num_bytes + 1)])


def damaged_text(content: bytes, tokens: Sequence[str], chance: random.Random) -> bytes:
    """Return text with one to three changes: characters, words and lines changed, lost, doubled, swapped or cut off."""
    text = content.decode("utf-8")
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(10):
            case 0:
                new = chr(chance.choice([*range(128), 181, 0x2028, 0x1F600]))
                text = text[:at] + new + text[at + 1 :]
            case 1:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 2 if chance.random() < 0.2:
                text = text[:at]
            case change:
                text = _changed_lines(text, change, tokens, chance)
    return text.encode("utf-8", "surrogatepass")


def _changed_lines(text: str, change: int, tokens: Sequence[str], chance: random.Random) -> str:
    lines = text.split("\n")
    row = chance.randrange(len(lines))
    words = lines[row].split(" ")
    word, other = chance.randrange(len(words)), chance.randrange(len(words))
    match change:
        case 3:
            del words[word]
        case 4:
            words.insert(word, words[word][:50] * chance.choice([1, 2, 40_000]))  # a line of megabytes, not more
        case 5:
            words[word], words[other] = words[other], words[word]
        case 6:
            return "\n".join([*lines[:row], lines[chance.randrange(len(lines))], *lines[row:]])
        case 7:
            return "\n".join(lines[:row] + lines[row + 1 :])
        case _:
            words[word] = chance.choice(tokens)
    lines[row] = " ".join(words)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a word in the names of the golden modules")
    options = parser.parse_args()
    begin_s = time.perf_counter()
    tallies = run(golden_cases(options.only), options.count, options.seed)
    columns = ("read", "refused", "tracebacks", ">1 s", "unnamed", "leaks", "silent")
    print(f"{'file':28}", *(f"{column:>10}" for column in columns))
    for name, t in tallies.items():
        lists = (t.tracebacks, t.hangs, t.unnamed, t.leaks, t.silent)
        print(f"{name:28}", *(f"{n:>10}" for n in (t.num_read, t.num_refused, *map(len, lists))))
    for fault in [fault for t in tallies.values() for fault in t.faults][:20]:
        print(f"  {fault[:400]}")
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    slowest_s = max(t.slowest_s for t in tallies.values())
    taken_s = time.perf_counter() - begin_s
    print(f"slowest open {slowest_s:.3f} s, memory high-water mark {memory_mb:.0f} MB, {taken_s:.0f} s in all")


if __name__ == "__main__":
    main()
