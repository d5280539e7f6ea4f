"""The same map on a Ray cluster: Ray Data hands out the items, starts lost ones again and streams the results back."""

from __future__ import annotations

import logging
import os
import pickle
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from qualityfm.cluster.pool import PINNED_THREADS
from qualityfm.errors import QualityFMError, problem

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_with_ray(
    step: Callable[[Item], Result], items: Sequence[Item], workers: int, address: str | None = None
) -> Generator[tuple[int, Result], None, None]:
    """Yield each item's place and result as they get ready; an error in `step` ends the map and is raised here.

    Items travel as rows of a Ray data set, one block each, so that a worker that dies costs one item, which Ray gives
    to another. Usage statistics and the dashboard are off.

    Args:
        step: A function that can be pickled.
        items: What to work on.
        workers: Items worked on at a time; a cluster started here has as many processors.
        address: A running cluster to join; None starts one on this machine, and ends it afterwards.

    Raises:
        QualityFMError: The cluster cannot be reached, or lost a worker too often.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    import ray

    is_started_here = not ray.is_initialized()
    if is_started_here:
        _start(ray, workers, address)
    try:
        yield from _stream(ray, step, items, workers)
    finally:
        if is_started_here:
            ray.shutdown()


def _start(ray: Any, workers: int, address: str | None) -> None:
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": PINNED_THREADS},
    }
    if address is None:
        settings |= {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(address=address, **settings)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise QualityFMError(
            problem(
                "no cluster",
                where="ray",
                field="address",
                found=address or "this machine",
                expected="a Ray cluster that can be reached",
                advice=" ".join(str(error).split())[:200],
            )
        ) from error


def _stream(
    ray: Any, step: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Generator[tuple[int, Result], None, None]:
    import ray.data as ray_data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    rows = [{"place": place, "item": pickle.dumps(item)} for place, item in enumerate(items)]
    table = ray_data.from_items(rows, override_num_blocks=len(rows))
    answered = table.map(_Answer(step), num_cpus=1, concurrency=workers)
    try:
        for row in answered.iter_rows():
            result = pickle.loads(row["result"])  # written by this program's own workers, a moment ago
            if isinstance(result, Exception):
                raise result
            yield int(row["place"]), result
    except ray.exceptions.RayError as error:
        raise QualityFMError(
            problem(
                "the cluster gave up",
                where="ray",
                field="workers",
                found=type(error).__name__,
                expected="workers that live",
                advice="memory may be short: run the same command again with fewer workers, finished parts are kept",
            )
        ) from error


class _Answer:
    """Applies the step to a row; an error travels back as the answer, in the type it has."""

    def __init__(self, step: Callable[[Any], Any]) -> None:
        self.step = step

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        try:
            result = self.step(pickle.loads(row["item"]))
        except Exception as error:  # raised again where the map was asked for
            result = error
        return {"place": row["place"], "result": pickle.dumps(result)}
