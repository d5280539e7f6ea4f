"""Names and dates under which patients enter a data set: those of the archive, or pseudonyms made with a secret key."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qualityfm.errors import ConfigError, problem
from qualityfm.shards.format import RecordingNote

#: Shortest key, bytes: as long as a 128-bit secret (our own bound); the longest keeps a wrong file from being read.
MIN_KEY_BYTES = 16
MAX_KEY_BYTES = 4096

#: Digits of a pseudonym: 64 bits, no two alike among some hundred million.
NUM_DIGITS = 16

#: Units that cannot be a name.
KNOWN_UNITS = ("mV", "mmHg", "NU")

#: A patient's dates move by this many whole days at least and at most, back or forth (our own choice).
MIN_SHIFT_DAYS, MAX_SHIFT_DAYS = 30, 3650


class _Hasher(Protocol):
    def update(self, content: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What becomes of names and dates. Without a key names stay and dates are left out.

    Attributes:
        key: Secret bytes; they travel to the workers and are never written.
    """

    key: bytes | None = field(default=None, repr=False)

    @property
    def fingerprint(self) -> str | None:
        """Tells two keys apart without giving them away; None without a key."""
        return None if self.key is None else self._digest("fingerprint", "").hex()[:NUM_DIGITS]

    def recording_id(self, recording_id: str) -> str:
        """Return a recording's name in the data set."""
        return recording_id if self.key is None else f"r-{self._digest('recording', recording_id).hex()[:NUM_DIGITS]}"

    def subject_id(self, subject_id: str | None) -> str | None:
        """Return a patient's name in the data set; None where the archive does not say."""
        if self.key is None or subject_id is None:
            return subject_id
        return f"s-{self._digest('subject', subject_id).hex()[:NUM_DIGITS]}"

    def start(self, start: dt.datetime | None, subject_id: str | None, recording_id: str) -> dt.datetime | None:
        """Return when a recording began, moved by a number of days that is the patient's own.

        Order, distances and time of day within one patient stay. A recording of an unknown patient moves alone.

        Args:
            start: As the file says.
            subject_id: The patient, by the archive's name.
            recording_id: The recording, by the archive's name.

        Returns:
            The shifted date; None without a key, without a date, or where it leaves the calendar.
        """
        if self.key is None or start is None:
            return None
        who = ("subject", subject_id) if subject_id is not None else ("recording", recording_id)
        number = int.from_bytes(self._digest("days", "\0".join(who))[:8], "big")
        days = MIN_SHIFT_DAYS + number // 2 % (MAX_SHIFT_DAYS - MIN_SHIFT_DAYS + 1)
        try:
            return start.replace(tzinfo=None) + dt.timedelta(days=days if number % 2 else -days)
        except OverflowError:
            return None

    def hasher(self) -> _Hasher:
        """Return a SHA-256 to feed; with a key the keyed one, so that nobody can try names until one fits the sum."""
        return hashlib.sha256() if self.key is None else hmac.new(self.key, digestmod=hashlib.sha256)

    def channel_words(self, words: tuple[str | None, ...]) -> tuple[str | None, ...]:
        """Return names of channels, with a key without the device in front of them, which is free text."""
        return words if self.key is None else tuple(word and word.rsplit("/", 1)[-1] for word in words)

    def units(self, units: tuple[str, ...]) -> tuple[str, ...]:
        """Return units, with a key only those that are none of a file's own words."""
        return units if self.key is None else tuple(unit if unit in KNOWN_UNITS else "" for unit in units)

    def note(self, recording_id: str, reason: str) -> RecordingNote:
        """Return why a recording is not there; with a key, without the parts of the reason that may repeat a name."""
        if self.key is not None:
            what, *rest = reason.split(": ")
            # "what: file: field: found ..., expected ...": file and found may hold names, a field may number a segment.
            reason = f"{what}: {re.sub(r'[0-9]+', '#', rest[1])}" if len(rest) > 2 else what
        return RecordingNote(recording_id=self.recording_id(recording_id), reason=reason)

    def _digest(self, purpose: str, text: str) -> bytes:
        assert self.key is not None  # every caller asked before
        return hmac.new(self.key, f"{purpose}\0{text}".encode("utf-8", "surrogateescape"), hashlib.sha256).digest()


def read_key(path: str | Path) -> Identity:
    """Return the identity made with the secret key in a file; a line end after the key does not count.

    Raises:
        ConfigError: The file cannot be read, or the key is too short or too long.
    """
    path = Path(path)
    expected = f"a file with {MIN_KEY_BYTES} to {MAX_KEY_BYTES} secret bytes"
    advice = "make one with: head -c 32 /dev/urandom | base64 > key.txt"
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file")
        with path.open("rb") as stream:
            key = stream.read(MAX_KEY_BYTES + 3).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(
            problem("no key", where=path, field="file", found=error.strerror, expected=expected, advice=advice)
        ) from error
    if not MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES:
        found = f"{len(key)} bytes"
        raise ConfigError(
            problem("unusable key", where=path, field="length", found=found, expected=expected, advice=advice)
        )
    return Identity(key=key)
