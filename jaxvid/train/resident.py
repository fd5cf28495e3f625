"""Training data that stays in device memory: batches name its rows, and the devices take them there.

The sampling, the order and the position of the batches are those of the pipeline that streams, and the step is the same
program: a run may change from one way to the other when it is resumed, and computes the same bits. What is saved is
decoding the frames again in every epoch, and their way to the device.

With `pipeline.steps_per_call` a call takes several steps, so that Python and the start of a program are paid once for
all of them. A call ends where something is logged, evaluated or saved; steps that are too few for another call until
then are taken one by one, by the program above. So choose a number that divides `train.log_every_steps`, and that fits
into the steps between evaluations. A request to stop is heard at the end of a call. Where it was tried, on the CPU,
calls of any length compute the same bits; XLA does not promise that, least of all elsewhere.
"""

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from absl import logging
from jaxtyping import PyTree

from jaxvid import parallel, processes
from jaxvid.config import at_least, one_of
from jaxvid.data.pipeline import ROWS, training_batches
from jaxvid.data.resident import FrameRows
from jaxvid.data.sampling import create_sampling
from jaxvid.steps import Batch, TrainState
from jaxvid.train.setup import Run
from jaxvid.types import ConfigDict

RESIDENT = ("false", "true", "auto")
# Of an accelerator's memory: the rest is for the state, the activations and the batches.
_SHARE_OF_ACCELERATOR = 0.3
# Of the host's: on the CPU it is what all programs share.
_SHARE_OF_HOST = 0.1


def check_resident(config: ConfigDict) -> None:
    """Checks `pipeline.resident` and `pipeline.steps_per_call`.

    Raises:
      ValueError: if the first is none of RESIDENT, or "true" for clips with sound, or the second is below 1, or above
        it for data that is streamed.
    """
    one_of(config.pipeline, "pipeline.resident", RESIDENT)
    at_least(config.pipeline, 1, "pipeline.steps_per_call")
    if config.pipeline.steps_per_call > 1 and config.pipeline.resident == "false":
        raise ValueError(
            f"config.pipeline.steps_per_call is {config.pipeline.steps_per_call}; allowed with pipeline.resident "
            "'false': 1 (several steps need their data in device memory: 'true', or 'auto')"
        )
    if config.pipeline.resident == "true" and config.audio.sample_rate:
        raise ValueError(
            f"config.pipeline.resident is 'true'; allowed with audio.sample_rate {config.audio.sample_rate}: 'false', "
            "'auto' (sound is always streamed)"
        )


def is_resident(config: ConfigDict, num_bytes: int) -> bool:
    """Returns whether data of a size is kept in device memory: where the config says so, or "auto" and it is small.

    It is small where it is so on every host, as all must compile the same program: all processes must call this.
    """
    wanted = config.pipeline.resident
    if wanted != "auto":
        return wanted == "true"
    answers = processes.exchange("small" if num_bytes <= largest_resident() else "large")
    return all(answer == "small" for answer in answers)


def largest_resident() -> float:
    """Returns the bytes up to which "auto" keeps data on this host's devices; 0 where they do not tell their memory."""
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return _SHARE_OF_HOST * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _SHARE_OF_ACCELERATOR * (device.memory_stats() or {}).get("bytes_limit", 0)


def with_resident_frames(run: Run) -> Run:
    """Returns the run with the frames of its training clips in device memory, if its config asks for that.

    They are decoded now. Where clips have sound, it is streamed, and the frames with it.
    """
    config, split = run.config, run.splits.train
    if config.pipeline.resident == "false" or config.audio.sample_rate:
        return run
    rows = FrameRows(split, create_sampling(config.clip))
    num_bytes = rows.num_rows * int(np.prod(config.dataset.frame_size)) * 3
    if not is_resident(config, num_bytes):
        logging.info("Frames are streamed: %.1f MB are more than 'auto' keeps in device memory", num_bytes / 1e6)
        return run
    logging.info("%d frames of %s stay in device memory: %.1f MB", rows.num_rows, split.name, num_bytes / 1e6)
    table = {"frames": rows.decode(split, config.pipeline.num_threads)}
    batches = training_batches(
        split,
        config.clip,
        batch_size=config.train.batch_size,
        seed=config.seed,
        num_threads=config.pipeline.num_threads,
        num_workers=config.pipeline.num_workers,
        shard=parallel.process_shard(),
        rows=rows,
    )
    return with_table(dataclasses.replace(run, batches=batches), table)


def with_table(run: Run, table: dict[str, PyTree[np.ndarray]]) -> Run:
    """Returns the run with a table in device memory: in its batches, ROWS stand in place of what is there.

    Args:
      run: with such batches.
      table: what batches have by name, with a first dimension of rows.
    """
    num_devices = parallel.count_sharing(run.config.train.batch_size)
    on_devices = parallel.replicate(table, num_devices)
    run = dataclasses.replace(run, step=ResidentStep(run.step, on_devices, num_devices))
    if run.config.pipeline.steps_per_call == 1:
        return run
    return dataclasses.replace(run, many_steps=ResidentSteps(run.step_of_device, on_devices, num_devices))


class ResidentStep:
    """A step whose batches have ROWS, rows of arrays in device memory, in place of what stands there."""

    def __init__(self, step: Any, table: dict[str, PyTree[jax.Array]], num_devices: int):
        """Compiles nothing yet.

        Args:
          step: `(state, batch)` -> `(state, metrics)`, as `parallel.over_devices` returns it.
          table: what batches have by name, with a first dimension of rows, on the devices (`parallel.replicate`).
          num_devices: number of them.
        """
        self._step = step
        self._table = table
        self._take = parallel.take_over_devices(num_devices)

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        """Takes one step."""
        return self._step(state, self._taken(batch))

    def trace(self, state: TrainState, batch: Batch) -> Any:
        """Returns the step as JAX traces it, without the taking of rows."""
        return self._step.trace(state, self._taken(batch))

    def _taken(self, batch: Batch) -> Batch:
        return _without_rows(batch) | self._take(self._table, batch[ROWS])


class ResidentSteps:
    """Several steps in one call, each as a ResidentStep takes it."""

    def __init__(self, step_of_device: Callable[..., Any], table: dict[str, PyTree[jax.Array]], num_devices: int):
        """Compiles nothing yet; takes arguments as ResidentStep does, but for the step, which is not compiled."""

        def step(state: TrainState, table: dict[str, PyTree[jax.Array]], batch: Batch) -> Any:
            return step_of_device(state, _without_rows(batch) | parallel.take_rows(table, batch[ROWS]))

        self._steps = parallel.steps_over_devices(step, num_devices)
        self._table = table

    def __call__(self, state: TrainState, batches: Batch) -> tuple[TrainState, dict[str, jax.Array]]:
        """Takes a step for each of the batches (`parallel.shard_steps`); the metrics of the steps are stacked."""
        return self._steps(state, self._table, batches)

    def trace(self, state: TrainState, batches: Batch) -> Any:
        """Returns the steps as JAX traces them."""
        return self._steps.trace(state, self._table, batches)


def _without_rows(batch: Batch) -> Batch:
    return {name: values for name, values in batch.items() if name != ROWS}
