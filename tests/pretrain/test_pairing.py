import numpy as np
import pytest

from qualityfm.pretrain.pairing import PairIndex, anchors_of_step
from qualityfm.records import grade


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    recording_id = np.repeat([f"r{i}" for i in range(12)], 20)
    start_s = np.tile(np.arange(20) * 30.0, 12)
    quality = rng.uniform(0, 1, 240).astype(np.float32)
    quality[:20] = 0.95  # the first recording has one grade only
    return recording_id, start_s, quality


def make_index(rows, chosen=None, made_fraction=0.0):
    chosen = np.arange(240) if chosen is None else chosen
    return PairIndex(*rows, chosen, max_distance_s=270.0, made_fraction=made_fraction)


def draw_all(index, seed=0):
    return index.draw(np.arange(len(index)), np.random.default_rng(seed))


def test_natural_partners_share_the_recording_lie_near_and_differ_in_grade(rows):
    recording_id, start_s, quality = rows
    for seed in range(10):
        pairs = draw_all(make_index(rows), seed)
        for better, worse in zip(pairs.better[~pairs.is_made], pairs.worse[~pairs.is_made], strict=True):
            assert recording_id[better] == recording_id[worse]
            assert abs(start_s[better] - start_s[worse]) <= 270.0
            assert grade(quality[better]) != grade(quality[worse])


def test_the_teacher_always_gets_the_better_segment(rows):
    quality = rows[2]
    pairs = draw_all(make_index(rows))
    assert (quality[pairs.better] > quality[pairs.worse])[~pairs.is_made].all()


def test_a_recording_with_one_grade_gives_made_pairs(rows):
    index = make_index(rows)
    pairs = draw_all(index)
    is_first = index.rows < 20
    assert pairs.is_made[is_first].all()
    assert (pairs.better[is_first] == pairs.worse[is_first]).all()
    assert not index.has_partner()[is_first].any()


def test_about_the_asked_share_is_made_where_partners_exist(rows):
    index = make_index(rows, made_fraction=0.5)
    share = np.mean([draw_all(index, seed).is_made[index.has_partner()].mean() for seed in range(20)])
    assert share == pytest.approx(0.5, abs=0.05)


def test_rows_left_out_are_never_drawn(rows):
    chosen = np.flatnonzero(np.arange(240) % 3 != 0)
    index = make_index(rows, chosen)
    for seed in range(5):
        pairs = draw_all(index, seed)
        assert not set(pairs.better) & set(np.arange(0, 240, 3))
        assert not set(pairs.worse) & set(np.arange(0, 240, 3))


def test_every_anchor_comes_once_an_epoch():
    anchors = np.concatenate([anchors_of_step(20, 5, step, seed=1) for step in range(8)])
    assert sorted(anchors[:20]) == list(range(20))
    assert sorted(anchors[20:]) == list(range(20))
    assert list(anchors[:20]) != list(anchors[20:])


def test_a_batch_may_span_two_epochs():
    anchors = np.concatenate([anchors_of_step(7, 5, step, seed=1) for step in range(7)])
    assert all(sorted(anchors[i : i + 7]) == list(range(7)) for i in range(0, 35, 7))
