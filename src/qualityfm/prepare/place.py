"""The place of a data set while it is being made: whose it is, what is finished there, what a failed run leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from qualityfm.config import first_difference, to_plain
from qualityfm.errors import ConfigError, FormatError, problem
from qualityfm.files import ASIDE_PREFIX, remove_leftovers
from qualityfm.prepare.plan import Plan
from qualityfm.shards.format import (
    INDEX_FILE,
    SHARD_NAME,
    DatasetIndex,
    ShardSummary,
    read_index,
    read_summary,
    shard_entry,
    to_json,
)
from qualityfm.shards.local_store import LocalStore
from qualityfm.shards.shard import compare_sizes
from qualityfm.shards.store import Store

#: Says which plan an unfinished data set follows; gone when the index is there.
PLAN_FILE = "plan.json"


def claim(store: Store, plan: Plan) -> DatasetIndex | None:
    """Make the place ours, or find that it already holds this plan; return its index if it is finished.

    Raises:
        ConfigError: The place is a file, or holds something else; the setting in which it differs is named.
        FormatError: The finished data set there is damaged.
    """
    if isinstance(store, LocalStore) and store.folder.exists() and not store.folder.is_dir():
        expected = "a folder, new, empty or of an interrupted run"
        raise ConfigError(problem("not a folder", where=store.url, field="out", found="a file", expected=expected))
    clear(store)
    present = store.names()
    if INDEX_FILE in present:
        return _finished(store, plan)
    if PLAN_FILE in present:
        _same_plan(store, _read_plan(store), plan)
    elif present:
        found, expected = sorted(present)[0], "an empty or new folder"
        raise ConfigError(problem("folder in use", where=store.url, field="out", found=found, expected=expected))
    else:
        content = {"plan_hash": plan.plan_hash, "settings": plan.settings}
        store.write_bytes(PLAN_FILE, to_json(content).encode())
    return None


def finished_shards(store: Store, plan: Plan) -> Iterator[ShardSummary]:
    """Yield what the shards of an earlier run say; a damaged one is deleted, to be made again."""
    present, sizes = store.names(), store.sizes()
    for name in (group.name for group in plan.groups if group.name in present):
        try:
            summary = read_summary(store, name)
            compare_sizes(store.url, shard_entry(summary), sizes)
        except FormatError:
            store.remove(name)
        else:
            yield summary


def clear(store: Store) -> None:
    """Remove what a killed process was still writing; an object store never shows it."""
    if isinstance(store, LocalStore):
        remove_leftovers(store.folder)


def discard(store: Store) -> None:
    """Remove what an unsuccessful run made, and nothing else."""
    for name in store.names():
        if SHARD_NAME.fullmatch(name) or name == PLAN_FILE or name.startswith(ASIDE_PREFIX):
            store.remove(name)
    if isinstance(store, LocalStore) and not store.names():
        store.folder.rmdir()


def _finished(store: Store, plan: Plan) -> DatasetIndex:
    index = read_index(store)
    settings = {
        "package_version": index.package_version,
        "segments": to_plain(index.segments),
        "selection": index.selection,
    }
    _same_plan(store, {"plan_hash": index.plan_hash, "settings": settings}, plan)
    sizes = store.sizes()
    for shard in index.shards:
        compare_sizes(store.url, shard, sizes)
    store.remove(PLAN_FILE)
    return index


def _read_plan(store: Store) -> dict[str, Any]:
    try:
        plain = json.loads(store.read_bytes(PLAN_FILE))
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _same_plan(store: Store, found: dict[str, Any], plan: Plan) -> None:
    if found.get("plan_hash") == plan.plan_hash:
        return
    known = found.get("settings")
    known = known if isinstance(known, dict) else {}
    asked = {name: value for name, value in plan.settings.items() if name in known}
    field, was, wanted = first_difference(known, asked, "")
    if not field:  # every setting that the place remembers is the same
        field, was, wanted = "recordings", "others, or files of other sizes", "those of the earlier run"
    raise ConfigError(
        problem(
            "folder holds another data set",
            where=store.url,
            field=field,
            found=_in_words(was),
            expected=str(wanted) if field == "recordings" else repr(_in_words(wanted)),
            advice="choose another --out, repeat the earlier settings, or delete this folder",
        )
    )


def _in_words(setting: object) -> object:
    """Return a selection as words: one side has none, and a whole question is no text to read."""
    if setting is None:
        return "the whole archive"
    return "a selection from a table" if isinstance(setting, dict) else setting
