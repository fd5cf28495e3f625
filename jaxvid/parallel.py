"""Many devices and many processes: the pmap wrapper, per-device batches, start and agreement of processes."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped

AXIS_NAME = "data"


def start_processes(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins this process to the others of a run; to be called before anything touches a device.

    Without arguments the cluster (a TPU pod, Slurm, ...) tells them.
    """
    jax.distributed.initialize(coordinator, num_processes, process_id)


def over_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(state, batch)` as one call for all devices of all processes.

    The state is one replicated value without a device axis, given up to the call; the batch has a leading axis of this
    process's devices (`split_over_devices`). What comes out must be the same on all devices.
    """
    return jax.pmap(step, axis_name=AXIS_NAME, in_axes=(None, 0), out_axes=None, donate_argnums=0)


def over_local_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(variables, batch)` as one call for the devices of this process alone; results keep the device axis."""
    return jax.pmap(step, in_axes=(None, 0), devices=jax.local_devices())


def split_over_devices(batch: PyTree[Shaped[np.ndarray, "batch ..."]]) -> PyTree[Shaped[np.ndarray, "device row ..."]]:
    """The batch of this process with a leading axis of its devices."""
    num_devices = jax.local_device_count()
    return jax.tree.map(lambda values: values.reshape(num_devices, -1, *values.shape[1:]), batch)


def in_batches(
    on_devices: Callable[..., Any], rows: PyTree[Shaped[np.ndarray, "row ..."]], batch_size: int
) -> Iterator[Shaped[np.ndarray, "result ..."]]:
    """What a function over local devices makes of rows, `batch_size` at a time; the last batch is padded to that size.

    Args:
      on_devices: of a batch split over devices; gives a row for each, device by device.
      rows: any number.
      batch_size: a multiple of the devices of this process (`local_multiple`).
    """
    num_rows = len(jax.tree.leaves(rows)[0])
    for first in range(0, num_rows, batch_size):
        count = min(batch_size, num_rows - first)

        def padded(values: np.ndarray, first: int = first, count: int = count) -> np.ndarray:
            # One size, so that there is one program.
            batch = np.zeros((batch_size, *values.shape[1:]), values.dtype)
            batch[:count] = values[first : first + count]
            return batch

        outputs = np.asarray(on_devices(split_over_devices(jax.tree.map(padded, rows))))
        yield outputs.reshape(batch_size, *outputs.shape[2:])[:count]


def require_shareable(key: str, batch_size: int) -> None:
    """Checks that all devices can share a batch evenly.

    Raises:
      ValueError: if not, naming the config key `key`.
    """
    if batch_size < 1 or batch_size % jax.device_count():
        raise ValueError(f"config.{key} is {batch_size}; {jax.device_count()} devices share it: allowed are multiples")


def replicate(state: PyTree) -> PyTree:
    """A state on the devices of this process as `over_devices` gives it back: the first call then compiles for all."""
    return jax.device_put(state, _replicated_over(jax.local_devices()))


def replicate_globally(state: PyTree) -> PyTree:
    """A pmapped state as arrays over the devices of all processes, the only ones that Orbax saves."""
    if jax.process_count() == 1:
        return state
    sharding = _replicated_over(jax.devices())
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), state)


def _replicated_over(devices: list[Any]) -> NamedSharding:
    return NamedSharding(Mesh(np.asarray(devices), (AXIS_NAME,), axis_types=(AxisType.Auto,)), PartitionSpec())


def gather_rows(rows: Shaped[np.ndarray, "row ..."]) -> Shaped[np.ndarray, "all ..."]:
    """The rows of all processes, of which each may have another number."""
    if jax.process_count() == 1:
        return rows
    counts = multihost_utils.process_allgather(np.asarray(len(rows)))
    padded = np.zeros((counts.max(), *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    gathered = multihost_utils.process_allgather(padded)
    return np.concatenate([part[:count] for part, count in zip(gathered, counts, strict=True)])


def on_first_process() -> bool:
    """Whether this process writes what all share."""
    return jax.process_index() == 0


def process_shard() -> tuple[int, int]:
    """The index of this process and the number of processes."""
    return jax.process_index(), jax.process_count()


def local_multiple(batch_size: int) -> int:
    """The smallest batch, not below `batch_size`, that the devices of this process share evenly."""
    num_devices = jax.local_device_count()
    return -(-batch_size // num_devices) * num_devices
