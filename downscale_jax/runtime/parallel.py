"""Devices and processes: one mesh axis named `batch` over all devices, sharded programs, collective operations.

With `local` the mesh spans the devices of this process only, for work that each process does on its own share.

`sharded` is jit + shard_map, as `jax.pmap` itself has been since JAX 0.8. The state has no device axis, so that it can
be donated, saved and restored as it is. shard_map tracks which values vary over the devices (`check_vma`) and sums the
gradients of those that do not. Cast parameters with `varying` before differentiating; otherwise `pmean` of their
gradients comes out multiplied by the number of devices (Adam hides this factor, SGD does not).
"""

import os
import platform
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from downscale_jax.runtime import compiler, peers
from downscale_jax.runtime.errors import UserError, is_multiprocess
from downscale_jax.runtime.signals import heeding_signals

AXIS = 'batch'
REPLICATED = PartitionSpec()  # equal on all devices
SHARDED_ROWS = PartitionSpec(AXIS)  # leading axis split over the devices


def initialize() -> None:
    """Joins the other processes of a distributed run; call it before any other use of JAX.

    Reads JAX_COORDINATOR_ADDRESS and, outside clusters that JAX detects, JAX_NUM_PROCESSES and JAX_PROCESS_ID. Raises
    UserError unless the last two are whole numbers and JAX_PROCESS_ID is less than JAX_NUM_PROCESSES.
    """
    if is_multiprocess():
        count, index = processes_of(os.environ)
        peers.watch()
        # JAX waits for the others for up to five minutes
        heeding_signals(lambda: jax.distributed.initialize(num_processes=count, process_id=index))


def processes_of(environment: Mapping[str, str]) -> tuple[int | None, int | None]:
    """(number of processes, index of this process) of a distributed run; None where JAX detects them."""
    names = 'JAX_NUM_PROCESSES', 'JAX_PROCESS_ID'
    for name in names:
        if not environment.get(name, '0').isdecimal():
            raise UserError(f'{name}={environment[name]}: must be a whole number')
    count, index = (int(environment[name]) if name in environment else None for name in names)
    if count == 0:
        raise UserError('JAX_NUM_PROCESSES=0: at least one process is needed')
    if count is not None and index is not None and index >= count:
        raise UserError(
            f'JAX_PROCESS_ID={index} with JAX_NUM_PROCESSES={count}: processes are numbered from 0 to one less than '
            'their number'
        )
    return count, index


@cache
def mesh(local: bool = False) -> Mesh:
    """All devices of all processes (`local`: of this process) along the axis `batch`."""
    devices = jax.local_devices() if local else jax.devices()
    return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


def sharded(
    function: Callable, in_specs: tuple, out_specs: Any, donate: tuple[int, ...] = (), local: bool = False
) -> Any:
    """Jitted `function` that runs once per device on that device's shard; collectives use the axis name `AXIS`."""
    mapped = jax.shard_map(function, mesh=mesh(local), in_specs=in_specs, out_specs=out_specs)
    return jax.jit(mapped, donate_argnums=donate, compiler_options=compiler.options())


def replicate(tree: Any, local: bool = False) -> Any:
    """Copies host arrays, equal in all processes, to every device."""
    sharding = NamedSharding(mesh(local), REPLICATED)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def abstract(tree: Any, spec: PartitionSpec = REPLICATED, local: bool = False) -> Any:
    """Shapes and dtypes of `tree` with the sharding of `replicate` or, with SHARDED_ROWS, of `split_rows`."""
    sharding = NamedSharding(mesh(local), spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def split_rows(tree: Any, local: bool = False) -> Any:
    """Global arrays [B, ...], sharded over the devices, from this process's rows [B / processes, ...]."""
    sharding = NamedSharding(mesh(local), SHARDED_ROWS)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree)


def barrier(name: str) -> None:
    """Waits for all processes, however long; a signal ends the wait."""
    if jax.process_count() > 1:
        heeding_signals(lambda: multihost_utils.sync_global_devices(name))


def broadcast_from_first(number: int) -> int:
    """The first process's `number`, in all processes."""
    return number if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def min_over_processes(number: float) -> float:
    """The minimum over all processes; collective: every process must call it."""
    return number if jax.process_count() == 1 else float(multihost_utils.process_allgather(np.float32(number)).min())


def processes_on_this_host() -> int:
    """Number of processes on this machine, including this one; collective."""
    if jax.process_count() == 1:
        return 1
    name = np.uint32(zlib.crc32(platform.node().encode()))
    return int((multihost_utils.process_allgather(name) == name).sum())


def max_over_processes(number: int) -> int:
    """The maximum over all processes; collective."""
    return number if jax.process_count() == 1 else int(multihost_utils.process_allgather(np.int32(number)).max())


def any_process(flag: bool) -> bool:
    """Whether `flag` is set in any process; collective."""
    if jax.process_count() == 1:
        return flag
    return bool(heeding_signals(lambda: multihost_utils.process_allgather(np.array(flag))).any())


def on_all_processes(work: Callable[[], Any]) -> Any:
    """Result of `work()`, run in every process, then a barrier. A UserError in one process is raised in all."""
    result, failure = None, None
    try:
        result = work()
    except UserError as error:
        failure = error
    if any_process(failure is not None):
        raise failure or UserError('another process failed; see its message')
    return result


def on_first_process(work: Callable[[], Any]) -> Any:
    """As `on_all_processes`, with `work()` run in the first process only; None in the others."""
    return on_all_processes(lambda: work() if jax.process_index() == 0 else None)


def local_rows(batch_size: int) -> range:
    """Rows of the global batch that this process reads. Raises UserError unless the devices divide the batch."""
    devices = jax.device_count()
    if batch_size % devices:
        raise UserError(
            f'batch size {batch_size} is not divisible by the {devices} devices: '
            f'choose a multiple of {devices}, for example {max(1, round(batch_size / devices)) * devices}'
        )
    rows = batch_size // jax.process_count()
    return range(jax.process_index() * rows, (jax.process_index() + 1) * rows)


def varying(tree: Any) -> Any:
    """Inside `sharded`: replicated values as varying ones, whose gradients are not summed over the devices."""
    return jax.tree.map(lambda x: jax.lax.pcast(x, AXIS, to='varying'), tree)


def broadcast_from_device(x: jax.Array, index: jax.Array | int) -> jax.Array:
    """Inside `sharded`: the value of device `index`, on all devices; -0 becomes 0."""
    return jax.lax.psum(jnp.where(jax.lax.axis_index(AXIS) == index, x, 0), AXIS)


def row_indices(rows: int) -> jax.Array:
    """Inside `sharded`: indices of this device's rows in the global batch."""
    return jax.lax.axis_index(AXIS) * rows + jnp.arange(rows)


def row_keys(key: jax.Array, rows: int) -> jax.Array:
    """Inside `sharded`: one key per row, folded with the row's index in the global batch."""
    return jax.vmap(lambda i: jax.random.fold_in(key, i))(row_indices(rows))


def row_normals(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Inside `sharded`: standard normals [rows, ...] keyed by index in the global batch."""
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:]))(row_keys(key, shape[0]))


def row_uniforms(key: jax.Array, rows: int) -> jax.Array:
    """Inside `sharded`: [rows] in [0, 1), spaced evenly over the global batch (Kingma et al. 2021, appendix I.1)."""
    total = rows * jax.lax.axis_size(AXIS)
    return (jax.random.uniform(key) + row_indices(rows) / total) % 1.0
