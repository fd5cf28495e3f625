"""Many devices, of one process or of several: steps and rows over devices.

The training loop calls the jitted, mapped per-device step that `jax.pmap` stands for, written as `jit(shard_map)`,
which is what `jax.pmap` itself has been since JAX 0.8. It is written out because pmap takes no compiler options and
gives host-local arrays, which Orbax refuses.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree, Shaped

AXIS_NAME = "data"

_WHOLE = PartitionSpec()
_ROWS = PartitionSpec(AXIS_NAME)
# Of several steps, the first dimension.
_ROWS_OF_STEPS = PartitionSpec(None, AXIS_NAME)


def count_sharing(batch_size: int) -> int:
    """Returns the number of devices that share a batch of `batch_size` rows of all processes together.

    They are all devices, or in a single process as many of them as divide the batch: a batch of 4 runs on 4 of 8.

    Raises:
      ValueError: if several processes have devices that cannot share the batch evenly, or it has no rows.
    """
    num_devices = jax.device_count()
    if jax.process_count() > 1 and batch_size % num_devices:
        raise ValueError(
            f"{num_devices} devices of {jax.process_count()} processes cannot share a batch of {batch_size} rows; "
            "allowed: multiples of the number of devices"
        )
    if batch_size < 1:
        raise ValueError(f"a batch has {batch_size} rows; allowed: 1 or more")
    return next(count for count in range(min(num_devices, batch_size), 0, -1) if batch_size % count == 0)


def over_devices(step: Callable[..., PyTree], num_devices: int | None = None) -> Any:
    """Returns `step(state, batch)` as one jitted call on the devices of all processes.

    Every device has the whole state (`replicate`), whose memory the call reuses, and its share of the batch's rows
    (`shard_rows`). The results must be the same on all devices.

    Args:
      step: of one device, mapped over the axis AXIS_NAME.
      num_devices: number of devices, from `count_sharing`; all by default.
    """
    mesh = _mesh(jax.devices()[:num_devices])
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(_WHOLE, _ROWS), out_specs=_WHOLE, check_vma=False)
    return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options())


def steps_over_devices(step: Callable[..., PyTree], num_devices: int | None = None) -> Any:
    """Returns `steps(state, table, batches)` as one jitted call: `step(state, table, batch)` for each batch in turn.

    Every device has the whole state, whose memory the call reuses, the whole table (`replicate`), and its share of the
    rows of every batch (`shard_steps`). What a step returns beside the state is stacked.

    Args:
      step: of one device, mapped over the axis AXIS_NAME.
      num_devices: number of devices, from `count_sharing`; all by default.
    """

    def steps(state: PyTree, table: PyTree, batches: PyTree) -> PyTree:
        return jax.lax.scan(lambda state, batch: step(state, table, batch), state, batches)

    mesh, in_specs = _mesh(jax.devices()[:num_devices]), (_WHOLE, _WHOLE, _ROWS_OF_STEPS)
    mapped = jax.shard_map(steps, mesh=mesh, in_specs=in_specs, out_specs=_WHOLE, check_vma=False)
    return jax.jit(mapped, donate_argnums=0, compiler_options=compiler_options())


def take_rows(table: PyTree, rows: jax.Array) -> Any:
    """Returns rows of arrays with a first dimension of rows; of half-precision numbers as float32."""
    taken = jax.tree.map(lambda values: values.at[rows].get(mode="promise_in_bounds"), table)
    return jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.float16 else x, taken)


def take_over_devices(num_devices: int | None = None) -> Callable[[PyTree, jax.Array], Any]:
    """Returns `take_rows` as one jitted call on the devices of all processes.

    Every device has the whole table (`replicate`), and takes the rows that its share of a batch names (`shard_rows`).

    Args:
      num_devices: number of devices, from `count_sharing`; all by default.
    """
    mesh = _mesh(jax.devices()[:num_devices])
    return jax.jit(jax.shard_map(take_rows, mesh=mesh, in_specs=(_WHOLE, _ROWS), out_specs=_ROWS, check_vma=False))


def over_local_devices(step: Callable[..., PyTree]) -> Callable[[PyTree, PyTree], PyTree]:
    """Returns `step(variables, batch)` as one jitted call on the devices of this process alone.

    Every device has all variables and its share of the batch's rows, whose number must be a multiple of the devices
    (`local_multiple`). The result has a row for each row of the batch.
    """
    mesh = _mesh(jax.local_devices())
    mapped = jax.shard_map(step, mesh=mesh, in_specs=(_WHOLE, _ROWS), out_specs=_ROWS, check_vma=False)
    shardings = local_sharding(), NamedSharding(mesh, _ROWS)
    compiled = jax.jit(mapped, in_shardings=shardings, compiler_options=compiler_options())
    return lambda variables, batch: compiled(jax.tree.map(_on_this_process, variables), batch)


def _mesh(devices: Sequence[Any]) -> Mesh:
    return Mesh(np.asarray(devices), (AXIS_NAME,), axis_types=(AxisType.Auto,))


_Leaf = TypeVar("_Leaf")


def _on_this_process(x: _Leaf) -> _Leaf | jax.Array:
    """Returns a replicated array as one that every device of this process has, and no other device."""
    if not isinstance(x, jax.Array):
        return x
    if x.is_fully_addressable:
        # Training may use fewer devices than this process has.
        return x if len(x.devices()) == jax.local_device_count() else jax.device_put(x, local_sharding())
    parts = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, local_sharding(), parts)


def local_sharding() -> NamedSharding:
    """Returns the sharding of an array that every device of this process has."""
    return NamedSharding(_mesh(jax.local_devices()), _WHOLE)


def shapes_on_one_device(state: PyTree) -> PyTree:
    """Returns the shapes of a state as if one device alone had it; its programs are the same on any number of them."""
    sharding = NamedSharding(_mesh(jax.local_devices()[:1]), _WHOLE)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), state)


def shard_rows(batch: PyTree[Shaped[np.ndarray, "row ..."]]) -> PyTree[Shaped[jax.Array, "all ..."]]:
    """Returns a global batch, assembled from each process's rows and sharded over the devices that share it."""
    return _assembled(batch, len(jax.tree.leaves(batch)[0]), _ROWS)


def shard_steps(
    batches: Sequence[PyTree[Shaped[np.ndarray, "row ..."]]],
) -> PyTree[Shaped[jax.Array, "step all ..."]]:
    """Returns the global batches of several steps, stacked; each is sharded as by `shard_rows`."""
    stacked = jax.tree.map(lambda *of_steps: np.stack(of_steps), *batches)
    return _assembled(stacked, len(jax.tree.leaves(batches[0])[0]), _ROWS_OF_STEPS)


def _assembled(arrays: PyTree[np.ndarray], num_rows: int, spec: PartitionSpec) -> PyTree[jax.Array]:
    num_devices = count_sharing(num_rows * jax.process_count())
    sharding = NamedSharding(_mesh(jax.devices()[:num_devices]), spec)
    return jax.tree.map(lambda values: jax.make_array_from_process_local_data(sharding, values), arrays)


def replicate(state: PyTree, num_devices: int | None = None) -> PyTree:
    """Replicates a state, the same on all processes, on the devices that share a batch; all by default."""
    sharding = NamedSharding(_mesh(jax.devices()[:num_devices]), _WHOLE)
    if jax.process_count() == 1:
        return jax.device_put(state, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), state)


def in_batches(
    on_devices: Callable[[PyTree], PyTree], rows: PyTree[Shaped[np.ndarray, "row ..."]], batch_size: int
) -> Iterator[Any]:
    """Applies a function over local devices to rows in batches, the last one padded; yields results without padding.

    Args:
      on_devices: function of a batch; its result, an array or several, has a row for each row of the batch.
      rows: any number of them.
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

        result = on_devices(jax.tree.map(padded, rows))
        yield jax.tree.map(lambda values, count=count: np.asarray(values)[:count], result)


def gather_rows(rows: Shaped[np.ndarray, "row ..."]) -> Shaped[np.ndarray, "all ..."]:
    """Returns the rows of all processes, each of which may have another number of rows."""
    if jax.process_count() == 1:
        return rows
    counts = multihost_utils.process_allgather(np.asarray(len(rows)))
    padded = np.zeros((counts.max(), *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    gathered = multihost_utils.process_allgather(padded)
    return np.concatenate([part[:count] for part, count in zip(gathered, counts, strict=True)])


def on_first_process() -> bool:
    """Returns whether this process is the one that writes files."""
    return jax.process_index() == 0


def process_shard() -> tuple[int, int]:
    """Returns the index of this process and the number of processes."""
    return jax.process_index(), jax.process_count()


def local_multiple(batch_size: int) -> int:
    """Returns `batch_size`, rounded up to a multiple of the number of devices of this process."""
    num_devices = jax.local_device_count()
    return -(-batch_size // num_devices) * num_devices


# All but INDIVIDUAL_CONVOLUTION.
_FUSIONS = ("INDIVIDUAL_DOT", "DOT", "REDUCE")


@functools.cache
def compiler_options() -> dict[str, str]:
    """Returns XLA's options for `jax.jit`: CPU convolutions use Eigen instead of YNN, which is single-threaded.

    Initializes JAX's devices. Measured with jaxlib 0.10 on two cores: a 3x3 convolution from 64 to 144 channels
    over 16 frames of 56x56 took 56 ms with YNN and 37 with Eigen; inference of SHDN took 119 and 39.
    """
    options = {"xla_cpu_experimental_ynn_fusion_type": ",".join(f"LIBRARY_FUSION_TYPE_{name}" for name in _FUSIONS)}
    return options if jax.default_backend() == "cpu" and _are_known(options) else {}


def _are_known(options: dict[str, str]) -> bool:
    """Returns whether this XLA knows the options; names that begin with `xla_cpu_experimental` come and go."""
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
