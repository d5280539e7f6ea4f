"""The truth about a recording, beside it."""

import json

import numpy as np
import pytest

from qualityfm.errors import SourceError
from qualityfm.prepare.truth import Truth, read_truth, truth_path, with_truth, write_truth
from qualityfm.quality.score import score_block
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.waveform.simulate import SimulationConfig, simulate


def test_truth_is_read_as_it_was_written(tmp_path):
    quality = np.array([[0.5, 1.0, 0.25], [1.0, 0.0, 0.125]], np.float32)
    causes = np.array([[int(Cause.MOTION), 0, int(Cause.NOISE | Cause.FLAT)], [0, int(Cause.INVERTED), 0]], np.uint16)
    write_truth(tmp_path / "a.hea", Truth(names=("II", "PLETH"), quality=quality, causes=causes))
    found = read_truth(tmp_path / "a.hea")
    assert found.names == ("II", "PLETH")
    np.testing.assert_array_equal(found.quality, quality)
    np.testing.assert_array_equal(found.causes, causes)


def test_without_a_file_there_is_no_truth(tmp_path):
    assert read_truth(tmp_path / "a.hea") is None


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("no json", "text"),
        ("[]", "channels"),
        ("{}", "channels"),
        (json.dumps({"II": 3}), "II.quality"),
        (json.dumps({"II": {"quality": [0.5], "causes": []}}), "II.causes"),
        (json.dumps({"II": {"quality": [1.5], "causes": [0]}}), "II.quality"),
        (json.dumps({"II": {"quality": [True], "causes": [0]}}), "II.quality"),
        (json.dumps({"II": {"quality": [0.5], "causes": [0.5]}}), "II.causes"),
        (json.dumps({"II": {"quality": [0.5], "causes": [99999]}}), "II.causes"),
        (json.dumps({"II": {"quality": [0.5, 1], "causes": [0]}}), "seconds"),
        ('{"II": {"quality": [NaN], "causes": [0]}}', "text"),
    ],
)
def test_a_damaged_truth_is_refused_with_file_and_field(tmp_path, content, field):
    truth_path(tmp_path / "a.hea").write_text(content)
    with pytest.raises(SourceError, match=rf"a\.truth\.json.*{field}"):
        read_truth(tmp_path / "a.hea")


@pytest.fixture(scope="module")
def block():
    recording = simulate(3, SimulationConfig(duration_s=20.0, faults_per_minute=0.0)).recording
    return cut_block(recording, SegmentConfig(segment_s=10.0, step_s=10.0))


def test_a_second_across_two_of_the_truth_has_the_worse_quality_and_both_causes(block):
    quality = np.ones((1, 30), np.float32)
    quality[0, 4] = 0.2
    causes = np.zeros((1, 30), np.uint16)
    causes[0, 4], causes[0, 5] = int(Cause.NOISE), int(Cause.SPIKE)
    truth = Truth(names=("II",), quality=quality, causes=causes)
    told = with_truth(score_block(block), block, block.names, truth, 0.5)
    np.testing.assert_allclose(told.quality[0, 0], [1, 1, 1, 0.2, 0.2, 1, 1, 1, 1, 1], atol=1e-6)
    assert told.causes[0, 0, 4] == int(Cause.NOISE | Cause.SPIKE)


def test_other_channels_and_later_seconds_keep_their_estimate(block):
    score = score_block(block)
    truth = Truth(names=("PLETH",), quality=np.zeros((1, 12), np.float32), causes=np.zeros((1, 12), np.uint16))
    told = with_truth(score, block, block.names, truth, 0.0)
    np.testing.assert_array_equal(told.quality[:, :2], score.quality[:, :2])
    np.testing.assert_array_equal(told.quality[1, 2, 2:], score.quality[1, 2, 2:])
    assert (told.quality[0, 2] == 0).all()
    assert told.overall[0] < score.overall[0]
