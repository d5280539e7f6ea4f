"""Bytes of a WFDB annotation file: a strict walk over every word before the `wfdb` library decodes them.

The library's own reader loops for ever on some notes, takes a name for a network address, and puts a doubled field on
the wrong annotation. It is given bytes here that were found to be whole.

Source: annot(5), WFDB Applications Guide, https://physionet.org/physiotools/wag/annot-5.htm
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from qualityfm.sources.strict import check_regular_file
from qualityfm.sources.wfdb_text import refusal

#: Largest file read, some two million annotations: a month of heart beats. Our own bound.
MAX_ANNOTATION_BYTES = 4_000_000

#: Codes above the labels. Source: annot(5).
_LARGEST_LABEL = 49
_SKIP, _NUM, _SUB, _CHAN, _AUX = 59, 60, 61, 62, 63
_SKIP_WORDS = 3


class RawMark(NamedTuple):
    """One annotation as it is stored."""

    sample: int
    label: int
    subtype: int
    channel: int
    number: int
    text: str


def read_marks(path: Path) -> list[RawMark]:
    """Return the annotations of a file in file order, definitions among them.

    Raises:
        SourceError: The file cannot be read, is too large, is cut short, or its words make no annotations.
    """
    words = _words(path)
    num_words = _check_words(path, words)
    from wfdb.io.annotation import proc_ann_bytes

    # The library leaves the last word out, which is the end mark.
    samples, labels, subtypes, channels, numbers, texts = proc_ann_bytes(words[: num_words + 1], None)
    columns = zip(samples, labels, subtypes, channels, numbers, texts, strict=True)
    return [RawMark(int(s), int(n), int(sub), int(c), int(num), _text(t)) for s, n, sub, c, num, t in columns]


def _words(path: Path) -> UInt8[np.ndarray, "word 2"]:
    size = check_regular_file(path)
    if size > MAX_ANNOTATION_BYTES:
        raise refusal(path, "size", f"{size} bytes", f"at most {MAX_ANNOTATION_BYTES} bytes")
    try:
        content = path.read_bytes()[:MAX_ANNOTATION_BYTES]
    except OSError as error:
        raise refusal(path, "file", error.strerror or type(error).__name__, "a readable annotation file") from error
    if len(content) < 2 or len(content) % 2:
        raise refusal(path, "size", f"{len(content)} bytes", "whole words of 2 bytes, the last of them the end mark")
    return np.frombuffer(content, np.uint8).reshape(-1, 2)


def _check_words(path: Path, words: UInt8[np.ndarray, "word 2"]) -> int:
    """Return the number of words before the end mark, after a walk over all of them."""
    lows, codes = words[:, 0].tolist(), (words[:, 1] >> 2).tolist()
    is_end = (words.max(axis=1) == 0).tolist()
    seen: set[int] | None = None  # fields of the current annotation; None where a label must come next
    at = 0
    while at < len(codes) and not (is_end[at] and (seen is not None or at == 0)):
        code = codes[at]
        if code == _SKIP:
            seen = None
            at += _SKIP_WORDS
            continue
        if code <= _LARGEST_LABEL:
            seen = set()
        elif code < _SKIP or seen is None or code in seen:
            raise refusal(path, f"word {at}", f"code {code}", "an annotation, or each of its fields once after it")
        else:
            seen.add(code)
        at += 1 + (-(-lows[at] // 2) if code == _AUX else 0)
    if at >= len(codes):
        raise refusal(path, "end mark", "nothing", "two bytes of 0 at the end", "the file was cut: copy it again")
    if words[at:].any():
        raise refusal(path, "end mark", f"at word {at} of {len(words)}", "nothing behind it")
    return at


def _text(stored: str) -> str:
    """Return a note as text: UTF-8 where it is, else Latin-1; the bytes of 0 that fill it up taken off."""
    content = stored.encode("latin-1").rstrip(b"\0")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")
