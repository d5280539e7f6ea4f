"""One map over independent items: in this process, or in a pool of processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TypeVar

from qualityfm.errors import ConfigError, QualityFMError, problem

Item = TypeVar("Item")
Result = TypeVar("Result")

#: One thread for each worker: the pool is the parallelism, and results must not depend on a thread count.
PINNED_THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


def map_in_processes(
    step: Callable[[Item], Result], items: Sequence[Item], workers: int = 1
) -> Generator[tuple[int, Result], None, None]:
    """Yield each item's place and result as they get ready; an error in `step` ends the map and is raised here.

    A caller that may stop early, by an error or Ctrl-C, closes the generator: then the workers are gone.

    Args:
        step: A function that can be pickled; it and its items travel to fresh processes.
        items: What to work on.
        workers: Processes; 1 works in this process, in order.

    Raises:
        ConfigError: `workers` is below 1.
        QualityFMError: A worker was killed, usually for lack of memory.
    """
    if workers < 1:
        raise ConfigError(problem("wrong setting", where="pool", field="workers", found=workers, expected="1 or more"))
    if workers == 1 or len(items) <= 1:
        for place, item in enumerate(items):
            yield place, step(item)
        return
    yield from _map_in_pool(step, items, min(workers, len(items)))


def _map_in_pool(step: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[tuple[int, Result]]:
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    is_done = False
    try:
        with _environment(PINNED_THREADS):  # fresh processes are started by the first submissions
            places: dict[Future[Result], int] = {pool.submit(step, item): place for place, item in enumerate(items)}
        for future in as_completed(places):
            yield places.pop(future), future.result()
        is_done = True
    except BrokenProcessPool as error:
        raise QualityFMError(
            problem(
                "a worker process was killed",
                where="pool",
                field="workers",
                found=workers,
                expected="workers that live",
                advice="memory may be short: run the same command again with fewer workers, finished parts are kept",
            )
        ) from error
    finally:
        if not is_done:
            _terminate(set(multiprocessing.active_children()) - before)
        pool.shutdown(wait=True, cancel_futures=True)


def _terminate(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(timeout=5)
        if process.is_alive():
            process.kill()


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end when the parent is gone (a killed parent cannot end its workers)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    old = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in old.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
