"""An exported model gives torch's numbers without torch; what is damaged or foreign is refused in one line."""

import hashlib
import json
import pickle
import shutil
import subprocess
import sys
import textwrap

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from qualityfm.cli.main import main
from qualityfm.config import to_plain
from qualityfm.errors import ConfigError, FormatError
from qualityfm.inference.export import export_model
from qualityfm.inference.loading import load_model
from qualityfm.inference.predictor import Predictor
from qualityfm.models.calibration import fit_calibration
from qualityfm.models.checkpoint import save_checkpoint
from qualityfm.models.config import ModelConfig
from qualityfm.models.network import Network
from qualityfm.quality.findings import find_signs
from qualityfm.records import Cause
from qualityfm.segments import SegmentConfig, cut_block, scale_values
from qualityfm.waveform.simulate import SimulationConfig, simulate

SEGMENTS = SegmentConfig(segment_s=10.0, step_s=10.0)
SMALL = {"width": 16, "num_heads": 2, "num_layers": 1, "feed_forward": 16, "attention_radius": 4}


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    """Tracing puts symbols where the checker of annotations expects numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="module")
def recording():
    return simulate(3, SimulationConfig(duration_s=35.0)).recording


@pytest.fixture(scope="module")
def checkpoint(recording, tmp_path_factory):
    """A calibrated checkpoint with every head."""
    torch.manual_seed(0)
    network = Network(SEGMENTS, ModelConfig(**SMALL)).eval()
    rng, num_causes = np.random.default_rng(0), len(Cause.learnable())
    has_cause = rng.random((200, num_causes)) < 0.2
    features = Predictor(network, {}).embed(recording).vectors
    fitted = fit_calibration(rng.normal(size=200), rng.random(200), np.where(has_cause, 4.0, -4.0), has_cause, features)
    folder = tmp_path_factory.mktemp("export") / "checkpoint"
    save_checkpoint(folder, network, {"name": "small", "calibration": to_plain(fitted)})
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint):
    folder = checkpoint.parent / "exported"
    assert main(["export-model", str(checkpoint), "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def damaged(exported, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(exported, tmp_path / "exported")


def change_card(folder, **fields):
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def replace_network(folder, content, name="other.onnx"):
    (folder / name).write_bytes(content)
    change_card(folder, network=name, network_sha256=hashlib.sha256(content).hexdigest())


def network_of(folder):
    return (folder / json.loads((folder / "model.json").read_text())["network"]).read_bytes()


def assert_same_numbers(found, expected):
    assert (found.model_quality > 0).any()
    np.testing.assert_allclose(found.model_quality, expected.model_quality, atol=1e-4)
    np.testing.assert_allclose(found.model_good, expected.model_good, atol=1e-4)
    np.testing.assert_array_equal(found.quality, expected.quality)
    np.testing.assert_array_equal(found.model_causes, expected.model_causes)
    np.testing.assert_array_equal(found.model_knows, expected.model_knows)


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_an_exported_model_gives_torchs_numbers(runtime, checkpoint, exported, recording):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[runtime])
    by_torch, without = load_model(checkpoint), load_model(exported, runtime=runtime)
    assert_same_numbers(without.score(recording), by_torch.score(recording))
    np.testing.assert_allclose(without.embed(recording).vectors, by_torch.embed(recording).vectors, atol=1e-4)
    assert f"run by {runtime}" in repr(without)


def test_the_graph_takes_any_number_of_segments_and_seconds(checkpoint, exported):
    network = load_model(checkpoint).network
    session = onnxruntime.InferenceSession(network_of(exported))
    for num_segments, num_seconds in ((1, 5), (7, 33)):
        values = np.random.default_rng(1).standard_normal((num_segments, 4, num_seconds * 125)).astype(np.float32)
        features, quality, _ = session.run(None, {"values": values})
        with torch.inference_mode():
            encoded = network.encoder(torch.from_numpy(values))
            expected = network.quality(encoded, num_seconds).numpy()
        np.testing.assert_allclose(quality, expected, atol=1e-4)
        np.testing.assert_allclose(features, encoded.pooled.numpy(), atol=1e-4)


def test_the_verb_scores_and_embeds_where_torch_cannot_be_imported(checkpoint, exported, recording, tmp_path):
    code = """
        import sys
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"torch", "safetensors", "onnx", "onnxscript"}:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, Refuse())
        import numpy, qualityfm
        from qualityfm.cli.main import main
        from qualityfm.sources.wfdb_files import write_wfdb
        from qualityfm.waveform.simulate import SimulationConfig, simulate
        from pathlib import Path
        exported, out = sys.argv[1:]
        recording = simulate(3, SimulationConfig(duration_s=35.0)).recording
        model = qualityfm.load_model(exported, runtime="onnx")
        score = model.score(recording)
        numpy.savez(out + "/found.npz", good=score.model_good, causes=score.model_causes, knows=score.model_knows,
                    vectors=model.embed(recording).vectors)
        record = str(write_wfdb(recording, Path(out)).with_suffix(""))
        assert main(["score", record, "--model", exported, "--out", out + "/table.csv"]) == 0
        assert main(["score", record, "--model", "qualityfm-tiny", "--out", out + "/shipped.csv"]) == 0
        assert main(["embed", record, "--model", exported, "--out", out + "/features.csv"]) == 0
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(exported), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "model_good" in (tmp_path / "table.csv").read_text().splitlines()[0]
    assert "model_good" in (tmp_path / "shipped.csv").read_text().splitlines()[0]
    assert "feature_15" in (tmp_path / "features.csv").read_text().splitlines()[0]
    by_torch = load_model(checkpoint)
    score = by_torch.score(recording)
    with np.load(tmp_path / "found.npz") as found:
        np.testing.assert_allclose(found["good"], score.model_good, atol=1e-4)
        np.testing.assert_allclose(found["vectors"], by_torch.embed(recording).vectors, atol=1e-4)
        np.testing.assert_array_equal(found["causes"], score.model_causes)
        np.testing.assert_array_equal(found["knows"], score.model_knows)


def test_int8_replaces_an_earlier_export_and_says_how_far_it_lies_from_torch(
    checkpoint, damaged, recording, monkeypatch
):
    graph = onnx.load_from_string(network_of(damaged))  # tracing again would give the same
    monkeypatch.setattr("qualityfm.inference.export.trace_graph", lambda answering: graph)
    by_torch = load_model(checkpoint)
    card = export_model(by_torch, damaged, int8=True)
    assert card["precision"] == "int8"
    assert 0 < max(card["difference_from_torch"].values()) < 1
    assert sorted(path.name for path in damaged.iterdir()) == ["model.json", card["network"]]
    assert b"MatMulInteger" in network_of(damaged)
    found = load_model(damaged, runtime="auto").score(recording).model_quality
    assert np.abs(found - by_torch.score(recording).model_quality).max() < 0.1


def test_a_graph_that_answers_otherwise_than_torch_is_not_kept(checkpoint, exported, tmp_path, monkeypatch):
    graph = onnx.load_from_string(network_of(exported))
    weight = next(one for one in graph.graph.initializer if one.name.endswith("quality.to_logit.weight"))
    weight.raw_data = bytes(len(weight.raw_data))
    monkeypatch.setattr("qualityfm.inference.export.trace_graph", lambda answering: graph)
    with pytest.raises(FormatError, match=r"not exported: small: difference: .* expected at most 0\.0001"):
        export_model(load_model(checkpoint), tmp_path / "new")
    assert not list((tmp_path / "new").glob("*"))


def test_an_exported_file_names_no_path_of_the_machine_that_made_it(exported):
    assert b"site-packages" not in network_of(exported)
    assert b".py" not in network_of(exported)


def test_a_card_keeps_what_the_checkpoint_says_of_itself(checkpoint, exported):
    card, before = (json.loads((one / "model.json").read_text()) for one in (exported, checkpoint))
    assert card["made_from_sha256"] == before["weights_sha256"]
    assert card["calibration"] == before["calibration"]
    assert card["name"] == "small"
    assert max(card["difference_from_torch"].values()) <= 1e-4


def test_an_export_never_replaces_a_checkpoint(checkpoint):
    with pytest.raises(ConfigError, match="found 'qualityfm-checkpoint', expected a new folder"):
        export_model(load_model(checkpoint), checkpoint)


def test_blocks_and_channel_tokens_are_exported_too(tmp_path):
    torch.manual_seed(1)
    config = ModelConfig(**{**SMALL, "num_layers": 2}, tokens="channels", attention="blocks")
    card = export_model(Predictor(Network(SEGMENTS, config).eval(), {"name": "other"}), tmp_path)
    assert max(card["difference_from_torch"].values()) <= 1e-4


def test_an_exported_form_beside_other_weights_is_refused(checkpoint, exported, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "checkpoint")
    shutil.copytree(exported, folder / "onnx")
    assert load_model(folder, runtime="onnx").name == "small"
    change_card(folder / "onnx", made_from_sha256="0" * 64)
    with pytest.raises(FormatError, match=r"outdated exported model.*export it again"):
        load_model(folder, runtime="onnx")
    (folder / "model.json").write_text("[]")
    with pytest.raises(FormatError, match="outdated exported model"):
        load_model(folder, runtime="onnx")
    (folder / "model.json").unlink()
    with pytest.raises(FormatError, match="no exported model"):
        load_model(folder, runtime="onnx")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "qualityfm-checkpoint", "format: found 'qualityfm-checkpoint', expected 'qualityfm-onnx'"),
        ("format_version", 2, "format_version: found 2, expected 1"),
        ("opset", 7, "opset: found 7, expected 18; export it again"),
        ("opset", True, "opset: found True, expected int"),
        ("precision", "int3", "precision: found 'int3'"),
        ("outputs", ["quality"], "outputs: found"),
        ("num_parameters", -1, "num_parameters: found -1"),
        ("network", "../network.onnx", "network: found '../network.onnx'"),
        ("network", "/etc/passwd", "network: found '/etc/passwd'"),
        ("network", "gone.onnx", "network: found 'gone.onnx'"),
        ("segments", {"segment_s": -1}, "damaged exported model"),
        ("calibration", {"slope": "steep"}, "calibration"),
    ],
)
def test_a_card_that_cannot_be_true_is_refused(field, value, message, damaged):
    change_card(damaged, **{field: value})
    with pytest.raises(FormatError, match=message.replace("'", "['\"]")) as refusal:
        load_model(damaged, runtime="onnx")
    assert len(str(refusal.value).splitlines()) == 1


def test_a_folder_without_an_exported_model_is_refused(checkpoint, tmp_path):
    with pytest.raises(FormatError, match="no exported model"):
        load_model(tmp_path, runtime="onnx")
    with pytest.raises(FormatError, match="`qualityfm export-model` makes such a folder"):
        load_model(checkpoint, runtime="onnx")


def test_a_changed_or_cut_network_is_refused(damaged):
    card = json.loads((damaged / "model.json").read_text())
    content = bytearray(network_of(damaged))
    content[len(content) // 2] ^= 1
    for spoilt in (content, content[:-100]):
        (damaged / card["network"]).write_bytes(spoilt)
        with pytest.raises(FormatError, match=r"sha256: found .* copy it again"):
            load_model(damaged, runtime="onnx")


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
@pytest.mark.parametrize("content", [b"", b"no network", pickle.dumps({"weights": [1.0]})])
def test_what_is_no_network_is_refused_though_the_card_vouches_for_it(content, runtime, damaged):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}[runtime])
    replace_network(damaged, content)
    with pytest.raises(FormatError, match="cannot use exported model") as refusal:
        load_model(damaged, runtime=runtime)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_pickle_is_not_opened_whatever_it_holds(damaged):
    replace_network(damaged, network_of(damaged), name="network.pt")
    with pytest.raises(FormatError, match=r"expected an \.onnx file"):
        load_model(damaged, runtime="onnx")


def test_a_network_of_newer_operators_or_with_weights_elsewhere_is_refused(damaged):
    original = network_of(damaged)
    newer = onnx.load_from_string(original)
    newer.opset_import[0].version = 999
    replace_network(damaged, newer.SerializeToString())
    with pytest.raises(FormatError, match=r"cannot use exported model.*[Oo]pset"):
        load_model(damaged, runtime="onnx")
    elsewhere = onnx.load_from_string(original)
    tensor = max(elsewhere.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    replace_network(damaged, elsewhere.SerializeToString())
    with pytest.raises(FormatError, match="weights: found 'in another file'"):
        load_model(damaged, runtime="onnx")


def test_a_network_of_other_channels_is_refused(damaged):
    segments = json.loads((damaged / "model.json").read_text())["segments"]
    change_card(damaged, segments={**segments, "channels": ["ecg"]})
    with pytest.raises(FormatError, match="values of 1 channels"):
        load_model(damaged, runtime="onnx")


def test_a_file_too_large_for_its_weights_is_refused_unread(damaged):
    path = damaged / json.loads((damaged / "model.json").read_text())["network"]
    with path.open("r+b") as stream:
        stream.truncate(5 * 10**10)  # sparse: it takes no room
    with pytest.raises(FormatError, match="size: found '50000000000 bytes'"):
        load_model(damaged, runtime="onnx")


def test_an_unknown_runtime_or_device_is_refused_by_name(exported):
    with pytest.raises(ConfigError, match="runtime: found 'tensorrt'"):
        load_model(exported, runtime="tensorrt")
    with pytest.raises(ConfigError, match="device: found 'cuda'"):
        load_model(exported, "cuda", runtime="onnx")


SHIPPED = ("qualityfm-tiny", "qualityfm-tiny-quality")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_exported_form_is_of_the_shipped_weights(name):
    assert load_model(name, runtime="onnx").card["precision"] == "float32"


@pytest.mark.real
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_scores_a_real_recording_without_torch_as_with_it(real_data, name):
    from qualityfm.sources import open_recording

    recording = open_recording(real_data / "challenge2015" / "records" / "a103l")
    without = load_model(name, runtime="onnx").score(recording)
    assert_same_numbers(without, load_model(name).score(recording))


def test_an_exported_model_that_sees_findings_is_given_them(recording):
    model = load_model("qualityfm-tiny-quality", runtime="onnx")
    assert model.sees_findings
    block = cut_block(recording, model.segments)
    values = scale_values(block.values, model.segments).values
    told, blind = model.answer(values, find_signs(block)), model.answer(values)
    np.testing.assert_array_equal(told.features, blind.features)
    assert np.abs(told.quality - blind.quality).max() > 0.1


@pytest.mark.parametrize("inputs", [["values", "labels"], ["values", "findings"]])
def test_a_card_that_promises_other_inputs_is_refused(damaged, inputs):
    change_card(damaged, inputs=inputs)
    with pytest.raises(FormatError, match="inputs: found"):
        load_model(damaged, runtime="onnx")
