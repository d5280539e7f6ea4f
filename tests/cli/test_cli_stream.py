import io
import json
import socket
import sys
import threading

import numpy as np
import pytest

from qualityfm.cli.main import main

TABLE = {"channels": [{"name": "II", "kind": "ecg", "unit": "mV", "sample_rate_hz": 125}]}


def send(monkeypatch: pytest.MonkeyPatch, *messages: object) -> None:
    lines = [one if isinstance(one, str) else json.dumps(one) for one in messages]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))


def packet(first: int, num_samples: int = 1000) -> dict[str, object]:
    samples = np.sin(np.arange(first, first + num_samples) / 9).round(4).tolist()
    return {"channel": "II", "first": first, "samples": samples}


def test_lines_in_give_lines_out(monkeypatch, capsys):
    send(monkeypatch, TABLE, packet(0), "nonsense", packet(1000), packet(2000))
    assert main(["stream", "--json", "--segment-s", "10"]) == 0
    printed = capsys.readouterr()
    rows = [json.loads(line) for line in printed.out.splitlines()]
    assert [row.get("start_s") for row in rows] == [0.0, 10.0, 20.0, None]
    assert rows[-1]["samples"]["II"]["taken"] == 3000
    assert "left out: wrong message" in printed.err


def test_a_terminal_shows_a_ribbon_for_each_channel(monkeypatch, capsys):
    send(monkeypatch, TABLE, packet(0), {"end": True}, packet(1000))
    assert main(["stream"]) == 0
    assert "II" in capsys.readouterr().out.splitlines()[0]


@pytest.mark.parametrize("table", ["", "{}", '{"channels": 3}', '{"channels": [{"name": "II"}]}'])
def test_a_stream_without_a_channel_table_is_a_data_error(monkeypatch, capsys, table):
    send(monkeypatch, table)
    assert main(["stream"]) == 1
    assert "expected" in capsys.readouterr().err


def test_an_address_that_is_none_is_a_usage_error():
    assert main(["stream", "--connect", "nowhere"]) == 2


def test_the_service_listens_beyond_loopback_only_with_a_token(monkeypatch, capsys):
    monkeypatch.delenv("QUALITYFM_TOKEN", raising=False)
    assert main(["serve", "--host", "0.0.0.0"]) == 2
    assert "QUALITYFM_TOKEN" in capsys.readouterr().err


def test_a_model_adds_its_estimate(monkeypatch, capsys):
    send(monkeypatch, TABLE, packet(0, 4000))
    assert main(["stream", "--json", "--model", "qualityfm-tiny"]) == 0
    row = json.loads(capsys.readouterr().out.splitlines()[0])
    assert len(row["channels"][0]["model_quality"]) == len(row["channels"][0]["quality"])


def test_a_length_of_segments_beside_a_model_is_a_usage_error(capsys):
    assert main(["stream", "--model", "qualityfm-tiny", "--segment-s", "10"]) == 2
    assert "--segment-s" in capsys.readouterr().err


def test_messages_come_over_a_socket_in_any_pieces(capsys):
    text = "\n".join(json.dumps(one) for one in (TABLE, packet(0), packet(1000), packet(2000))).encode()
    with socket.create_server(("127.0.0.1", 0)) as door:

        def send_pieces() -> None:
            connection = door.accept()[0]
            with connection:
                for begin in range(0, len(text), 4999):
                    connection.sendall(text[begin : begin + 4999])

        sender = threading.Thread(target=send_pieces)
        sender.start()
        address = f"127.0.0.1:{door.getsockname()[1]}"
        assert main(["stream", "--json", "--connect", address]) == 0
        sender.join()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[-1]["samples"]["II"]["taken"] == 3000


def test_nobody_at_the_address_is_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
    assert main(["stream", "--connect", address]) == 1
    assert "cannot connect" in capsys.readouterr().err
