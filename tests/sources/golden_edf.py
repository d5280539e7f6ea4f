"""Small EDF, EDF+ and BDF files made byte by byte, so that every field may be wrong."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qualityfm.records import Recording
from qualityfm.sources import open_recording
from qualityfm.sources.units import canonical_unit

#: Text that must never leave the header.
PATIENT = "MCH-0234567 F 02-MAY-1951 Haagse_Harry"
RECORDING = "Startdate 02-MAR-2002 PSG-1234/2002 NN Telemetry03"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One signal: its header fields as text, and its stored values [record, sample] or, for annotations, bytes."""

    label: str = "ECG II"
    unit: str = "mV"
    physical_min: str = "-3.2768"
    physical_max: str = "3.2767"
    digital_min: str = "-32768"
    digital_max: str = "32767"
    per_record: str = ""
    stored: np.ndarray | None = None
    texts: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EdfFile:
    """A whole file; fields are written as they are given."""

    lines: Sequence[Line]
    version: bytes = b"0"
    patient: str = PATIENT
    recording: str = RECORDING
    date: str = "02.03.02"
    time: str = "10.20.30"
    header_bytes: str = ""
    reserved: str = ""
    num_records: str = ""
    record_s: str = "1"
    num_signals: str = ""
    tail: bytes = b""
    width: int = 2

    def content(self) -> bytes:
        """The bytes of the file."""
        blocks = [_blocks(line, self.width) for line in self.lines]
        fixed = [
            self.version.ljust(8),
            *(_text(t, 80) for t in (self.patient, self.recording)),
            *(_text(t, 8) for t in (self.date, self.time, self.header_bytes or str(256 * (len(blocks) + 1)))),
            _text(self.reserved, 44),
            *(_text(t, 8) for t in (self.num_records or str(len(blocks[0])), self.record_s)),
            _text(self.num_signals or str(len(blocks)), 4),
        ]
        names = ("label", "", "unit", "physical_min", "physical_max", "digital_min", "digital_max", "")
        widths = (16, 80, 8, 8, 8, 8, 8, 80)
        table = [
            _text(getattr(line, name) if name else "", width)
            for name, width in zip(names, widths, strict=True)
            for line in self.lines
        ]
        samples = [
            _text(line.per_record or str(len(block[0]) // self.width), 8)
            for line, block in zip(self.lines, blocks, strict=True)
        ]
        records = [b"".join(block[r] for block in blocks) for r in range(len(blocks[0]))]
        return b"".join([*fixed, *table, *samples, bytes(32).replace(b"\0", b" ") * len(blocks), *records, self.tail])

    def write(self, path: Path) -> Path:
        """Write the file and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content())
        return path


def _text(text: str, width: int) -> bytes:
    raw = text.encode("latin-1").ljust(width)
    assert len(raw) == width, text
    return raw


def _blocks(line: Line, width: int) -> list[bytes]:
    """The bytes of each data record."""
    if line.stored is None:
        size = max(map(len, line.texts)) + width
        return [text.ljust(size + -size % width, b"\0") for text in line.texts]
    whole = np.asarray(line.stored, "<i4")
    return [record.reshape(-1, 1).view(np.uint8)[:, :width].tobytes() for record in whole]


def onsets(times_s: Sequence[float], kind: str = "EDF") -> Line:
    """The annotation signal that gives each data record its time, and a note that names a patient."""
    texts = tuple(f"{t:+}\x14\x14\0{t:+}\x15{1}\x14Haagse Harry coughs\x14\0".encode() for t in times_s)
    return Line(label=f"{kind} Annotations", unit="", physical_min="-1", physical_max="1", texts=texts)


def counting(num_records: int = 4, per_record: int = 10, label: str = "ECG II", first: int = 0) -> Line:
    """Samples that count upwards from `first`; one step is 0.1 uV."""
    return Line(label=label, stored=first + np.arange(num_records * per_record).reshape(num_records, per_record))


def small() -> EdfFile:
    """Four seconds of three channels of different rates, units and ranges."""
    pleth = replace(counting(4, 5, "Pleth"), unit="", physical_min="0", physical_max="100", digital_min="0")
    pressure = replace(
        counting(4, 2, "ART", 100), unit="kPa", physical_max="40", physical_min="0", digital_min="0", digital_max="400"
    )
    return EdfFile(lines=[counting(), pleth, pressure])


def small_plus() -> EdfFile:
    """EDF+D: two seconds, a gap of three, two seconds."""
    return EdfFile(lines=[counting(), onsets([0, 1, 5, 6]), counting(4, 5, "Pleth", 100)], reserved="EDF+D")


def small_bdf() -> EdfFile:
    """Three channels in 24 bits."""
    line = replace(counting(first=-20), digital_min="-8388608", digital_max="8388607", unit="uV")
    line = replace(line, physical_min="-262144", physical_max="262143")
    return EdfFile(lines=[line, replace(line, label="Pleth")], version=b"\xffBIOSEMI", reserved="24BIT", width=3)


def small_bdf_plus() -> EdfFile:
    """BDF+D: two seconds, a gap of three, two seconds."""
    return replace(small_bdf(), lines=[*small_bdf().lines, onsets([0, 1, 5, 6], "BDF")], reserved="BDF+D")


def write_edf(recording: Recording, folder: Path) -> Path:
    """Write a recording whose channels are equally long as EDF of one data record; missing samples get -32768."""
    duration_s = recording.signals[0].duration_s
    lines = []
    for signal in recording.signals:
        low, high = float(np.nanmin(signal.samples)) - 0.5, float(np.nanmax(signal.samples)) + 0.5
        low, high = round(low, 3), round(high, 3)
        steps = (signal.samples.astype(np.float64) - low) / (high - low) * 65534 - 32767
        stored = np.where(np.isnan(steps), -32768, np.round(steps)).astype(np.int32)
        lines.append(
            Line(
                label=signal.name,
                unit=signal.unit,
                physical_min=f"{low:g}",
                physical_max=f"{high:g}",
                digital_min="-32767",
                stored=stored.reshape(1, -1),
            )
        )
    file = EdfFile(lines=lines, record_s=f"{duration_s:g}")
    return file.write(folder / f"{recording.recording_id}.edf")


#: Writes a recording in each format.
WRITERS = {"edf": write_edf}

#: Small good files to be damaged.
GOOD = {"small.edf": small, "plus.edf": small_plus, "small.bdf": small_bdf, "plus.bdf": small_bdf_plus}


def silently_wrong(content: bytes, outcome: object) -> str | None:
    """Tell what a damaged EDF file was read as without a word, other than what the library `edfio` reads."""
    import edfio

    if not isinstance(outcome, Recording) or outcome.repairs or outcome.notes:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = edfio.read_edf(content).signals
        except ValueError:
            return None
    for signal, reference in zip(outcome.signals, expected, strict=True):
        if signal.sample_rate_hz != reference.sampling_frequency:
            return f"{signal!r}: rate {reference.sampling_frequency}"
        values = reference.data * canonical_unit(reference.physical_dimension.strip())[1]
        if not np.allclose(signal.samples, values[: len(signal.samples)], rtol=1e-5, atol=1e-6 * np.ptp(values)):
            return f"{signal!r}: other samples"
    return None


def hazard_cases() -> list[dict[str, object]]:
    """Return what is to be damaged: see `benchmarks/hazards.py`."""
    return [
        {
            "name": f"edf {name}",
            "write": lambda folder, name=name: GOOD[name]().write(folder / name),
            "damaged": name,
            "open": lambda folder, name=name: open_recording(folder / name, duration_s=60),
            "is_silently_wrong": silently_wrong if name == "small.edf" else None,
        }
        for name in GOOD
    ]
