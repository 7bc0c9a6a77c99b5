"""Processes of this machine on which `data_prep.engine` runs tasks.

Each gets the work once, when it starts, and ends with the process that started it, however that ends.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

import cloudpickle

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.signals import SIGNALS

_received: list[Callable[[Any], Any]] = []  # the work of this process


class LostProcessError(UserError):
    """A process that was ended from outside."""


@contextmanager
def pool(count: int, work: Callable[[Any], Any]) -> Iterator[Executor]:
    """`count` processes for `run`. Raises LostProcessError if one is ended, and the errors of `work` as they are."""
    context = multiprocessing.get_context('spawn')  # a fork would not copy the threads of JAX
    try:
        with ProcessPoolExecutor(count, context, _begin, (cloudpickle.dumps(work),)) as executor:
            yield executor
    except BrokenProcessPool as error:
        raise LostProcessError(
            f'one of {count} processes that prepare data was killed, probably for lack of memory: set '
            f'DASK_NUM_WORKERS={max(1, count // 2)} and run the same command, which keeps what is finished'
        ) from error


def run(piece: Any) -> Any:
    """The work on a piece, in a process of the pool."""
    return _received[0](piece)


def _begin(work: bytes) -> None:
    for number in SIGNALS:  # which a terminal sends to all processes: the first of them handles them
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _received.append(cloudpickle.loads(work))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
