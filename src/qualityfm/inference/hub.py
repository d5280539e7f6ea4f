"""Models as folders in the conventions of the Hugging Face hub: saved, loaded, pushed.

A saved folder is a checkpoint of ours (weights and model.json, checked as everywhere) with a README.md that the hub
shows as its model card. A local folder needs neither a network nor the `huggingface_hub` package.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qualityfm.errors import ConfigError, problem
from qualityfm.files import write_text
from qualityfm.inference.loading import load_model, shipped_models
from qualityfm.inference.predictor import Predictor
from qualityfm.models.checkpoint import CARD, save_checkpoint

#: Fields of the card that `save_checkpoint` writes itself.
OWN_FIELDS = frozenset(
    ("format", "format_version", "package_version", "num_parameters", "weights", "weights_sha256", "segments", "model")
)

README = "README.md"

#: Fields of a card that its README tells, with their titles.
TOLD = {"heldout": "Held out:", "attribution": "Sources:", "licence": "Licence of the weights:", "status": "Status:"}


def save_pretrained(model: Predictor, folder: str | Path, *, half_precision: bool = False) -> Path:
    """Write a model as a folder that `from_pretrained` loads and the hub shows; return the folder.

    Args:
        model: What to save.
        folder: Made if missing.
        half_precision: Store float16 (half the size; loaded back to float32).

    Raises:
        FormatError: The disk refuses.
    """
    path = Path(folder)
    about = {name: value for name, value in model.card.items() if name not in OWN_FIELDS}
    save_checkpoint(path, model.network, about, half_precision=half_precision)
    write_text(path / README, model_card(model))
    return path


def from_pretrained(name: str | Path, *, revision: str | None = None, device: str = "cpu") -> Predictor:
    """Return a model: a shipped one, one in a local folder, or one of the hub by its `owner/name`.

    Args:
        name: Such as "qualityfm-tiny", "my-folder" or "someone/their-model"; a folder goes before the hub.
        revision: Branch, tag or commit on the hub.
        device: Torch device.

    Raises:
        ConfigError: No such model, or the hub cannot be reached.
        FormatError: The checkpoint is damaged or of another version.
    """
    is_here = str(name) in shipped_models() or Path(name).is_dir()
    return load_model(name if is_here else _download(str(name), revision), device)


def push_to_hub(model: Predictor, repository: str, folder: str | Path, *, private: bool = False) -> str:
    """Save a model into a folder, upload that to the hub, and return the address of the upload.

    Args:
        model: What to upload.
        repository: `owner/name`; made if missing.
        folder: Where the files are written first.
        private: Whether a new repository is private.

    Raises:
        ConfigError: The hub refuses or cannot be reached.
        FormatError: The disk refuses.
    """
    hub = _hub()
    path = save_pretrained(model, folder)
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        wanted = [CARD, README, "weights-*.safetensors"]
        return str(hub.upload_folder(repo_id=repository, folder_path=path, allow_patterns=wanted))
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError, OSError) as error:
        raise _refused(repository, error) from error


def _download(name: str, revision: str | None) -> Path:
    if name.count("/") != 1:
        expected = f"a folder, a shipped model ({', '.join(shipped_models())}), or owner/name on the hub"
        raise ConfigError(problem("no such model", where="models", field="name", found=name, expected=expected))
    hub = _hub()
    try:  # weights and card only: nothing of a foreign repository is ever run
        wanted = [CARD, "weights-*.safetensors"]
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (
        hub.errors.HfHubHTTPError,
        hub.errors.HFValidationError,
        hub.errors.LocalEntryNotFoundError,
        OSError,
    ) as error:
        raise _refused(name, error) from error


def _hub() -> Any:
    import huggingface_hub
    import huggingface_hub.errors

    return huggingface_hub


def _refused(name: str, error: Exception) -> ConfigError:
    found, expected = str(error).strip().splitlines()[0], "a repository that the hub gives access to"
    return ConfigError(
        problem("the hub refuses", where="hub", field="repository", found=found, expected=f"{expected}: {name}")
    )


def model_card(model: Predictor) -> str:
    """Return the README of a model: what it takes, what it was trained on, what was measured, how to load it."""
    card, segments = model.card, model.segments
    data = card.get("data", {})
    tags = "\n".join(f"- {tag}" for tag in ("ecg", "ppg", "signal-quality", "self-supervised", "time-series"))
    metrics = json.dumps(card.get("metrics", {}), indent=1, ensure_ascii=False)
    # A model without a licence gets none: whose weights they are, their owner says.
    licence = f"license: {card['licence'].lower().replace(' ', '-')}\n" if "licence" in card else ""
    told = "".join(f"**{title}** {card[field]}\n\n" for field, title in TOLD.items() if field in card)
    return (
        f"---\nlibrary_name: qualityfm\n{licence}tags:\n{tags}\n---\n\n"
        f"# {model.name}\n\n"
        f"An encoder of {model.network.num_parameters / 1e6:.2f} million parameters for the signal quality "
        "of intensive-care waveforms.\nNot a medical device: research only, nobody has validated it clinically.\n\n"
        f"**Takes** {segments.segment_s:g} s at {segments.sample_rate_hz:g} Hz in the slots "
        f"{', '.join(segments.channels)}; any recording is cut and scaled by the recipe in `{CARD}`.\n\n"
        f"**Trained on** {data.get('num_recordings', 'an unstated number of')} recordings, {data.get('hours', '?')} h; "
        f"content hash `{data.get('content_hash', 'unstated')}`. Noise: {card.get('noise', 'unstated')}.\n\n"
        f"{told}"
        f"```python\nfrom qualityfm import from_pretrained, open_recording\n\n"
        f'model = from_pretrained("this/folder")\nprint(model.score(open_recording("record.hea")))\n```\n\n'
        f"## Figures of the training run\n\n```json\n{metrics}\n```\n"
    )
