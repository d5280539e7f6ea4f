"""One map, several engines: a process pool here, a Ray cluster elsewhere. The caller sees no difference."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Literal, TypeVar, get_args

from qualityfm.cluster.pool import map_in_processes
from qualityfm.errors import ConfigError, problem

Item = TypeVar("Item")
Result = TypeVar("Result")

Engine = Literal["processes", "ray"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def map_unordered(
    step: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    *,
    engine: Engine = "processes",
    address: str | None = None,
) -> Generator[tuple[int, Result], None, None]:
    """Yield each item's place and result as they get ready.

    Args:
        step: A function that can be pickled; it and its items travel to other processes, perhaps to other machines.
        items: What to work on.
        workers: Items worked on at a time.
        engine: "processes" of this machine, or "ray" (needs the extra `ray`).
        address: A running Ray cluster to join.

    Raises:
        ConfigError: No such engine, `workers` is below 1, or an address without Ray.
        QualityFMError: A worker was killed, or the cluster cannot be reached.
    """
    if engine not in ENGINES:
        raise _wrong("engine", engine, f"one of {', '.join(ENGINES)}")
    if workers < 1:
        raise _wrong("workers", workers, "1 or more")
    if engine == "processes":
        if address is not None:
            raise _wrong("address", address, "engine 'ray' beside it")
        return map_in_processes(step, items, workers)
    from qualityfm.cluster.ray_engine import map_with_ray

    return map_with_ray(step, items, workers, address)


def _wrong(field: str, found: object, expected: str) -> ConfigError:
    return ConfigError(problem("wrong setting", where="cluster", field=field, found=found, expected=expected))
