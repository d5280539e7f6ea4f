"""What every verb shares: help, exit codes, one line for each refusal."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from qualityfm.cli import main as entry
from qualityfm.cli.main import VERBS, main
from qualityfm.errors import ConfigError, SignalError


def give_verb(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make every verb's work end in an error."""

    def fail(options: object) -> int:
        raise error

    monkeypatch.setattr(entry, "import_module", lambda name: SimpleNamespace(run=fail))
    monkeypatch.setattr(entry, "_options", lambda *words: None)


def test_help_names_every_verb_and_loads_no_heavy_package() -> None:
    code = (
        "import sys; from qualityfm.cli.main import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'torch', 'pandas', 'tyro', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_shows_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    assert f"Example:\n  qualityfm {verb}" in capsys.readouterr().out


def test_no_verb_at_all_shows_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: qualityfm VERB" in capsys.readouterr().out


def test_an_unknown_verb_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scroe", "x"]) == 2
    assert "did you mean 'score'" in capsys.readouterr().err


def test_an_unknown_option_is_refused_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", "somewhere", "--jsno"]) == 2
    assert "--json" in capsys.readouterr().err


def test_a_missing_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "somewhere"]) == 2
    assert "--out" in capsys.readouterr().err


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    import qualityfm

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"qualityfm {qualityfm.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("wrong setting"), 2, "wrong setting"),
        (SignalError("nothing\nto cut"), 1, "nothing to cut"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(28, "No space left on device", "/full/disk"), 1, "No space left on device: /full/disk"),
        (ModuleNotFoundError("no torch", name="torch"), 2, "pip install 'qualityfm[torch]'"),
        (ModuleNotFoundError("no safetensors", name="safetensors.torch"), 2, "pip install 'qualityfm[torch]'"),
    ],
)
def test_a_failure_is_one_line_and_an_exit_code(
    error: BaseException,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    give_verb(monkeypatch, error)
    assert main(["scan", "x"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]


def test_a_missing_package_of_the_core_is_not_explained_away(monkeypatch: pytest.MonkeyPatch) -> None:
    give_verb(monkeypatch, ModuleNotFoundError("no numpy", name="numpy"))
    with pytest.raises(ModuleNotFoundError):
        main(["scan", "x"])


def test_a_reader_that_stops_reading_gets_no_complaint(archive: Path) -> None:
    code = f"from qualityfm.cli.main import main; import sys; sys.exit(main(['scan', {str(archive)!r}, '--json']))"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait() == 141
    child.stderr.close()


def test_reading_scoring_and_preparing_need_no_torch(archive: Path, tmp_path: Path) -> None:
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "safetensors", "tensorboard", "matplotlib"):
            raise ModuleNotFoundError(name, name=name.split(".")[0])
sys.meta_path.insert(0, Refuse())
from qualityfm.cli.main import main
record = {str(archive / "p01")!r}
assert main(["scan", {str(archive)!r}]) == 0
assert main(["score", record, "--out", {str(tmp_path / "q.csv")!r}]) == 0
assert main(["report", record, "--out", {str(tmp_path / "q.html")!r}]) == 0
assert main(["inspect", record]) == 0
assert main(["prepare", {str(archive)!r}, "--out", {str(tmp_path / "dataset")!r}]) == 0
assert main(["embed", record, "--model", {str(archive)!r}, "--out", {str(tmp_path / "v.csv")!r}]) == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'qualityfm[torch]'" in done.stderr


def test_the_caller_keeps_his_own_way_of_being_terminated() -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["--version"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
