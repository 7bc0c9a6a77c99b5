"""Devices: one mesh axis named `batch` over all devices of all hosts, and the sharded programs that run on them.

With `local` the devices are those of this process: for work that needs no other process, each with its own share.

`sharded` is jit + shard_map, what `jax.pmap` itself is made of since JAX 0.8: the state has no device axis, so that it
can be donated, saved and restored as it is. `check_vma=False` because otherwise `pmean` of gradients comes out
multiplied by the number of devices (Adam hides it, SGD does not).
"""

import os
import platform
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from downscale_jax.runtime import compiler
from downscale_jax.runtime.errors import UserError, several

AXIS = 'batch'
WHOLE = PartitionSpec()  # the same on every device
ROWS = PartitionSpec(AXIS)  # leading axis split over the devices


def initialize() -> None:
    """Meets the other processes where there are several hosts; to be called before anything asks for devices.

    By environment: JAX_COORDINATOR_ADDRESS and, where no cluster tells them, JAX_NUM_PROCESSES and JAX_PROCESS_ID.
    """
    if several():
        names = 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'
        count, index = (int(os.environ[name]) if name in os.environ else None for name in names)
        jax.distributed.initialize(num_processes=count, process_id=index)


@cache
def mesh(local: bool = False) -> Mesh:
    """All devices of all processes along one axis."""
    devices = jax.local_devices() if local else jax.devices()
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def sharded(
    function: Callable, in_specs: tuple, out_specs: Any, donate: tuple[int, ...] = (), local: bool = False
) -> Any:
    """Jits `function`, run once on each device with its share; collectives name the axis `AXIS`."""
    mapped = jax.shard_map(function, mesh=mesh(local), in_specs=in_specs, out_specs=out_specs, check_vma=False)
    return jax.jit(mapped, donate_argnums=donate, compiler_options=compiler.options())


def replicate(tree: Any, local: bool = False) -> Any:
    """Host arrays, equal in every process -> arrays on every device."""
    sharding = NamedSharding(mesh(local), WHOLE)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def abstract(tree: Any, spec: PartitionSpec = WHOLE, local: bool = False) -> Any:
    """Shapes of `tree` with the layout that `replicate` (or, with ROWS, `split_rows`) gives."""
    sharding = NamedSharding(mesh(local), spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def split_rows(tree: Any, local: bool = False) -> Any:
    """This process's rows [B / processes, ...] -> global arrays [B, ...] laid out over the devices."""
    sharding = NamedSharding(mesh(local), ROWS)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def barrier(name: str) -> None:
    """Waits for all processes."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def from_first(number: int) -> int:
    """What the first process has, in all of them."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def least(number: float) -> float:
    """The smallest of what the processes have; all have to ask at the same time."""
    return number if jax.process_count() == 1 else float(multihost_utils.process_allgather(np.float32(number)).min())


def on_this_host() -> int:
    """How many of the processes run on this machine, this one among them; all have to ask at the same time."""
    if jax.process_count() == 1:
        return 1
    name = np.uint32(zlib.crc32(platform.node().encode()))
    return int((multihost_utils.process_allgather(name) == name).sum())


def in_any(flag: bool) -> bool:
    """Whether `flag` is set in any process; all have to ask at the same time."""
    return flag if jax.process_count() == 1 else bool(multihost_utils.process_allgather(np.array(flag)).any())


def together(work: Callable[[], Any]) -> Any:
    """`work()` in every process, a barrier behind it. Where it raises UserError in one, all end with one."""
    result, refused = None, None
    try:
        result = work()
    except UserError as error:
        refused = error
    if in_any(refused is not None):
        raise refused or UserError('another process was stopped by a mistake, which it tells')
    return result


def by_first(work: Callable[[], Any]) -> Any:
    """`work()` in the first process, None in the others; as `together`."""
    return together(lambda: work() if jax.process_index() == 0 else None)


def local_rows(batch_size: int) -> range:
    """Rows of the global batch that this process reads. Raises UserError if they do not divide over the devices."""
    devices = jax.device_count()
    if batch_size % devices:
        raise UserError(
            f'batch size {batch_size} is not divisible by the {devices} devices: '
            f'choose a multiple of {devices}, for example {max(1, round(batch_size / devices)) * devices}'
        )
    rows = batch_size // jax.process_count()
    return range(jax.process_index() * rows, (jax.process_index() + 1) * rows)


def of_device(x: jax.Array, index: jax.Array | int) -> jax.Array:
    """Inside `sharded`: what the device of this index has, on all devices; -0 becomes 0."""
    return jax.lax.psum(jnp.where(jax.lax.axis_index(AXIS) == index, x, 0), AXIS)


def row_indices(rows: int) -> jax.Array:
    """Inside `sharded`: indices in the global batch of this device's `rows`."""
    return jax.lax.axis_index(AXIS) * rows + jnp.arange(rows)


def row_keys(key: jax.Array, rows: int) -> jax.Array:
    """Inside `sharded`: a key for each row, by its index in the global batch."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(row_indices(rows))


def row_normals(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Inside `sharded`: standard normals [rows, ...] keyed by index in the global batch: the same on any split."""
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(row_keys(key, shape[0]))


def row_uniforms(key: jax.Array, rows: int) -> jax.Array:
    """Inside `sharded`: [rows] in [0, 1), spread evenly over the global batch (Kingma et al. 2021, appendix I.1)."""
    total = rows * jax.lax.axis_size(AXIS)
    return (jax.random.uniform(key) + row_indices(rows) / total) % 1.0
