"""Why an alarm may be kept or muted: quality of what preceded it, rates and gaps, its rule, and a model's answer."""

from __future__ import annotations

import math

import numpy as np

from qualityfm.errors import QualityFMError
from qualityfm.records import Cause, ChannelKind, Recording, grade
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.service.alarms import Alarm
from qualityfm.service.ribbon import cut_piece
from qualityfm.tasks.alarm_features import alarm_features
from qualityfm.tasks.alarm_rules import rule_scores
from qualityfm.tasks.alarms import ALARM_KINDS, WINDOW_S
from qualityfm.tasks.examples import Example
from qualityfm.tasks.features import FeatureTable
from qualityfm.tasks.traces import RATE_HZ, SEGMENT_S, Trace, trace_of

#: Looked at before an alarm, s: its window, and some minutes' worth of usual beats before. Our choice.
LOOKBACK_S = 60.0
_KINDS = (ChannelKind.ECG, ChannelKind.ECG, ChannelKind.PPG, ChannelKind.ABP)

#: What is told of the beats: words, and the feature behind them (the lead or channel that speaks against the alarm).
_TOLD = (
    ("longest gap between ECG beats {:.1f} s", "ecg_low_longest_gap_s"),
    ("longest gap between pulses {:.1f} s", "pulse_low_longest_gap_s"),
    ("slowest four ECG beats {:.0f} a minute", "ecg_high_slowest4_bpm"),
    ("slowest four pulses {:.0f} a minute", "pulse_high_slowest4_bpm"),
    ("fastest twelve ECG beats {:.0f} a minute", "ecg_high_fastest12_bpm"),
    ("ECG beats in a row unlike the others {:.0f}", "ecg_high_unlike_run"),
)


def reasons_of(recording: Recording, alarm: Alarm) -> list[str]:
    """Return one line for each thing that speaks on an alarm; nothing after the alarm is looked at."""
    begin_s = max(0.0, alarm.alarm_s - LOOKBACK_S)
    duration_s = alarm.alarm_s - begin_s
    piece = cut_piece(recording, begin_s, alarm.alarm_s)
    config = SegmentConfig(channels=_KINDS, sample_rate_hz=RATE_HZ, segment_s=SEGMENT_S, step_s=SEGMENT_S)
    try:
        block = cut_block(piece, config)
        trace = trace_of(block, duration_s)
        return [*_qualities(trace, block.names), *_beats(trace, alarm)]
    except QualityFMError as error:
        return [f"cannot be judged: {error}"]


def _qualities(trace: Trace, names: tuple[str | None, ...]) -> list[str]:
    lines = []
    seconds = slice(-int(WINDOW_S), None)
    for slot, name in enumerate(names):
        if name is not None:
            quality = float(trace.quality[slot, seconds].mean())
            causes = Cause(int(np.bitwise_or.reduce(trace.causes[slot, seconds]))).words
            lines.append(f"{name}: grade {grade(quality)}, quality {quality:.2f}{', ' if causes else ''}{causes}")
    return lines


def _beats(trace: Trace, alarm: Alarm) -> list[str]:
    if alarm.alarm not in ALARM_KINDS:
        return ["there is no rule for this kind of alarm"]
    found = alarm_features(trace, alarm.alarm)
    values = [(words, found.get(name, math.nan)) for words, name in _TOLD]
    lines = [words.format(value) for words, value in values if math.isfinite(value)]
    table = FeatureTable(names=tuple(found), values=np.array([list(found.values())]))
    (score,) = rule_scores(table, [_example(alarm)])
    if not math.isfinite(score):
        return [*lines, f"the rule of {alarm.alarm} says nothing: no beats were found"]
    return [*lines, f"the rule of {alarm.alarm} is {'' if score >= 0 else 'not '}met"]


def _example(alarm: Alarm) -> Example:
    return Example(
        recording=alarm.recording,
        name=alarm.recording,
        start_s=max(0.0, alarm.alarm_s - WINDOW_S),
        length_s=min(WINDOW_S, alarm.alarm_s),
        subject=None,
        group=None,
        label=None,
        kind=alarm.alarm,
    )
