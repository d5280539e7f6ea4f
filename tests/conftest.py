"""Fixtures every room shares."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings; skips where the machine has none, fails where it promised some."""
    folder = os.environ.get("QUALITYFM_DATA")
    if not folder:
        pytest.skip("QUALITYFM_DATA is not set: no real recordings here")
    path = Path(folder)
    if not (path / "challenge2015" / "records.csv").is_file():
        pytest.fail(f"QUALITYFM_DATA points to {path}, which has no challenge2015/records.csv")
    return path


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An S3 server on a free loopback port, which the environment names, with credentials."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    no_file = str(tmp_path_factory.mktemp("aws") / "none")
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "AKIDNOBODYKNOWS",
        "AWS_SECRET_ACCESS_KEY": "a-secret-nobody-may-see",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": no_file,
        "AWS_SHARED_CREDENTIALS_FILE": no_file,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture
def bucket(s3_server: None) -> str:
    """A new, empty bucket of the server."""
    import fsspec

    name = f"bucket-{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(name)
    return name


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests met real recordings."""
    ran = [r for name in ("passed", "failed") for r in terminalreporter.stats.get(name, ()) if _is_real(r)]
    skipped = [r for r in terminalreporter.stats.get("skipped", ()) if _is_real(r)]
    terminalreporter.write_line(f"tests on real recordings: {len(ran)} ran, {len(skipped)} skipped")


def _is_real(report: pytest.TestReport) -> bool:
    return "real" in getattr(report, "keywords", {})
