"""Preparation by Dask: work on pieces of the data, merged in a tree, on the cores of this machine or on a cluster.

Without a cluster the tasks run on as many threads of this process as DASK_NUM_WORKERS says, by default one per core.
With an active `dask.distributed` client, however it was made (`connect`, a LocalCluster, dask-jobqueue), they run on
its workers, which need the same code, the files of the data under the same names, and the work directory. The merges
depend on the pieces only: results are the same bits on any number of workers.
"""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import dask
from dask.callbacks import Callback
from dask.system import CPU_COUNT
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

PieceT = TypeVar('PieceT')
ResultT = TypeVar('ResultT')
SECONDS = 30  # until a scheduler has to answer


def connect(address: str) -> None:
    """Makes the cluster whose scheduler listens at `address` (tcp://HOST:PORT) the one on which data are prepared.

    Raises UserError where dask.distributed is not installed or no scheduler answers.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(f'--scheduler={address} needs dask.distributed: pip install downscale_jax[archive]') from error
    try:
        client = Client(address, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise UserError(
            f'--scheduler={address}: no Dask scheduler answers ({error}); start it by `dask scheduler`, or correct the '
            'address, tcp://HOST:PORT'
        ) from error
    workers = len(client.scheduler_info()['workers'])
    messages.info(f'data are prepared on {workers} workers at {address}; dashboard: {client.dashboard_link}')


def map_reduce(
    work: Callable[[PieceT], ResultT],
    pieces: Sequence[PieceT],
    merge: Callable[[ResultT, ResultT], ResultT],
    sizes: Sequence[int],
    label: str = '',
) -> ResultT:
    """`work` on every piece, merged pairwise in their order; it is sent to each worker once.

    `sizes`, the bytes of the pieces, drive a progress bar with the `label`, which a terminal shows. Raises UserError
    where Dask is configured with an invalid number of threads.
    """
    bar = tqdm(
        total=sum(sizes), desc=label, unit='B', unit_scale=True, leave=False, disable=None if label else True
    )  # only on a terminal: a log on stderr is for errors
    client = _active_client()
    task, shared = dask.delayed(_alone), dask.delayed(work, traverse=False)
    leaves = [task(shared, piece) for piece in pieces]
    root = _tree(leaves, dask.delayed(merge))
    by_key = dict(zip([leaf.key for leaf in leaves], sizes, strict=True))
    with bar:
        if client is not None:
            return _on_cluster(client, leaves, root, by_key, bar)
        with ThreadPoolExecutor(thread_count()) as pool, _Progress(by_key, bar):
            return root.compute(scheduler='threads', pool=pool)


def thread_count() -> int:
    """Number of threads of this process that prepare data. Raises UserError for an invalid DASK_NUM_WORKERS."""
    count = dask.config.get('num_workers', CPU_COUNT)
    if not isinstance(count, int) or count < 1:
        raise UserError(f'DASK_NUM_WORKERS={count}: the number of threads must be a whole number of at least 1')
    return count


def _alone(work: Callable[[PieceT], ResultT], piece: PieceT) -> ResultT:
    """`work(piece)` with BLAS on one thread from now on: other numbers of threads give other last bits."""
    threadpool_limits(1)
    return work(piece)


def _tree(leaves: list[Any], merge: Any) -> Any:
    while len(leaves) > 1:
        leaves = [merge(*pair) if len(pair) == 2 else pair[0] for pair in _pairs(leaves)]
    return leaves[0]


def _pairs(leaves: list[Any]) -> list[list[Any]]:
    return [leaves[start : start + 2] for start in range(0, len(leaves), 2)]


class _Progress(Callback):
    """Advances a bar by the size of each piece that is done."""

    def __init__(self, sizes: dict[Any, int], bar: tqdm):
        super().__init__(posttask=lambda key, *_: bar.update(sizes.get(key, 0)))


def _on_cluster(client: Any, leaves: list[Any], root: Any, sizes: dict[Any, int], bar: tqdm) -> Any:
    from distributed import as_completed

    *running, result = client.compute([*leaves, root])
    try:
        for future in as_completed(running):
            bar.update(sizes[future.key])
        return result.result()
    except BaseException:
        client.cancel([*running, result])
        raise


def _active_client() -> Any:
    """The client of `connect` or of the program around this one; None without."""
    if 'distributed' not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None
