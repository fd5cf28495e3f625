"""Many devices and many processes: steps and rows over devices, start and agreement of processes."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped

AXIS_NAME = "data"


_WHOLE = PartitionSpec()


_ROWS = PartitionSpec(AXIS_NAME)


def start_processes(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Joins this process to the others of a run; to be called before anything touches a device.

    Without arguments the cluster (a TPU pod, Slurm, ...) tells them.
    """
    jax.distributed.initialize(coordinator, num_processes, process_id)


def over_devices(step: Callable[..., Any]) -> Any:
    """`step(state, batch)` as one jitted call for all devices of all processes.

    Every device has the whole state (`replicate`), which is given up to the call, and its share of the batch's rows
    (`shard_rows`). What comes out must be the same on all devices.
    """
    mapped = jax.shard_map(step, mesh=_mesh(jax.devices()), in_specs=(_WHOLE, _ROWS), out_specs=_WHOLE, check_vma=False)
    return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options())


def over_local_devices(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(variables, batch)` as one call for the devices of this process alone.

    Every device has all variables and its share of the batch's rows, as many as a multiple of the devices
    (`local_multiple`). What comes out has a row for each of the batch's.
    """
    mesh = _mesh(jax.local_devices())
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(_WHOLE, _ROWS), out_specs=_ROWS, check_vma=False)
    shardings = local_sharding(), NamedSharding(mesh, _ROWS)
    compiled = jax.jit(mapped, in_shardings=shardings, compiler_options=compiler_options())
    return lambda variables, batch: compiled(jax.tree.map(_on_this_process, variables), batch)


def _mesh(devices: Sequence[Any]) -> Mesh:
    return Mesh(np.asarray(devices), (AXIS_NAME,), axis_types=(AxisType.Auto,))


def _on_this_process(x: Any) -> Any:
    """An array that the devices of all processes have as a whole, as one of this process's devices alone."""
    if not isinstance(x, jax.Array) or x.is_fully_addressable:
        return x
    parts = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, local_sharding(), parts)


def local_sharding() -> NamedSharding:
    """Of what each device of this process has as a whole."""
    return NamedSharding(_mesh(jax.local_devices()), _WHOLE)


def shard_rows(batch: PyTree[Shaped[np.ndarray, "row ..."]]) -> PyTree[Shaped[jax.Array, "all ..."]]:
    """The rows of all processes, of which each gives its own, shared out over their devices."""
    sharding = NamedSharding(_mesh(jax.devices()), _ROWS)
    return jax.tree.map(lambda rows: jax.make_array_from_process_local_data(sharding, rows), batch)


def replicate(state: PyTree) -> PyTree:
    """A state, the same on all processes, as a whole on each of their devices."""
    sharding = NamedSharding(_mesh(jax.devices()), _WHOLE)
    if jax.process_count() == 1:
        return jax.device_put(state, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), state)


def in_batches(
    on_devices: Callable[..., Any], rows: PyTree[Shaped[np.ndarray, "row ..."]], batch_size: int
) -> Iterator[Shaped[np.ndarray, "result ..."]]:
    """What a function over local devices makes of rows, `batch_size` at a time; the last batch is padded to that size.

    Args:
      on_devices: of a batch; gives a row for each of its rows.
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

        yield np.asarray(on_devices(jax.tree.map(padded, rows)))[:count]


def require_shareable(key: str, batch_size: int) -> None:
    """Checks that all devices can share a batch evenly.

    Raises:
      ValueError: if not, naming the config key `key`.
    """
    if batch_size < 1 or batch_size % jax.device_count():
        raise ValueError(f"config.{key} is {batch_size}; {jax.device_count()} devices share it: allowed are multiples")


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


# All but INDIVIDUAL_CONVOLUTION.
_FUSIONS = ("INDIVIDUAL_DOT", "DOT", "REDUCE")


@functools.cache
def compiler_options() -> dict[str, str]:
    """For `jax.jit`; it looks for the devices.

    jaxlib 0.10 gives convolutions on the CPU to its library YNN, which computes large ones on one core: 3x3 from 64 to
    144 planes over 16 frames of 56x56 took 56 ms, and 37 by Eigen on two cores; inference of SHDN 119 and 39.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{name}" for name in _FUSIONS)}
    return options if jax.default_backend() == "cpu" and _are_known(options) else {}


def _are_known(options: dict[str, str]) -> bool:
    """Whether this XLA has such options; those that begin with `xla_cpu_experimental` come and go."""
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
