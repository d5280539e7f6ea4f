"""Small WFDB records and annotation files, written by hand, to be damaged: headers as text, annotations as bytes."""

import re
from pathlib import Path

import numpy as np

from qualityfm.records import Recording
from qualityfm.sources import open_recording
from qualityfm.sources.annotations import read_annotations
from qualityfm.sources.units import canonical_unit

SINGLE = """r1 3 250/500(1) 300 17:27:45 15/08/1994
r1.dat 16x2:1+24 7247(-3)/mV 16 0 -171 0 0 II
r1.dat 16+24 1.052e+04/NU 16 5 9127 0 0 PLETH
r2.dat 212 12.84(-1605)/mmHg 12 0 -943 0 0 ABP
#Asystole
#False alarm
"""
PLAIN = """p1 2 125 200 10:00:00 01/02/2003
p1.dat 16 200(5)/uV 16 0 0 0 0 II
p1.dat 16 40(-7)/mmHg 16 0 0 0 0 ABP
#Asystole
#False alarm
"""
MASTER = """m/4 2 250 700 10:44:18.529 04/05/2704
x_layout 0
x_1 300
~ 100
x_2 300
#Asystole
"""
LAYOUT = "x_layout 2 250 0\n~ 0 86/mV 11 0 -1024 0 0 II\n~ 0 67/mV 11 0 -1024 0 0 V\n#Asystole\n"
SEGMENT = "x_{n} 2 250 300\nx_{n}.dat 80 86/mV 8 0 -24 0 0 II\nx_{n}.dat 80 67/mV 8 0 -9 0 0 V\n#Asystole\n"

#: Words that readers are known to stumble over.
TOKENS = """
    -125 nan inf 1.25e2 62,4725 2E2 200(5)/µV 200(5)/V 0 -0 1e999 99999999999999999999 ~ - .. ../x.dat /etc/passwd
    http://127.0.0.1/x s3://b/x file:///etc/passwd 516 508 524 8 310 61 0x10 ² ١ µV r1 m x_1 x_layout r1.hea 16x0
    16:9999999 16+-1 # 15/08/94 2014-05-08
"""

STORED = np.random.default_rng(3).integers(-1000, 1000, (200, 2))

#: Notes, skips, fields and a definition, as in annot(5).
MARKS = b"".join(
    [
        bytes([0, 22 << 2, 23, 63 << 2]) + b"## time resolution: 250\0",
        bytes([0, 22 << 2, 30, 63 << 2]) + b"## annotation type definitions",
        bytes([0, 22 << 2, 13, 63 << 2]) + b"42 qq a thing\0",
        bytes([0, 22 << 2, 21, 63 << 2]) + b"## end of definitions\0",
        bytes([0, 59 << 2, 255, 255, 255, 255, 1, 0]),
        bytes([18, 28 << 2, 5, 63 << 2]) + b"(AFIB\0",
        bytes([77, 1 << 2, 200, 5 << 2, 3, 61 << 2, 1, 62 << 2, 9, 42 << 2, 2, 60 << 2]),
        bytes([0, 59 << 2, 1, 0, 0, 0, 200, (1 << 2) + 2, 0, 0]),
    ]
)


def lay_out(folder: Path) -> None:
    """Write good files: three records, two of them with segments of their own, and annotations."""
    generator = np.random.default_rng(0)
    for name, num_bytes in [("r1.dat", 24 + 300 * 6), ("r2.dat", 450), ("x_1.dat", 600), ("x_2.dat", 600)]:
        (folder / name).write_bytes(generator.integers(0, 256, num_bytes, np.uint8).tobytes())
    (folder / "p1.dat").write_bytes(STORED.astype("<i2").tobytes())
    (folder / "p1.atr").write_bytes(MARKS)
    headers = {"r1": SINGLE, "p1": PLAIN, "m": MASTER, "x_layout": LAYOUT}
    for name, text in (headers | {f"x_{n}": SEGMENT.format(n=n) for n in (1, 2)}).items():
        (folder / f"{name}.hea").write_text(text)


def silently_wrong(content: bytes, outcome: object) -> str | None:
    """Return what a damaged `PLAIN` was read as without saying so: a slow, obvious second reading of its numbers.

    Where a line still names the same samples, rate, gain, baseline and unit must be those a person reads in it; a field
    that no person reads as a number must not have been read.
    """
    text = content.decode("utf-8", "replace")
    lines = [line.strip() for line in re.split(r"\r\n|\r|\n", text)]
    lines = [line.split() for line in lines if line and not line.startswith("#")]
    if not isinstance(outcome, Recording) or outcome.repairs:
        return None
    rate_hz = _plain_number(lines[0][2].split("/")[0]) if len(lines[0]) > 2 else 250.0
    for i, (signal, words, good) in enumerate(zip(outcome.signals, lines[1:], PLAIN.splitlines()[1:], strict=False)):
        if rate_hz is None or abs(signal.sample_rate_hz - rate_hz) > 1e-9 * rate_hz:
            return f"rate {lines[0][2]} read as {signal.sample_rate_hz}"
        if words[:2] != good.split()[:2] or len(signal.samples) != len(STORED) or len(words) < 3:
            continue
        match = re.fullmatch(r"([^(/]+)(?:\((.*)\))?(?:/(.*))?", words[2])
        gain = _plain_number(match[1]) if match else None
        baseline = _plain_number(match[2] or (words[4] if len(words) > 4 else "0")) if match else None
        if gain is None or baseline is None:
            return f"gain {words[2]} read as a number"
        unit, factor = canonical_unit((match and match[3]) or "mV") if gain else ("NU", 1.0)
        expected = (STORED[:, i] - baseline) / (gain or 200.0) * factor
        if signal.unit != unit or not np.allclose(signal.samples, expected, rtol=1e-5, atol=1e-30):
            return f"{words[2]} read as {signal.unit} from {signal.samples[0]}, not {unit} from {expected[0]}"
    return None


def _plain_number(text: str) -> float | None:
    """Return what a person reads in a field; None for no number."""
    try:
        number = float(text) if "_" not in text and text.isascii() else float("nan")
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def hazard_cases() -> list[dict[str, object]]:
    """Return what is to be damaged: see `benchmarks/hazards.py`."""
    headers = [("r1", "r1"), ("p1", "p1"), ("m", "m"), ("x_layout", "m"), ("x_2", "m")]
    cases: list[dict[str, object]] = [
        {
            "name": f"wfdb {damaged}.hea",
            "write": lay_out,
            "damaged": f"{damaged}.hea",
            "open": lambda folder, opened=opened: open_recording(folder / opened),
            "tokens": TOKENS.split(),
            "is_silently_wrong": silently_wrong if damaged == "p1" else None,
        }
        for damaged, opened in headers
    ]
    marks = {"write": lay_out, "damaged": "p1.atr", "open": lambda folder: read_annotations(folder / "p1", "atr")}
    return [*cases, {"name": "wfdb p1.atr", **marks}]
