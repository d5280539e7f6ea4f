import os

import pytest

from qualityfm.errors import FormatError
from qualityfm.training.log import RunLog, read_log
from qualityfm.training.schedule import cosine, warmup_cosine


def test_a_cosine_begins_and_ends_where_it_says():
    assert cosine(0.04, 0.4, 0, 100) == pytest.approx(0.04)
    assert cosine(0.04, 0.4, 99, 100) == pytest.approx(0.4)
    values = [cosine(1.0, 0.0, step, 50) for step in range(50)]
    assert values == sorted(values, reverse=True)


def test_the_rate_rises_linearly_then_falls():
    rates = [warmup_cosine(1.0, 0.0, step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_resumed_log_cuts_off_the_lines_it_will_repeat(tmp_path):
    log = RunLog(tmp_path, last_step=-1)
    for step in range(5):
        log.write(step, {"loss": float(step)})
    log.close()
    RunLog(tmp_path, last_step=2).close()
    assert [line["step"] for line in read_log(tmp_path)] == [0, 1, 2]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 1.0}\n{"step": 1, "lo')
    assert [line["step"] for line in read_log(tmp_path)] == [0]


@pytest.mark.parametrize("text", ["[1, 2]", '{"loss": 1.0}', "7", '{"step": "one"}', "\x00"])
def test_a_line_that_is_no_step_is_left_out(tmp_path, text):
    (tmp_path / "log.jsonl").write_text(f'{text}\n{{"step": 1}}\n')
    RunLog(tmp_path, last_step=5).close()
    assert read_log(tmp_path) == [{"step": 1}]


def test_a_log_that_cannot_be_cut_off_is_kept_whole(tmp_path, monkeypatch):
    text = "".join(f'{{"step": {step}}}\n' for step in range(5))
    (tmp_path / "log.jsonl").write_text(text)

    def refuse(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(FormatError, match="the disk is full"):
        RunLog(tmp_path, last_step=2)
    assert (tmp_path / "log.jsonl").read_text() == text
