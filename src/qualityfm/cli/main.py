"""`qualityfm VERB ...`: finds the verb, loads its file, turns refusals into one line and an exit code.

Exit codes: 0 done (skipped records are counted and named), 1 the data cannot be used, 2 the command is wrong,
130 interrupted, 143 terminated. This file imports nothing heavy, so that `qualityfm --help` answers at once.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from qualityfm.cli.terminal import clean
from qualityfm.errors import ConfigError, QualityFMError

DATA, USAGE, INTERRUPTED, PIPE_CLOSED, TERMINATED = 1, 2, 130, 141, 143


class _Terminated(BaseException):
    """The system asked the program to end; like Ctrl-C it passes every `except Exception`."""


class Verb(NamedTuple):
    """Where a verb lives, and what it does in one line."""

    module: str
    help: str


#: Every verb. Its module has `Options` (a frozen dataclass), `EXAMPLES` and `run(options) -> exit code`.
VERBS = {
    "demo": Verb("demo", "Run the whole road on a small archive: prepare, pre-train, score, report."),
    "doctor": Verb("doctor", "Show versions, devices, and which optional parts are missing."),
    "scan": Verb("scan", "List the recordings in a folder: hours, channels, gaps, unreadable files."),
    "inspect": Verb("inspect", "Show what a record, data set, checkpoint, run or preset is made of."),
    "fetch": Verb("fetch", "Download an open data set, with resume and checksums."),
    "prepare": Verb("prepare", "Cut an archive of recordings into a data set to train on."),
    "simulate": Verb("simulate", "Write an archive of simulated patients whose artefacts are known."),
    "verify": Verb("verify", "Compare every byte of a data set with its checksums."),
    "overlaps": Verb("overlaps", "Find recordings that show the same stretch of a patient."),
    "split": Verb("split", "Put the patients of a data set on training, validation and test sides."),
    "export": Verb("export", "Write a data set as Parquet tables that others read."),
    "import": Verb("import_", "Make a data set from exported Parquet tables."),
    "pretrain": Verb("pretrain", "Pre-train a model on a data set; resumes an interrupted run."),
    "finetune": Verb("finetune", "Teach a model a clinical task from labels, or cross-validate it."),
    "evaluate": Verb("evaluate", "Measure a fine-tuned model on labelled recordings."),
    "score": Verb("score", "Write the quality of a recording, or of a folder of them, as a table."),
    "stream": Verb("stream", "Show the quality of a running stream, from stdin or a socket."),
    "serve": Verb("serve", "Answer with scores and reports over HTTP, and streams over WebSocket."),
    "report": Verb("report", "Write an HTML report of one recording's quality."),
    "benchmark": Verb("benchmark", "Measure the classical score on public recordings, beside its peers."),
    "export-model": Verb("export_model", "Write a model as an ONNX graph, which scores without torch."),
    "embed": Verb("embed", "Write a model's feature vectors of recordings as a table."),
}

#: Packages that come with an extra, and the extra.
EXTRAS = {
    "torch": "torch",
    "safetensors": "torch",
    "tensorboard": "torch",
    "matplotlib": "torch",
    "edfio": "formats",
    "h5py": "formats",
    "s3fs": "remote",
    "ray": "ray",
    "fastapi": "serve",
    "uvicorn": "serve",
    "httptools": "serve",
    "pylsl": "lsl",
    "prometheus_client": "serve",
    "onnxruntime": "onnx",
    "onnx": "export",
    "onnxscript": "export",
    "openvino": "openvino",
    "huggingface_hub": "hub",
    "sklearn": "tasks",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with _terminable():
            code = _dispatch(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # the parser has said what is wrong, or shown help
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else USAGE
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except _Terminated:
        return _complain("terminated", TERMINATED)
    except ConfigError as error:
        return _complain(str(error), USAGE)
    except QualityFMError as error:
        return _complain(str(error), DATA)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in EXTRAS:
            raise
        return _complain(f"this needs {package}: pip install 'qualityfm[{EXTRAS[package]}]'", USAGE)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _complain(f"{error.strerror or error}{where}", DATA)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does; whoever called `main` has his own handler back afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, frame: object) -> None:
    raise _Terminated


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_overview())
        return 0 if words else USAGE
    if words[0] in {"--version", "-V"}:
        from qualityfm import __version__

        sys.stdout.write(f"qualityfm {__version__}\n")
        return 0
    name, rest = words[0], words[1:]
    if name not in VERBS:
        nearest = difflib.get_close_matches(name, VERBS, n=1, cutoff=0.0)[0]
        what = "option" if name.startswith("-") else "verb"
        raise ConfigError(f"no such {what}: {name!r}; did you mean {nearest!r}? `qualityfm --help` lists the verbs")
    module = import_module(f"qualityfm.cli.{VERBS[name].module}")
    return int(module.run(_options(name, module, rest)))


def _options(name: str, module: Any, words: list[str]) -> Any:
    """Return the verb's options; leaves with code 2 and an explanation if they are wrong."""
    import tyro

    description = f"{VERBS[name].help}\n\nExample:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES)
    return tyro.cli(
        module.Options,
        prog=f"qualityfm {name}",
        description=description,
        args=words,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    return (
        "usage: qualityfm VERB [options]\n\n"
        "Signal quality of ICU and operating-room ECG, PPG and arterial pressure.\n\n"
        f"verbs:\n{verbs}\n\n"
        "  qualityfm VERB --help   options and an example of one verb\n"
        "  qualityfm --version     the version\n\n"
        "Example:\n  qualityfm demo\n"
    )


def _complain(message: str, code: int) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"qualityfm: {clean(' '.join(message.split()))}\n")
    return code
