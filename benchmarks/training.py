"""Training steps of a preset on random segments, as a share of what a large matrix product reaches in the same run.

    OMP_NUM_THREADS=1 python benchmarks/training.py qualityfm-tiny

Floating-point operations are counted by torch (matrix products and convolutions; forward, backward and teacher), those
of attention on a CPU, which torch leaves out, by the formulas that it has for other devices. They count all that is
multiplied, under the band's mask too. Memory is that of the process: give one preset at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from qualityfm.models.network import Network
from qualityfm.pretrain.batches import PairBatch
from qualityfm.pretrain.beats import MEASURES
from qualityfm.pretrain.objective import Objective
from qualityfm.pretrain.preset import Preset, load_preset
from qualityfm.quality.findings import NUM_FINDINGS
from qualityfm.records import Cause


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(
    out: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    return sdpa_backward_flop_count(out, query, key, value)


#: What torch's counter lacks.
ON_CPU = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def matmul_rate(size: int = 1536, repeats: int = 8) -> float:
    """Return the floating-point operations per second of a large float32 matrix product."""
    a, b = torch.randn(2, size, size)
    a @ b
    began = time.process_time()
    for _ in range(repeats):
        a @ b
    return 2 * size**3 * repeats / (time.process_time() - began)


def random_batch(preset: Preset, batch_size: int) -> PairBatch:
    """Return a batch of noise with the preset's shapes."""
    segments = preset.segments
    shape = (batch_size, len(segments.channels))
    values = torch.randn(*shape, segments.num_samples)
    hidden = beats = known = findings = None
    if preset.model.tokens != "convolution":
        num_patches = -(-segments.num_samples // preset.model.patch_samples)
        hidden = torch.rand(batch_size, num_patches) < 0.3
        beats = torch.rand(*shape, num_patches, len(MEASURES))
        known = torch.ones_like(beats, dtype=torch.bool)
    if preset.model.heads_see == "tokens and findings":
        findings = torch.rand(*shape, segments.num_seconds, NUM_FINDINGS)
    return PairBatch(
        better=values,
        worse=values.clone(),
        clean=values,
        same_moment=torch.arange(batch_size) % 2 == 0,
        quality=torch.rand(*shape, segments.num_seconds),
        causes=torch.rand(*shape, segments.num_seconds, len(Cause.learnable())) < 0.1,
        has_quality=torch.ones(*shape, segments.num_seconds, dtype=torch.bool),
        hidden=hidden,
        findings=findings,
        beats=beats,
        beats_known=known,
    )


def measure(name: str, batch_size: int, num_steps: int, changes: dict[str, object]) -> dict[str, object]:
    """Return the figures of one preset with other settings of the model."""
    preset = load_preset(name)
    preset = replace(preset, model=replace(preset.model, **changes))
    objective = Objective(Network(preset.segments, preset.model), preset.pretrain)
    optimizer = torch.optim.AdamW(objective.student_parameters())
    batch = random_batch(preset, batch_size)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        objective(batch).terms["loss"].backward()
        optimizer.step()
        objective.teacher.follow(objective.network, objective.projection, 0.99)

    with FlopCounterMode(display=False, custom_mapping=ON_CPU) as counter:
        step()
    rates, peaks = [], []
    for _ in range(num_steps):
        peaks.append(matmul_rate())
        began = time.process_time()
        step()
        rates.append(1 / (time.process_time() - began))
    rate, peak = sorted(rates)[num_steps // 2], sorted(peaks)[num_steps // 2]
    return {
        "preset": name,
        **changes,
        "parameters": objective.network.num_parameters,
        "batch": batch_size,
        "threads": torch.get_num_threads(),
        "pairs_per_cpu_s": round(rate * batch_size, 1),
        "gflop_per_pair": round(counter.get_total_flops() / batch_size / 1e9, 2),
        "share_of_matmul": round(rate * counter.get_total_flops() / peak, 2),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+", help="such as qualityfm-tiny")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=7, help="measured steps; the median counts")
    parser.add_argument("--model", default="{}", help='other settings of the model, such as {"tokens": "channels"}')
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for name in arguments.presets:
        print(json.dumps(measure(name, arguments.batch, arguments.steps, json.loads(arguments.model))), flush=True)


if __name__ == "__main__":
    main()
