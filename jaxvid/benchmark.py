"""Measures what a config costs: the input pipeline alone, the training step alone, both together, and inference.

    python -m jaxvid.benchmark --config=configs/NAME.py[:key=value,...] [--steps=20]

Prints one JSON object a line. The dataset is the config's, built if need be.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from jaxvid import commands, parallel
from jaxvid.models.flops import jaxpr_flops
from jaxvid.train.setup import Run, set_up
from jaxvid.trained import compile_probabilities

_CONFIG = config_flags.DEFINE_config_file("config", None, "config file, with its string argument after a colon")
_STEPS = flags.DEFINE_integer("steps", 20, "training steps to measure", lower_bound=1)

# Peak rates in FLOP/s, dense bfloat16 and TF32, from NVIDIA's data sheets, by part of the device's name.
_PEAK_FLOPS = {"H200": (989e12, 495e12), "H100": (989e12, 495e12), "A100": (312e12, 156e12), "L4": (121e12, 60e12)}


def benchmark(run: Run, num_steps: int) -> Iterator[dict[str, Any]]:
    """Figures of the pipeline, of the step, of both, and of inference, in that order.

    A batch of inference is one of training, of one process: clips in memory to class probabilities.
    """
    config = run.config
    batch_size = config.train.batch_size
    rates = lambda seconds: _rates(batch_size, config.clip.num_frames, seconds)  # noqa: E731

    next(run.batches)
    yield {"what": "pipeline", **rates(_seconds_per_call(lambda: next(run.batches), num_steps))}

    batch = parallel.shard_rows(next(run.batches))
    began = time.perf_counter()
    traced = run.step.trace(run.initial_state, batch)
    traced.lower().compile()
    compile_seconds = time.perf_counter() - began
    flops_per_step = jaxpr_flops(traced.jaxpr)
    state = run.initial_state

    def step(batch: Any) -> None:
        nonlocal state
        state, figures = run.step(state, batch)
        jax.block_until_ready(figures)

    step(batch)
    seconds = _seconds_per_call(lambda: step(batch), num_steps)
    yield {
        "what": "step",
        "compile_seconds": compile_seconds,
        **rates(seconds),
        "gflops_per_step": flops_per_step / 1e9,
        "share_of_peak": _share_of_peak(flops_per_step / seconds, config.model.dtype),
    }
    together = _seconds_per_call(lambda: step(parallel.shard_rows(next(run.batches))), num_steps)
    yield {"what": "both", **rates(together)}

    probabilities = compile_probabilities(run.model, config)
    inputs = next(run.batches)
    infer = lambda: jax.block_until_ready(probabilities(state.variables, inputs))  # noqa: E731
    infer()
    yield {"what": "inference", **rates(_seconds_per_call(infer, num_steps))}


def _seconds_per_call(call: Callable[[], Any], num_calls: int) -> float:
    began = time.perf_counter()
    for _ in range(num_calls):
        call()
    return (time.perf_counter() - began) / num_calls


def _rates(batch_size: int, num_frames: int, seconds: float) -> dict[str, float]:
    return {
        "ms_per_step": 1e3 * seconds,
        "clips_per_second": batch_size / seconds,
        "frames_per_second": batch_size * num_frames / seconds,
    }


def _share_of_peak(flops_per_second: float, dtype: str) -> float | None:
    """Of the peak of all devices together; None for devices whose peak is not known."""
    kind = jax.devices()[0].device_kind
    peaks = next((peaks for name, peaks in _PEAK_FLOPS.items() if name in kind), None)
    if peaks is None:
        return None
    return flops_per_second / (peaks[dtype != "bfloat16"] * jax.device_count())


def main(argv: Sequence[str]) -> None:
    """The command."""
    del argv
    commands.keep_compiled_programs()
    run = set_up(_CONFIG.value)
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(json.dumps({"what": "setting", "device": device, "batch_size": run.config.train.batch_size}), flush=True)
    for figures in benchmark(run, _STEPS.value):
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    commands.run(main)
