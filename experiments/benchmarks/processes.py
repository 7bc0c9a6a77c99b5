"""Measurements in a new process, whose peak memory is its own."""

import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec('P')
T = TypeVar('T')
MIB = 2**20


def in_new_process(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Calls a top-level function in a new Python process.

    Call it from a process that holds little memory: a new process inherits the peak of the one that starts it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(function, *args, **kwargs).result()


def peak_mib() -> float:
    """Peak memory of this process or the largest of its children, libraries and compiler included."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
