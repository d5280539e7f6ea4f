"""One map, in this process and in several."""

import math
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from qualityfm.cluster import map_unordered
from qualityfm.config import read_toml
from qualityfm.errors import ConfigError, QualityFMError

# Steps travel to fresh processes by name, so these tests use steps that can be imported anywhere.


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_is_answered_once_with_its_place(workers):
    assert dict(map_unordered(math.sqrt, [9, 16, 25], workers)) == {0: 3.0, 1: 4.0, 2: 5.0}


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_step_keeps_its_type_and_message(workers):
    with pytest.raises(ConfigError, match=r"nowhere[12]\.toml"):
        list(map_unordered(read_toml, [Path("nowhere1.toml"), Path("nowhere2.toml")], workers))


def test_a_killed_worker_is_one_clear_line_that_says_what_to_do():
    with pytest.raises(QualityFMError, match=r"killed.*run the same command again") as caught:
        list(map_unordered(os._exit, [9, 9], 2))
    assert "\n" not in str(caught.value)


def test_no_worker_is_left_when_the_caller_stops_early():
    answers = map_unordered(time.sleep, [0.0, *[60.0] * 9], 2)
    next(answers)
    started = time.monotonic()
    answers.close()
    assert multiprocessing.active_children() == []
    assert time.monotonic() - started < 30  # the sleepers did not end by themselves


def test_workers_use_one_thread_each_and_this_process_keeps_its_own_setting(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert dict(map_unordered(os.getenv, ["OMP_NUM_THREADS", "NUMBA_NUM_THREADS"], 2)) == {0: "1", 1: "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_fewer_than_one_worker_is_refused():
    with pytest.raises(ConfigError, match="workers"):
        list(map_unordered(math.sqrt, [1], 0))


def test_nothing_to_do_starts_nothing():
    assert list(map_unordered(math.sqrt, [], 4)) == []
