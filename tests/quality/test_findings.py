"""What the classical indices hand to a learned score."""

import numpy as np
import pytest

from qualityfm.quality.findings import FOUND_CAUSES, NUM_FINDINGS, find_signs
from qualityfm.quality.score import score_block
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig, cut_block
from qualityfm.waveform.simulate import SimulationConfig, simulate


@pytest.fixture(scope="module")
def block():
    return cut_block(simulate(7, SimulationConfig(duration_s=60.0, faults_per_minute=4.0)).recording, SegmentConfig())


def test_findings_hold_the_quality_that_the_score_gives(block):
    found, score = find_signs(block), score_block(block)
    assert found.shape == (*score.quality.shape, NUM_FINDINGS)
    np.testing.assert_allclose(1 - found[..., -1], score.quality, atol=1e-6)
    assert (found[..., 0] == 1).all()


def test_a_cause_that_the_score_names_is_a_strong_finding(block):
    found, score = find_signs(block), score_block(block)
    is_flat = (score.causes & Cause.FLAT) != 0
    assert is_flat.any()
    assert (found[..., 1 + FOUND_CAUSES.index(Cause.FLAT)][is_flat] > 0.3).all()


def test_an_empty_slot_has_no_findings(block):
    alone = simulate(5, SimulationConfig(duration_s=30.0)).recording
    alone = type(alone)(**{**vars(alone), "signals": alone.signals[:1]})
    found = find_signs(cut_block(alone, SegmentConfig()))
    assert found[:, 0, :, 0].all()
    assert not found[:, 1:].any()
