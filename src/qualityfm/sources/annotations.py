"""Annotation files of WFDB records: beats, rhythms, quality marks; read strictly.

Annotations are labels. They are read where a task asks for them and never enter a recording.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int16, UInt8

from qualityfm.sources.wfdb_header import MAX_DURATION_S, MAX_RATE_HZ, read_header
from qualityfm.sources.wfdb_marks import RawMark, read_marks
from qualityfm.sources.wfdb_text import refusal

#: Label of a note. Source: annot(5).
_NOTE = 22
_DEFINITIONS = "## annotation type definitions"
_END_OF_DEFINITIONS = "## end of definitions"
_RESOLUTION = "## time resolution: "
_DEFINITION = re.compile(r"(\d{1,2}) (\S{1,20}) (.+)", re.ASCII)
_EXTENSION = re.compile(r"[A-Za-z]\w{0,19}", re.ASCII)
_POSITIVE_NUMBER = re.compile(r"\d{1,9}(?:\.\d{0,12})?(?:[eE][+-]?\d{1,2})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A symbol that an annotation file defines for itself."""

    code: int
    symbol: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Marks on a recording, in time order.

    Attributes:
        sample_rate_hz: Ticks per second that times are stored in.
        times_s: Seconds from the start of the recording.
        symbols: What each one is: "N" a normal beat, "V" a ventricular one, "+" a change of rhythm, "~" of quality;
            "[15]" for a code without a symbol. Source: annot(5).
        texts: Note of each one, such as "(AFIB"; "" for none.
        subtypes: A small number with a meaning of its own for each symbol; 0 for none.
        channels: Signal that each one belongs to, counted from 0.
        numbers: A second small number.
        labels: Symbols that the file defines for itself.
    """

    sample_rate_hz: float
    times_s: Float64[np.ndarray, " annotation"]
    symbols: tuple[str, ...]
    texts: tuple[str, ...]
    subtypes: Int16[np.ndarray, " annotation"]
    channels: UInt8[np.ndarray, " annotation"]
    numbers: Int16[np.ndarray, " annotation"]
    labels: tuple[Label, ...] = ()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.times_s)

    def __repr__(self) -> str:
        counts = {symbol: self.symbols.count(symbol) for symbol in dict.fromkeys(self.symbols)}
        listed = ", ".join(f"{symbol} {count}" for symbol, count in counts.items())
        return f"Annotations: {len(self)} ({listed})"


def read_annotations(recording_path: str | Path, extension: str) -> Annotations:
    """Read the annotation file of a WFDB record.

    Times are counted in the rate that the annotation file names, else in the frames of the record's header.

    Args:
        recording_path: The record, with or without ".hea".
        extension: Ending of the annotation file, such as "atr".

    Raises:
        SourceError: There is no such file, it breaks the format, or nothing tells its rate.
    """
    path = annotation_path(recording_path, extension)
    definitions, marks = _parted(read_marks(path))
    labels = _labels(path, definitions)
    rate_hz = _resolution_hz(path, definitions) or read_header(path.with_suffix(".hea")).frame_rate_hz
    marks.sort(key=lambda mark: mark.sample)
    for mark in (marks[0], marks[-1]) if marks else ():
        if not 0 <= mark.sample / rate_hz <= MAX_DURATION_S:
            found, expected = f"{mark.sample} samples", f"0 to {MAX_DURATION_S:g} s after the start of the recording"
            raise refusal(path, "time of an annotation", found, expected)
    return _annotations(marks, rate_hz, labels)


def annotation_path(recording_path: str | Path, extension: str) -> Path:
    """Return the annotation file of a record called by its path, with or without ".hea".

    Raises:
        SourceError: The extension is none.
    """
    path = Path(recording_path)
    if _EXTENSION.fullmatch(extension) is None or extension == "hea":
        raise refusal(path, "extension", extension, "a file ending such as atr, without dot")
    if not path.name:
        raise refusal(path, "file", str(path), "the name of a recording")
    return path.with_name(f"{path.name.removesuffix('.hea')}.{extension}")


def _parted(marks: list[RawMark]) -> tuple[list[str], list[RawMark]]:
    """Return the notes that define something for the whole file, and the annotations.

    Definitions are notes at the very start. Label 0 is no annotation but a way to move in time.
    """
    definitions: list[str] = []
    annotations: list[RawMark] = []
    is_list_open = False
    for mark in marks:
        text = mark.text if (mark.sample, mark.label) == (0, _NOTE) else ""
        if is_list_open or text.startswith((_RESOLUTION, _DEFINITIONS, _END_OF_DEFINITIONS)):
            definitions.append(text)
            is_list_open = text == _DEFINITIONS or (is_list_open and text != _END_OF_DEFINITIONS)
        elif mark.label:
            annotations.append(mark)
    return definitions, annotations


def _resolution_hz(path: Path, definitions: list[str]) -> float | None:
    """Return the ticks per second that the file names; None where it names none."""
    texts = [text.removeprefix(_RESOLUTION).strip() for text in definitions if text.startswith(_RESOLUTION)]
    if not texts:
        return None
    number = float(texts[0]) if _POSITIVE_NUMBER.fullmatch(texts[0]) else 0.0
    if len(set(texts)) > 1 or not 0 < number <= MAX_RATE_HZ:
        expected = f"one number above 0 and up to {MAX_RATE_HZ:g} Hz"
        raise refusal(path, "time resolution", f"{len(texts)} values", expected)
    return number


def _labels(path: Path, definitions: list[str]) -> tuple[Label, ...]:
    """Return the symbols that a file defines between its two marks."""
    if _DEFINITIONS not in definitions and _END_OF_DEFINITIONS not in definitions:
        return ()
    begin = definitions.index(_DEFINITIONS) if _DEFINITIONS in definitions else len(definitions)
    end = definitions.index(_END_OF_DEFINITIONS) if _END_OF_DEFINITIONS in definitions else -1
    matches = [_DEFINITION.fullmatch(text) for text in definitions[begin + 1 : max(end, 0)]]
    if end <= begin or not all(matches):
        expected = "code, symbol and description of each, then the end of the list"
        raise refusal(path, "annotation type definitions", f"a list of {len(definitions)} that is not whole", expected)
    labels = tuple(Label(code=int(m[1]), symbol=m[2], description=m[3]) for m in matches if m)
    if len({label.code for label in labels}) < len(labels) or any(not 0 < label.code < 50 for label in labels):
        codes = [label.code for label in labels]
        raise refusal(path, "annotation type definitions", codes, "each code from 1 to 49 once")
    return labels


def _annotations(marks: list[RawMark], rate_hz: float, labels: tuple[Label, ...]) -> Annotations:
    symbols = standard_symbols() | {label.code: label.symbol for label in labels}
    return Annotations(
        sample_rate_hz=rate_hz,
        times_s=np.array([m.sample for m in marks], np.float64) / rate_hz,
        symbols=tuple(symbols.get(m.label, f"[{m.label}]") for m in marks),
        texts=tuple(m.text for m in marks),
        subtypes=np.array([m.subtype for m in marks], np.int16),
        channels=np.array([m.channel for m in marks], np.uint8),
        numbers=np.array([m.number for m in marks], np.int16),
        labels=labels,
    )


def standard_symbols() -> dict[int, str]:
    """Return the symbols of all standard codes. Source: annot(5), as in `wfdb.show_ann_labels()`."""
    from wfdb.io.annotation import ann_labels

    return {label.label_store: label.symbol for label in ann_labels if label.label_store}
