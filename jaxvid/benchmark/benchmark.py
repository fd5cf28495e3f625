"""Measures the input pipeline, the training step, both together, and inference."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from jaxvid import parallel
from jaxvid.models.flops import jaxpr_flops
from jaxvid.steps import Batch
from jaxvid.train.setup import Run, set_up
from jaxvid.trained import compile_probabilities
from jaxvid.types import ConfigDict

# Peak rates in FLOP/s, dense bfloat16 and TF32, from NVIDIA's data sheets, by part of the device's name.
_PEAK_FLOPS = {"H200": (989e12, 495e12), "H100": (989e12, 495e12), "A100": (312e12, 156e12), "L4": (121e12, 60e12)}

Row = dict[str, Any]


def benchmark(config: ConfigDict, num_steps: int) -> Iterator[Row]:
    """Yields a row for the setting, then the rates of the pipeline, the step, both, and inference.

    A batch of inference is one of training, of one process: clips in memory to class probabilities.
    """
    run = set_up(config)
    batch_size = run.config.train.batch_size
    device = f"{parallel.count_sharing(batch_size)} x {jax.devices()[0].device_kind}"
    yield {"what": "setting", "device": device, "batch_size": batch_size}
    yield from rates(run, num_steps)


def rates(run: Run, num_steps: int) -> Iterator[Row]:
    """Yields the rates of the parts of a run, each measured over `num_steps` batches."""
    config, state = run.config, run.initial_state

    def step(batch: Batch) -> None:
        nonlocal state
        state, metrics = run.step(state, batch)
        jax.block_until_ready(metrics)

    def row(what: str, seconds: float) -> Row:
        return {"what": what, **_rates(config.train.batch_size, config.clip.num_frames, seconds)}

    next(run.batches)
    yield row("pipeline", _seconds_per_call(lambda: next(run.batches), num_steps))

    batch = parallel.shard_rows(next(run.batches))
    began = time.perf_counter()
    traced = run.step.trace(state, batch)
    traced.lower().compile()
    compile_seconds = time.perf_counter() - began
    flops_per_step = jaxpr_flops(traced.jaxpr)
    step(batch)
    seconds = _seconds_per_call(lambda: step(batch), num_steps)
    yield {
        **row("step", seconds),
        "compile_seconds": compile_seconds,
        "gflops_per_step": flops_per_step / 1e9,
        "share_of_peak": _share_of_peak(
            flops_per_step / seconds, config.model.dtype, parallel.count_sharing(config.train.batch_size)
        ),
    }
    yield row("both", _seconds_per_call(lambda: step(parallel.shard_rows(next(run.batches))), num_steps))

    probabilities = compile_probabilities(run.model, config)
    inputs = next(run.batches)
    infer = lambda: jax.block_until_ready(probabilities(state.variables, inputs))  # noqa: E731
    infer()
    yield row("inference", _seconds_per_call(infer, num_steps))


def _seconds_per_call(call: Callable[[], object], num_calls: int) -> float:
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


def _share_of_peak(flops_per_second: float, dtype: str, num_devices: int) -> float | None:
    """Returns the share of the peak of the devices in use together, or None for devices of unknown peak."""
    kind = jax.devices()[0].device_kind
    peaks = next((peaks for name, peaks in _PEAK_FLOPS.items() if name in kind), None)
    if peaks is None:
        return None
    return flops_per_second / (peaks[dtype != "bfloat16"] * num_devices)
