"""The core runs where torch cannot be imported."""

import subprocess
import sys
import textwrap

import pytest


def run_without_torch(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter that refuses torch and what only comes with it; return what it printed."""
    refuse = """
        import sys
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"torch", "safetensors", "tensorboard"}:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        import importlib.metadata as metadata
        real_version = metadata.version
        def version(name):
            if name == "torch":
                raise metadata.PackageNotFoundError(name)
            return real_version(name)
        metadata.version = version
        sys.meta_path.insert(0, Refuse())
    """
    program = textwrap.dedent(refuse) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    from qualityfm.sources.wfdb_files import write_wfdb
    from qualityfm.waveform.simulate import SimulationConfig, simulate

    folder = tmp_path_factory.mktemp("without-torch") / "archive"
    for seed in (1, 2):
        header = write_wfdb(simulate(seed, SimulationConfig(duration_s=60.0)).recording, folder)
    return header.with_suffix("")


def test_importing_the_package_loads_neither_torch_nor_numpy():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, qualityfm; print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_reading_cutting_and_scoring_need_no_torch(record):
    code = """
        import qualityfm
        recording = qualityfm.open_recording(sys.argv[1])
        print(len(qualityfm.cut_segments(recording)), len(qualityfm.score_quality(recording).grades))
    """
    assert run_without_torch(code, str(record)).split() == ["2", "2"]


def test_scan_prepare_score_and_report_need_no_torch(record, tmp_path):
    code = """
        from qualityfm.cli.main import main
        archive, record, out = sys.argv[1:]
        assert main(["scan", archive]) == 0
        assert main(["prepare", archive, "--out", out + "/data"]) == 0
        assert main(["score", record, "--out", out + "/table.csv"]) == 0
        assert main(["report", record, "--out", out + "/report.html"]) == 0
        assert main(["inspect", out + "/data"]) == 0
        assert main(["doctor"]) == 0
    """
    printed = run_without_torch(code, str(record.parent), str(record), str(tmp_path))
    assert "pip install 'qualityfm[torch]'" in printed
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_a_verb_that_needs_torch_says_how_to_get_it(record, tmp_path):
    code = """
        from qualityfm.cli.main import main
        print(main(["embed", sys.argv[1], "--model", ".", "--out", sys.argv[2]]))
    """
    assert run_without_torch(code, str(record), str(tmp_path / "e.csv")).strip().endswith("2")


def test_a_models_answers_become_scores_and_embeddings_without_torch():
    out = run_without_torch("""
        import numpy as np
        from qualityfm.inference.scoring import Answers, Scorer
        from qualityfm.segments import SegmentConfig
        from qualityfm.waveform.simulate import SimulationConfig, simulate

        class Even(Scorer):
            def answer(self, values, findings=None):
                num_segments, num_channels, _ = values.shape
                shape = num_segments, num_channels, self.segments.num_seconds
                return Answers(features=np.ones((num_segments, 3), np.float32), quality=np.zeros(shape, np.float32))

        scorer = Even({"name": "even"}, SegmentConfig(), has_quality=True)
        recording = simulate(3, SimulationConfig(duration_s=60.0)).recording
        print(scorer.score(recording).model_quality.max(), scorer.embed(recording).vectors.shape)
    """)
    assert out.split() == ["0.5", "(2,", "3)"]
