"""A lock between processes that ends with the process that holds it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from downscale_jax.runtime import messages


@contextmanager
def alone(path: Path, waiting: str) -> Iterator[None]:
    """Context that one process or thread at a time enters; the others report `waiting` and wait.

    The kernel locks the file `path`, which is removed at the end. It releases the lock of a process that is killed.
    """
    while True:
        with path.open('w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                messages.info(waiting)
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file.fileno(), path):  # the process that held the lock has removed the file
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(file: int, path: Path) -> bool:
    """Whether the open file is the one at `path`."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
