"""Thousands of damaged headers: each is read properly or refused in one line; nothing hangs, nothing else escapes."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from qualityfm.errors import QualityFMError
from qualityfm.records import Recording
from qualityfm.sources import find_recordings, open_recording

SINGLE = """r1 3 250/500(1) 300 17:27:45 15/08/1994
r1.dat 16x2:1+24 7247(-3)/mV 16 0 -171 0 0 II
r1.dat 16+24 1.052e+04/NU 16 5 9127 0 0 PLETH
r2.dat 212 12.84(-1605)/mmHg 12 0 -943 0 0 ABP
#Asystole
#False alarm
"""
MASTER = """m/4 2 250 700 10:44:18.529 04/05/2704
x_layout 0
x_1 300
~ 100
x_2 300
# <age>: ?? <sex>: ?
"""
LAYOUT = "x_layout 2 250 0\n~ 0 86/mV 11 0 -1024 0 0 II\n~ 0 67/mV 11 0 -1024 0 0 V\n"
SEGMENT = "x_{n} 2 250 300\nx_{n}.dat 80 86/mV 8 0 -24 0 0 II\nx_{n}.dat 80 67/mV 8 0 -9 0 0 V\n"

TOKENS = """
    -125 nan inf 1.25e2 62,4725 2E2 0 -0 1e999 99999999999999999999 ~ - .. ../x.dat /etc/passwd http://127.0.0.1/x
    s3://b/x file:///etc/passwd 516 508 524 8 310 61 0x10 ² ١ µV r1 m x_1 x_layout r1.hea 16x0 16:9999999 16+-1 #
"""


def lay_out(folder: Path) -> None:
    """Write good files under the names the headers use; the mutated header replaces one of them."""
    generator = np.random.default_rng(0)
    for name, num_bytes in [("r1.dat", 24 + 300 * 6), ("r2.dat", 450), ("x_1.dat", 600), ("x_2.dat", 600)]:
        (folder / name).write_bytes(generator.integers(0, 256, num_bytes, np.uint8).tobytes())
    headers = {"r1": SINGLE, "m": MASTER, "x_layout": LAYOUT, "x_1": SEGMENT.format(n=1), "x_2": SEGMENT.format(n=2)}
    for name, text in headers.items():
        (folder / f"{name}.hea").write_text(text)


def mutated(text: str, chance: random.Random) -> bytes:
    """Return a header with one to three changes: characters, tokens and lines, changed, lost, doubled or swapped."""
    for _ in range(chance.randint(1, 3)):
        lines = text.split("\n")
        row = chance.randrange(len(lines))
        words = lines[row].split(" ")
        word = chance.randrange(len(words))
        match chance.randrange(8):
            case 0:
                at = chance.randrange(len(text) + 1)
                text = text[:at] + chr(chance.choice([*range(128), 181, 0x2028, 0x1F600])) + text[at + 1 :]
                continue
            case 1:
                at = chance.randrange(len(text) + 1)
                text = text[:at] + text[at + chance.randint(1, 20) :]
                continue
            case 2:
                words[word] = chance.choice(TOKENS.split())
            case 3:
                del words[word]
            case 4:
                words.insert(word, words[word] * chance.choice([1, 2, 40_000]))
            case 5:
                other = chance.randrange(len(words))
                words[word], words[other] = words[other], words[word]
            case 6:
                lines.insert(row, lines[chance.randrange(len(lines))])
                row += 1
            case _:
                del lines[row]
                row, words = 0, lines[0].split(" ") if lines else [""]
                lines = lines or [""]
        lines[row] = " ".join(words)
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


def opened_or_refused(path: Path) -> Recording | QualityFMError:
    try:
        return open_recording(path)
    except QualityFMError as error:
        return error


def check_refusal(message: str) -> None:
    """Check that a refusal is one line of bounded length that tells what was found."""
    assert "\n" not in message
    assert ": found " in message
    assert len(message) < 1000


def check_recording(recording: Recording) -> None:
    """Check that a recording read through a damaged header is whole, bounded and holds no label."""
    for signal in recording.signals:
        assert signal.samples.dtype == np.float32
        assert 0 < signal.sample_rate_hz <= 1e9
        assert len(signal.samples) <= 1_000_000
        assert not np.isinf(signal.samples).any()
        assert math.isfinite(signal.start_s)
    text = repr(recording) + repr(recording.notes)
    assert "Asystole" not in text
    assert "False alarm" not in text


@pytest.mark.parametrize(
    ("name", "opened", "text"),
    [
        ("r1", "r1", SINGLE),
        ("m", "m", MASTER),
        ("x_layout", "m", LAYOUT),
        ("x_2", "m", SEGMENT.format(n=2)),
    ],
)
def test_a_damaged_header_is_read_properly_or_refused(tmp_path: Path, name: str, opened: str, text: str) -> None:
    lay_out(tmp_path)
    open_recording(tmp_path / opened)  # undamaged, it opens
    chance = random.Random(name)
    for _ in range(1000):
        (tmp_path / f"{name}.hea").write_bytes(mutated(text, chance))
        outcome = opened_or_refused(tmp_path / opened)
        if isinstance(outcome, Recording):
            check_recording(outcome)
        else:
            check_refusal(str(outcome))


def test_a_listing_tells_of_a_damaged_header_what_opening_it_would(tmp_path: Path) -> None:
    lay_out(tmp_path)
    chance = random.Random(7)
    for _ in range(300):
        (tmp_path / "r1.hea").write_bytes(mutated(SINGLE, chance))
        (found,) = [f for f in find_recordings(tmp_path) if f.recording_id == "r1"]
        outcome = opened_or_refused(found.path)
        if found.problem is not None:
            assert str(outcome) == found.problem
        elif isinstance(outcome, Recording):
            assert outcome.duration_s == pytest.approx(found.duration_s)
        else:  # what only the samples can tell
            assert "checksum: found" in str(outcome) or found.aside
