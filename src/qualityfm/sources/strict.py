"""Checks that every source makes before a decoding library sees a file, and the shape of its refusals."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from qualityfm.errors import SourceError, problem

#: Most samples decoded in one call, 2 GB of float32: a header may announce anything. Our own bound.
MAX_SAMPLES = 500_000_000

#: A recording none of whose channels is faster holds numbers of a monitor, not waveforms. Our own bound.
NUMERICS_RATE_HZ = 2.0

#: Longest piece of a file that a message repeats.
MAX_SHOWN = 60

#: What numbers, dates and times are written with. Other text may name a patient and is not repeated in messages.
_HARMLESS = re.compile(r"[0-9 .,:;+\-/eE]*", re.ASCII)


def refusal(path: Path, field: str, found: object, expected: str, advice: str = "", what: str = "") -> SourceError:
    """Return the error for a file that cannot be what it says.

    Args:
        path: The file.
        field: The part of it.
        found: What it says; never free text of a header that may name a patient (see `shown`).
        expected: What it could say.
        advice: Next step.
        what: What failed; "cannot read file" by default.
    """
    if isinstance(found, str) and len(found) > MAX_SHOWN:
        found = f"{found[: MAX_SHOWN - 3]}..."
    return SourceError(
        problem(what or "cannot read file", where=path, field=field, found=found, expected=expected, advice=advice)
    )


def shown(text: str) -> str:
    """Return text of a header as a message may repeat it: numbers and times as they are, other text by its length.

    Example:
        >>> shown("12.5"), shown("Jane Doe")
        ('12.5', '8 characters')
    """
    return text if _HARMLESS.fullmatch(text) else f"{len(text)} characters"


def check_regular_file(path: Path, root: Path | None = None) -> int:
    """Return a file's size in bytes, if it is a regular file that no link leads out of its folder.

    A pipe would block for ever and a device never ends, so nothing is opened before this.

    Args:
        path: The file.
        root: Folder that it must lie in once links are followed; its own folder by default.

    Raises:
        SourceError: It is something else, or cannot be looked at.
    """
    root = path.parent if root is None else root
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root.resolve(strict=True)):
            advice = "copy the file into the folder"
            raise refusal(path, "file", "a link out of the folder", "a file in its own folder", advice)
        status = path.stat()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links
        found = getattr(error, "strerror", None) or type(error).__name__
        raise refusal(path, "file", found, "a readable file") from error
    if not stat.S_ISREG(status.st_mode):
        raise refusal(path, "file", "no regular file", "a regular file")
    return status.st_size


def check_num_samples(path: Path, num_samples: int) -> None:
    """Refuse to decode more samples in one call than fit into memory anywhere.

    Raises:
        SourceError: There are too many.
    """
    if num_samples > MAX_SAMPLES:
        advice = "read it in stretches, with start_s and duration_s"
        raise refusal(path, "number of samples", num_samples, f"at most {MAX_SAMPLES} in one call", advice)
