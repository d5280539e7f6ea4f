"""`qualityfm inspect`: what is in a record, data set, checkpoint, run or preset, on one screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from qualityfm.cli.terminal import say_facts, say_json, say_table
from qualityfm.errors import ConfigError, problem

EXAMPLES = (
    "qualityfm inspect paper-base --json",
    "qualityfm inspect recordings/a103l",
    "qualityfm inspect dataset",
    "qualityfm inspect runs/first",
)

CARD, INDEX, STATE = "model.json", "index.json", "state.json"

#: Refusals and such that a screen holds; --json gives all.
MAX_LINES = 8


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of `inspect`."""

    anything: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ANYTHING")]
    """A record, a data set, a checkpoint or run folder, a preset's name or TOML file."""
    layout: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_TOML")] = None
    """What files do not say themselves (columns, rate, patient): a layout that ships, or a TOML file's path."""
    json: bool = False
    """Print JSON."""


def run(options: Options) -> int:
    """Find out what a name stands for and show it."""
    found = describe(options.anything, options.layout)
    if options.json:
        say_json(found)
    else:
        _show(options.anything, found)
    return 0


def describe(name: str, layout: str | None = None) -> dict[str, Any]:
    """Return what a name stands for, as plain values; `kind` says what it is.

    Args:
        name: A record, data set, checkpoint, run or preset.
        layout: For a record of a format that does not describe itself.

    Raises:
        ConfigError: It is none of the things that can be inspected.
    """
    from qualityfm.inference.loading import find_checkpoint, shipped_models
    from qualityfm.prepare.place import PLAN_FILE
    from qualityfm.pretrain.preset import preset_names

    path = Path(name)
    if name in shipped_models() and name not in preset_names() and not path.exists():
        path = find_checkpoint(name)
    if name in preset_names() or name.endswith(".toml"):
        return _preset(name)
    if "://" in name or (path / INDEX).is_file():
        return _dataset(name)
    if (path / CARD).is_file() or (path / "checkpoint" / CARD).is_file():
        return _checkpoint(path)
    if (path / STATE).is_file():
        expected = "a run that has saved a checkpoint"
        raise ConfigError(problem("nothing to show yet", where=path, field=CARD, found="nothing", expected=expected))
    if (path / PLAN_FILE).is_file():
        found = f"{_counted_shards(path)} of an interrupted prepare"
        expected = f"a finished data set ({INDEX})"
        advice = "the same `qualityfm prepare` command goes on where it stopped"
        raise ConfigError(problem("unfinished", where=path, field=INDEX, found=found, expected=expected, advice=advice))
    if path.is_dir():
        expected = f"a data set ({INDEX}), a checkpoint ({CARD}) or a run"
        advice = f"`qualityfm scan {name}` lists recordings"
        raise ConfigError(
            problem("a plain folder", where=path, field="files", found="neither", expected=expected, advice=advice)
        )
    return _record(path, layout)


def _counted_shards(path: Path) -> str:
    from qualityfm.shards.format import SHARD_NAME

    number = sum(bool(SHARD_NAME.fullmatch(one.name)) for one in path.iterdir())
    return f"{number} shard{'' if number == 1 else 's'}"


def _preset(name: str) -> dict[str, Any]:
    from qualityfm.config import to_plain
    from qualityfm.models.network import count_parameters
    from qualityfm.pretrain.preset import load_preset

    preset = load_preset(name)
    shipped = _shipped_card(name)
    return {
        "kind": "preset",
        "name": preset.name,
        **_size(count_parameters(preset.segments, preset.model)),
        "segments": to_plain(preset.segments),
        "model": to_plain(preset.model),
        "pretrain": to_plain(preset.pretrain),
        "shipped_model": shipped,
    }


def _shipped_card(name: str) -> dict[str, Any] | None:
    """Return the card of the trained model that is shipped under a preset's name; None if there is none."""
    from qualityfm.inference.loading import find_checkpoint, shipped_models
    from qualityfm.models.checkpoint import read_card

    return read_card(find_checkpoint(name)) if name in shipped_models() else None


def _size(num_parameters: int) -> dict[str, Any]:
    return {"num_parameters": num_parameters, "num_parameters_millions": round(num_parameters / 1e6, 2)}


def _checkpoint(path: Path) -> dict[str, Any]:
    from qualityfm.inference.export_folder import FORMAT as EXPORTED
    from qualityfm.inference.export_folder import format_of, read_export_card
    from qualityfm.models.checkpoint import read_card
    from qualityfm.tasks.tree_model import FORMAT as TREES
    from qualityfm.tasks.tree_model import load_tree_model

    is_run = (path / "checkpoint" / CARD).is_file()
    folder = path / "checkpoint" if is_run else path
    kind = "run" if is_run else "checkpoint"
    made_of = format_of(folder)
    if made_of == TREES:
        return {"kind": "tree model", "folder": str(folder), **load_tree_model(folder).card}
    if made_of == EXPORTED:
        card = read_export_card(folder)
        return {"kind": "exported model", "folder": str(folder), **card, **_size(card["num_parameters"])}
    card = read_card(folder)
    return {"kind": kind, "folder": str(folder), **card, **_size(int(card["num_parameters"]))}


def _dataset(path: str) -> dict[str, Any]:
    from qualityfm.config import to_plain
    from qualityfm.shards.reader import ShardReader

    reader = ShardReader(path)  # compares every file's size with the index
    plain = to_plain(reader.index)
    num_bytes = sum(file["num_bytes"] for shard in plain["shards"] for file in shard["files"])
    subjects = {subject for subject in reader.rows["subject_id"] if subject}
    shards = [{"name": shard["name"], "num_rows": shard["num_rows"]} for shard in plain["shards"]]
    return {"kind": "data set", "folder": path, **plain, "shards": shards} | {
        "num_subjects": len(subjects),
        "num_bytes": num_bytes,
    }


def _record(path: Path, layout: str | None) -> dict[str, Any]:
    import numpy as np

    from qualityfm.sources import open_recording

    recording = open_recording(path, layout=layout)
    channels = []
    for signal in recording.signals:
        finite = signal.samples[np.isfinite(signal.samples)]
        low, middle, high = np.percentile(finite, (0, 50, 100)) if len(finite) else (np.nan,) * 3
        channels.append(
            {
                "name": signal.name,
                "kind": str(signal.kind),
                "unit": signal.unit,
                "sample_rate_hz": signal.sample_rate_hz,
                "start_s": signal.start_s,
                "duration_s": signal.duration_s,
                "missing_share": round(1 - len(finite) / max(1, len(signal.samples)), 4),
                "lowest": float(low),
                "median": float(middle),
                "highest": float(high),
            }
        )
    return {
        "kind": "record",
        "recording": recording.recording_id,
        "subject": recording.subject_id,
        "start": recording.start.isoformat() if recording.start else None,
        "duration_s": recording.duration_s,
        "channels": channels,
        "repairs": list(recording.repairs),
        "notes": list(recording.notes),
    }


def _show(name: str, found: dict[str, Any]) -> None:
    kind = found["kind"]
    if kind == "record":
        _show_record(found)
    elif kind == "data set":
        _show_dataset(name, found)
    elif kind == "tree model":
        _show_trees(name, found)
    else:
        _show_model(name, found)


def _show_record(found: dict[str, Any]) -> None:
    facts = {
        "length": f"{found['duration_s']:.1f} s",
        "start": found["start"] or "not said",
        "patient": found["subject"] or "not said",
    }
    say_facts(f"record {found['recording']}", facts)
    rows = [
        (
            c["name"],
            c["kind"],
            c["unit"],
            f"{c['sample_rate_hz']:g}",
            f"{c['duration_s']:.1f}",
            f"{100 * c['missing_share']:.1f} %",
            *(f"{c[k]:.3g}" for k in ("lowest", "median", "highest")),
        )
        for c in found["channels"]
    ]
    say_table(("channel", "kind", "unit", "Hz", "seconds", "missing", "lowest", "median", "highest"), rows)
    _say_lines("notes", found["notes"])


def _show_dataset(name: str, found: dict[str, Any]) -> None:
    selection = found["selection"]
    grades = "  ".join(f"{letter} {count:,}" for letter, count in sorted(found["grades"].items()))
    patients = f"{found['num_subjects'] or 'unnamed'} patient{'' if found['num_subjects'] == 1 else 's'}"
    facts = {
        "segments": f"{found['num_segments']:,} in {len(found['shards'])} shards, {found['num_bytes'] / 1e6:,.1f} MB",
        "recordings": f"{found['num_recordings']:,} of {patients}, {found['hours']:.2f} h",
        "form": _form(found["segments"]),
        "grades": grades,
        "dropped": "; ".join(f"{count:,} {why}" for why, count in found["dropped"].items()) or "0",
        "refused": len(found["refused"]),
        "left out": len(found["left_out"]),
        "selection": _selection_words(selection) if selection else "the whole archive",
        "made by": f"qualityfm {found['package_version']}, format {found['format_version']}",
        "content": found["content_hash"],
    }
    say_facts(f"data set {name}", facts)
    _say_lines("refused", [f"{one['recording_id']}: {one['reason']}" for one in found["refused"]])
    reasons = Counter(one["reason"] for one in found["left_out"])
    _say_lines("left out", [f"{count} {reason}" for reason, count in reasons.most_common()])


def _selection_words(selection: dict[str, Any]) -> str:
    if "table" not in selection:
        return "a table and a condition that are not told (made with a key)"
    words = [f"{selection['table']} where {selection['where']}" if selection["where"] else str(selection["table"])]
    if selection.get("away_from"):
        words.append(f"away from {selection['away_from']} by {selection['within']}")
    return ", ".join(words)


def _form(segments: dict[str, Any]) -> str:
    slots = " ".join(segments["channels"])
    timing = f"{segments['segment_s']:g} s every {segments['step_s']:g} s at {segments['sample_rate_hz']:g} Hz"
    return f"{timing}: {slots}; {segments['scaling']} scaling"


def _show_model(name: str, found: dict[str, Any]) -> None:
    model = found["model"]
    facts: dict[str, Any] = {
        "parameters": f"{found['num_parameters']:,} ({found['num_parameters_millions']:.2f} M)",
        "segments": _form(found["segments"]),
        "network": "  ".join(f"{key} {value}" for key, value in list(model.items())[:6]),
        "attention": f"{model['attention_radius']} tokens to either side, {model['num_global']} global",
        "decoder": f"{model['decoder']}; quality head: {'yes' if model['quality_head'] else 'no'}",
    }
    if "pretrain" in found:
        recipe = found["pretrain"]
        how_long = f"batch {recipe['batch_size']}, {recipe['epochs']:g} epochs"
        facts["recipe"] = f"{recipe['objective']}, {how_long}, graded by {recipe['grade_by']}"
    card = found["shipped_model"] if found["kind"] == "preset" else found
    if card is None:
        facts["trained model"] = "none shipped: pre-train it"
    else:
        facts |= _training_facts(card)
    say_facts(f"{found['kind']} {found.get('name', name)}", facts)


def _show_trees(name: str, found: dict[str, Any]) -> None:
    question, operating, learnt = found["task"]["question"], found["task"]["operating"], found["examples"]
    facts: dict[str, Any] = {
        "made of": found.get("made_of", "trees"),
        "answers": f"{question['task']}: {', '.join(question['outputs'])}, windows of {question['window_s']:g} s",
        "looks at": f"{len(found['features'])} features of up to {found['lookback_s']:g} s",
        "learnt from": f"{learnt['num_examples']:,} examples of {learnt['num_groups']:,} patients or records",
    }
    if operating is not None:
        facts["yes from"] = f"{operating['threshold']:.3g}, chosen for rule {operating['rule']}"
        facts["no below"] = (
            f"{operating['careful_threshold']:.3g}, which holds {operating['sensitivity']:.0%} of true ones"
        )
    facts |= {key: str(found[key]) for key in ("command", "status", "licence", "attribution") if key in found}
    say_facts(f"{found['kind']} {found.get('name', name)}", facts)


def _training_facts(card: dict[str, Any]) -> dict[str, str]:
    """Return what a checkpoint's card says about its training, in words."""
    facts = {"made by": f"qualityfm {card['package_version']}, format {card['format_version']}"}
    facts |= {key: str(card[key]) for key in ("status", "licence", "attribution") if key in card}
    data = card.get("data")
    if data:
        facts["trained on"] = (
            f"{data['num_segments']:,} segments of {data['num_recordings']:,} recordings, {data['hours']} h"
        )
        chosen = [one["selection"] for one in data.get("sets", [data])]
        facts["selection"] = "; ".join(_selection_words(one) if one else "the whole archive" for one in chosen)
        facts["data set"] = data["content_hash"]
    if "noise" in card:
        facts["noise"] = card["noise"]
    metrics = card.get("metrics")
    if metrics:
        facts["steps"] = f"{metrics['steps']:,} of {metrics['num_steps']:,}"
        natural, made = metrics["num_natural_pairs"], metrics["num_made_pairs"]
        facts["pairs"] = f"{natural:,} natural, {made:,} made by adding noise"
        start, end = metrics["heldout_start"], metrics["heldout_end"] or {}
        facts |= {
            f"held-out {key.replace('_', ' ')}": f"{value:.4g} -> {end[key]:.4g}"
            for key, value in start.items()
            if key in end
        }
    return facts


def _say_lines(title: str, lines: list[str]) -> None:
    if lines:
        shown = {str(i): line for i, line in enumerate(lines[:MAX_LINES], 1)}
        say_facts(f"{title}:", shown)
    if len(lines) > MAX_LINES:
        say_facts(f"  and {len(lines) - MAX_LINES} more; --json lists them all", {})
