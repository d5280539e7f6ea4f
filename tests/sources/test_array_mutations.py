"""Damaged array files of every format and version: read, or refused by file and field in one line."""

import os
import random
import re

import golden_arrays
import numpy as np
import pytest

from qualityfm.errors import SignalError, SourceError

CASES = {case["damaged"]: case for case in golden_arrays.hazard_cases()}

#: Of these every byte is under a checksum, but for heads that say how to read them.
CHECKED = ("golden.mat", "golden.npz")


def damaged(content: bytes, chance: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        at = chance.choice([chance.randrange(min(len(data), 600)), chance.randrange(len(data))])
        match chance.randrange(5):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at : at + 8] = chance.choice([bytes(8), b"\xff" * 8, chance.randbytes(8)])
            case 2:
                del data[at : at + chance.choice([1, 4, 8])]
            case 3:
                data[at:at] = chance.randbytes(chance.choice([1, 8]))
            case _:
                del data[max(at, 10) :]
    return bytes(data)


def opened(case, folder):
    """The recording, or the message that it was refused with."""
    try:
        return case["open"](folder)
    except (SourceError, SignalError) as error:
        return str(error)


@pytest.mark.parametrize("name", sorted(CASES))
def test_damaged_files_are_read_or_refused_by_file_and_field(tmp_path, name):
    case, chance = CASES[name], random.Random(name)
    case["write"](tmp_path)
    good, path = opened(case, tmp_path), tmp_path / name
    whole, messages = path.read_bytes(), []
    for number in range(130):
        path.write_bytes(damaged(whole, chance))
        os.utime(path, ns=(number, number))  # changed several times within a tick of the file system's clock
        found = opened(case, tmp_path)
        if isinstance(found, str):
            messages.append(found)
        elif name in CHECKED:
            for signal, expected in zip(found.signals, good.signals, strict=True):
                np.testing.assert_array_equal(signal.samples, expected.samples)
    assert len(messages) > 30
    shape = re.compile(rf".*{re.escape(str(path))}[^:]*: [^:].*: found .*, expected .*")
    assert [message for message in messages if not shape.fullmatch(message)] == []
