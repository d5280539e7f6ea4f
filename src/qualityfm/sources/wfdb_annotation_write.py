"""Annotations -> a WFDB annotation file, for marks of quality and for tests; through the `wfdb` library."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from qualityfm.errors import SignalError, problem
from qualityfm.files import write_atomically
from qualityfm.sources.annotations import Annotations, Label, annotation_path, standard_symbols
from qualityfm.sources.wfdb_header import MAX_DURATION_S, MAX_RATE_HZ

#: Most bytes of a note. Source: annot(5), its length is one byte.
_MAX_TEXT_BYTES = 255
#: Codes that no standard symbol has. Source: annot(5).
_FREE_CODES = frozenset({15, 17, *range(42, 50)})


def write_annotations(annotations: Annotations, recording_path: str | Path, extension: str) -> Path:
    """Write an annotation file beside a record and return its path; an old one is replaced.

    Times move to the nearest tick; annotations are sorted by time. The file names its own rate.

    Args:
        annotations: At least one.
        recording_path: The record, with or without ".hea"; it need not exist.
        extension: Ending of the new file, letters only, such as "qfm".

    Raises:
        SignalError: There are none, or one holds what the format cannot.
        SourceError: The extension is none.
        FormatError: The disk is full or refuses.
    """
    path = annotation_path(recording_path, extension)
    _check_numbers(annotations, path)
    _check_words(annotations, path)
    with tempfile.TemporaryDirectory() as folder:
        _write_with_wfdb(annotations, folder, extension)
        write_atomically(path, lambda aside: shutil.copyfile(Path(folder) / f"marks.{extension}", aside))
    return path


def _write_with_wfdb(annotations: Annotations, folder: str, extension: str) -> None:
    import wfdb

    order = np.argsort(annotations.times_s, kind="stable")
    wfdb.wrann(
        "marks",
        extension,
        sample=np.round(annotations.times_s * annotations.sample_rate_hz).astype(np.int64)[order],
        symbol=[annotations.symbols[i] for i in order],
        subtype=annotations.subtypes[order].astype(np.int64),
        chan=annotations.channels[order].astype(np.int64),
        num=annotations.numbers[order].astype(np.int64),
        aux_note=[_one_character_a_byte(annotations.texts[i]) for i in order],
        fs=float(annotations.sample_rate_hz),
        custom_labels=[(label.code, label.symbol, label.description) for label in annotations.labels] or None,
        write_dir=folder,
    )


def _one_character_a_byte(text: str) -> str:
    """Return a note whose characters are the bytes of its UTF-8, which is how the library writes them."""
    return text.encode("utf-8", "replace").decode("latin-1")


def _check_numbers(annotations: Annotations, path: Path) -> None:
    if not len(annotations):
        raise _refusal(path, "annotations", 0, "at least one")
    if not 0 < annotations.sample_rate_hz <= MAX_RATE_HZ:
        raise _refusal(path, "sample_rate_hz", annotations.sample_rate_hz, f"0 < x <= {MAX_RATE_HZ:g} Hz")
    low_s, high_s = float(annotations.times_s.min()), float(annotations.times_s.max())
    if not (low_s >= 0 and high_s <= MAX_DURATION_S):
        raise _refusal(path, "times_s", f"{low_s:g} to {high_s:g}", f"numbers from 0 to {MAX_DURATION_S:g} s")
    for field, low, high in (("subtypes", -128, 127), ("channels", 0, 255), ("numbers", 0, 127)):
        values = getattr(annotations, field)
        if values.min() < low or values.max() > high:
            raise _refusal(path, field, f"{values.min()} to {values.max()}", f"{low} to {high}")


def _check_words(annotations: Annotations, path: Path) -> None:
    if not (path.suffix[1:].isascii() and path.suffix[1:].isalpha()):
        raise _refusal(path, "extension", path.suffix[1:], "letters only")
    standard = set(standard_symbols().values())
    for label in annotations.labels:
        if label.symbol in standard or not _is_writable(label):
            expected = f"a code of {min(_FREE_CODES)}, 17, 42-49, a new symbol of one character, a line of text"
            raise _refusal(path, "labels", f"{label.code} {label.symbol}", expected)
    known = standard | {label.symbol for label in annotations.labels}
    for symbol in annotations.symbols:
        if symbol not in known:
            raise _refusal(path, "symbols", symbol, "a symbol of annot(5), or one of `labels`")
    for text in annotations.texts:
        if text.startswith("## ") or not _fits(text):
            expected = f"at most {_MAX_TEXT_BYTES} bytes of printable text that does not begin with ##"
            raise _refusal(path, "texts", f"{len(text)} characters", expected)


def _is_writable(label: Label) -> bool:
    text = f"{label.code} {label.symbol} {label.description}"
    # The library writes symbols of one character only.
    is_symbol = len(label.symbol) == 1 and label.symbol != " "
    return label.code in _FREE_CODES and is_symbol and _fits(text) and text.isascii()


def _fits(text: str) -> bool:
    return text.isprintable() and len(text.encode("utf-8", "replace")) <= _MAX_TEXT_BYTES


def _refusal(path: Path, field: str, found: object, expected: str) -> SignalError:
    return SignalError(problem("cannot write annotations", where=path, field=field, found=found, expected=expected))
