"""A whole data set from its home: many files, a few at a time."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from qualityfm.errors import FormatError, SourceError, problem
from qualityfm.fetch.catalogue import OpenSet
from qualityfm.fetch.download import Fetched, fetch_file
from qualityfm.fetch.manifest import RemoteFile, read_manifest
from qualityfm.fetch.web import Stopped, Web

#: Connections at a time: homes of open data are shared by many.
NUM_WORKERS, MAX_WORKERS = 2, 8
#: After this many failed files the rest is not tried.
MAX_FAILURES = 10


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What came of a fetch.

    Attributes:
        name: The data set.
        out: Folder of the files.
        files: What was asked for.
        fetched: Files that are there now, in the same order.
        failed: Why others are not, by path.
        is_dry_run: Nothing was fetched.
    """

    name: str
    out: Path
    files: tuple[RemoteFile, ...]
    fetched: tuple[Fetched, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    is_dry_run: bool = False

    @property
    def num_bytes(self) -> int | None:
        """Size of all files asked for; None where the home does not tell."""
        sizes = [file.num_bytes for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True, kw_only=True)
class FetchProgress:
    """How far a fetch is: files done and in all, bytes that have arrived in this run."""

    files_done: int
    num_files: int
    num_bytes: int


def fetch(
    open_set: OpenSet,
    out: Path,
    *,
    only: str | None = None,
    mirror: str | None = None,
    workers: int = NUM_WORKERS,
    dry_run: bool = False,
    progress: Callable[[FetchProgress], None] | None = None,
    web: Web | None = None,
) -> FetchReport:
    """Fetch a data set into a folder; a run that was stopped is continued by the same call.

    A file that cannot be fetched is named in the report and the others are fetched all the same, unless more than
    `MAX_FAILURES` fail.

    Args:
        open_set: What to fetch.
        out: Folder for its files, made if it is not there.
        only: Pattern such as `training/*.mat`; only files whose path matches it.
        mirror: URL in place of the home's scheme and host.
        workers: Connections at a time, at most `MAX_WORKERS`.
        dry_run: Ask for the list of files only.
        progress: Called, from this thread, about twice a second and at the end.
        web: How to ask; made from `mirror` where there is none.

    Raises:
        ConfigError: The data set cannot be fetched by plain HTTP, or a setting is wrong.
        SourceError: There is no network, or the list of files is damaged.
        FormatError: The disk is full or refuses.
    """
    web = web or Web(mirror)
    files = tuple(read_manifest(open_set, web, only))
    report = FetchReport(name=open_set.name, out=out, files=files, is_dry_run=dry_run)
    if dry_run:
        return report
    try:
        out.mkdir(parents=True, exist_ok=True)
        _refuse_full_disk(out, files)
    except OSError as error:
        raise FormatError(
            problem(
                "cannot write",
                where=out,
                field="folder",
                found=error.strerror,
                expected="a folder that can be written to",
            )
        ) from error
    fetched, failed = _Run(web, files, out, progress or (lambda done: None)).run(min(max(workers, 1), MAX_WORKERS))
    done = tuple(fetched[file.path] for file in files if file.path in fetched)
    return FetchReport(name=open_set.name, out=out, files=files, fetched=done, failed=failed)


class _Run:
    """The state of one fetch: what the workers share."""

    def __init__(
        self, web: Web, files: tuple[RemoteFile, ...], out: Path, tell: Callable[[FetchProgress], None]
    ) -> None:
        self._web, self._files, self._out, self._tell = web, files, out, tell
        self._lock = threading.Lock()
        self._num_bytes = 0
        self._fetched: dict[str, Fetched] = {}
        self._failed: dict[str, str] = {}

    def run(self, workers: int) -> tuple[dict[str, Fetched], dict[str, str]]:
        """Fetch the files; return those that are there and why others are not, by path."""
        pool = ThreadPoolExecutor(workers, thread_name_prefix="fetch")
        waiting = iter(self._files)
        running: dict[Future[Fetched], RemoteFile] = {}
        try:
            while True:
                while len(running) < 2 * workers and len(self._failed) < MAX_FAILURES:
                    file = next(waiting, None)
                    if file is None:
                        break
                    running[pool.submit(fetch_file, self._web, file, self._out, self._count)] = file
                if not running:
                    break
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    self._note(running.pop(future), future)
                self._tell(self._progress())
        except BaseException:  # interrupted, or the disk is full: workers end at the next piece that arrives
            self._web.stop.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for file in waiting:
            self._failed[file.path] = f"not tried after {MAX_FAILURES} files had failed"
        return self._fetched, self._failed

    def _note(self, file: RemoteFile, future: Future[Fetched]) -> None:
        try:
            self._fetched[file.path] = future.result()
        except SourceError as error:
            self._failed[file.path] = str(error)
        except Stopped:
            self._failed[file.path] = "stopped"

    def _count(self, num_bytes: int) -> None:
        with self._lock:
            self._num_bytes += num_bytes

    def _progress(self) -> FetchProgress:
        done = len(self._fetched) + len(self._failed)
        return FetchProgress(files_done=done, num_files=len(self._files), num_bytes=self._num_bytes)


def _refuse_full_disk(out: Path, files: tuple[RemoteFile, ...]) -> None:
    """Refuse before the first byte what cannot fit, as far as sizes are known."""
    needed = sum(file.num_bytes or 0 for file in files if not (out / file.path).exists())
    free = shutil.disk_usage(out).free
    if needed > free:
        raise FormatError(
            problem("the disk is too small", where=out, field="free bytes", found=free, expected=f"{needed} or more")
        )
