"""Rates of the input pipeline, the training step, both together, and inference."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import jax

from jaxvid import parallel
from jaxvid.benchmark.timing import Row, Times, time_calls
from jaxvid.models.flops import jaxpr_flops
from jaxvid.steps import Batch
from jaxvid.train.setup import Run
from jaxvid.trained import compile_probabilities
from jaxvid.types import ConfigDict

# Peak rates in FLOP/s, dense bfloat16 and TF32, from NVIDIA's data sheets, by part of the device's name.
_PEAK_FLOPS = {"H200": (989e12, 495e12), "H100": (989e12, 495e12), "A100": (312e12, 156e12), "L4": (121e12, 60e12)}


class Programs:
    """The step and the inference of a run, with a batch in memory; each compiles when it is first measured.

    A batch of inference is one of training, of one process: clips in memory to class probabilities. Where a call takes
    several steps (`pipeline.steps_per_call`), a step is its share of such a call.
    """

    def __init__(self, run: Run, clips: Iterator[Batch], num_batches: int):
        """Compiles nothing yet.

        Args:
          run: whose batches may name rows in device memory.
          clips: streamed batches of it, for inference.
          num_batches: in every measurement, of which the mean is taken: as many as are whole calls, and one call at
            least.
        """
        self.run = run
        self._clips = clips
        self._num_batches = num_batches
        self._state = run.initial_state

    def time(self, part: str) -> Times:
        """Measures one of pipeline, step, both and inference, after a call that is left out.

        That call compiles, or, after another program's turn, finds caches and memory cold. Peers leave it out too.
        """
        calls = {
            "pipeline": lambda: next(self.run.batches),
            "step": lambda: self._step(self.batches),
            "both": lambda: self._step(self._next_batches()),
            "inference": self._infer,
        }
        calls[part]()
        batches_per_call = self.run.steps_per_call if part in ("step", "both") else 1
        times = time_calls(calls[part], max(1, self._num_batches // batches_per_call))
        return Times(*(value / batches_per_call for value in times))

    def clips_per_second(self, part: str) -> float:
        """Measures a part, as `time` does."""
        return self.run.config.train.batch_size / self.time(part).seconds

    @cached_property
    def batches(self) -> Batch:
        """The batches of a call, on the devices."""
        return self._next_batches()

    def traced_steps(self) -> Any:
        """Returns the steps of a call as JAX traces them."""
        return self._program.trace(self._state, self.batches)

    @property
    def _program(self) -> Any:
        return self.run.program(self.run.steps_per_call)

    def _next_batches(self) -> Batch:
        return self.run.next_batches(self.run.steps_per_call)

    def _step(self, batches: Batch) -> None:
        self._state, metrics = self._program(self._state, batches)
        jax.block_until_ready(metrics)

    @cached_property
    def _inference(self) -> tuple[Any, Any]:
        return compile_probabilities(self.run.model, self.run.config), next(self._clips)

    def _infer(self) -> None:
        probabilities, inputs = self._inference
        jax.block_until_ready(probabilities(self._state.variables, inputs))


def rates(programs: Programs, parts: Sequence[str]) -> Iterator[Row]:
    """Yields the rates of the parts in their order."""
    for part in parts:
        # Before the measurement, which would compile the step too.
        compiled = _compilation(programs) if part == "step" else {}
        times = programs.time(part)
        more = _of_step(programs, compiled, times) if part == "step" else {}
        yield {"what": part, **_rates(programs.run.config, times), **more}


def _rates(config: ConfigDict, times: Times) -> Row:
    clips = config.train.batch_size / times.seconds
    return {
        "ms_per_step": 1e3 * times.seconds,
        "cpu_ms_per_step": 1e3 * times.cpu_seconds,
        "clips_per_second": clips,
        "frames_per_second": clips * config.clip.num_frames,
    }


def _compilation(programs: Programs) -> Row:
    began = time.perf_counter()
    traced = programs.traced_steps()
    traced.lower().compile()
    gflops = jaxpr_flops(traced.jaxpr) / 1e9 / programs.run.steps_per_call
    return {"compile_seconds": time.perf_counter() - began, "gflops_per_step": gflops}


def _of_step(programs: Programs, compiled: Row, times: Times) -> Row:
    config = programs.run.config
    flops_per_second = 1e9 * compiled["gflops_per_step"] / times.seconds
    num_devices = parallel.count_sharing(config.train.batch_size)
    share = _share_of_peak(flops_per_second, config.model.dtype, num_devices)
    return {**compiled, "share_of_peak": share, "peak_gib": _peak_gib()}


def _share_of_peak(flops_per_second: float, dtype: str, num_devices: int) -> float | None:
    """Returns the share of the peak of the devices in use together, or None for devices of unknown peak."""
    kind = jax.devices()[0].device_kind
    peaks = next((peaks for name, peaks in _PEAK_FLOPS.items() if name in kind), None)
    if peaks is None:
        return None
    return flops_per_second / (peaks[dtype != "bfloat16"] * num_devices)


def _peak_gib() -> float | None:
    """Returns the largest memory that the first device has had in use, or None where the device does not tell."""
    statistics = jax.devices()[0].memory_stats() or {}
    peak = statistics.get("peak_bytes_in_use")
    return None if peak is None else peak / 2**30
