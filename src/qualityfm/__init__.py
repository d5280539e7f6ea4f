"""QualityFM: signal quality of ICU and operating-room waveforms.

The public names load on first use; importing the package loads neither torch nor numpy.

Example:
    >>> import qualityfm
    >>> qualityfm.grade(0.95)
    'A'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qualityfm.version import __version__ as __version__

if TYPE_CHECKING:
    from qualityfm.inference.hub import from_pretrained as from_pretrained
    from qualityfm.inference.hub import push_to_hub as push_to_hub
    from qualityfm.inference.hub import save_pretrained as save_pretrained
    from qualityfm.inference.loading import load_model as load_model
    from qualityfm.inference.predictor import Predictor as Predictor
    from qualityfm.inference.report import write_report as write_report
    from qualityfm.inference.scoring import Embeddings as Embeddings
    from qualityfm.quality.score import score_quality as score_quality
    from qualityfm.records import Cause as Cause
    from qualityfm.records import ChannelKind as ChannelKind
    from qualityfm.records import QualityScore as QualityScore
    from qualityfm.records import Recording as Recording
    from qualityfm.records import Segment as Segment
    from qualityfm.records import Signal as Signal
    from qualityfm.records import grade as grade
    from qualityfm.segments import SegmentConfig as SegmentConfig
    from qualityfm.segments import cut_segments as cut_segments
    from qualityfm.sources import find_recordings as find_recordings
    from qualityfm.sources import open_recording as open_recording

_HOMES = {
    "Cause": "records",
    "ChannelKind": "records",
    "Embeddings": "inference.scoring",
    "Predictor": "inference.predictor",
    "QualityScore": "records",
    "Recording": "records",
    "Segment": "records",
    "SegmentConfig": "segments",
    "Signal": "records",
    "cut_segments": "segments",
    "find_recordings": "sources",
    "from_pretrained": "inference.hub",
    "grade": "records",
    "load_model": "inference.loading",
    "open_recording": "sources",
    "push_to_hub": "inference.hub",
    "save_pretrained": "inference.hub",
    "score_quality": "quality.score",
    "write_report": "inference.report",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qualityfm' has no attribute {name!r}")
    value = getattr(import_module(f"qualityfm.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
