"""Every error QualityFM raises on purpose: one root, one child for each place where things go wrong."""


class QualityFMError(Exception):
    """Root of all errors that a user can meet; the message says what failed, where, what was found and what to do."""


class SourceError(QualityFMError):
    """A file cannot be read, or what it says about itself cannot be true."""


class SignalError(QualityFMError):
    """Samples were read but cannot be used as asked."""


class ConfigError(QualityFMError):
    """A setting, preset or command line option is wrong."""


class FormatError(QualityFMError):
    """A shard set or checkpoint is damaged, foreign, of another format version, or cannot be written."""


class TaskError(QualityFMError):
    """A clinical task was asked for with labels or channels it cannot work with."""


def problem(what: str, *, where: object, field: str, found: object, expected: str, advice: str = "") -> str:
    """Return the one-line message shape that every refusal shares: what, where, field, found, expected, next step."""
    tail = f"; {advice}" if advice else ""
    return f"{what}: {where}: {field}: found {found!r}, expected {expected}{tail}"
