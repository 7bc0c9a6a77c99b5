"""Claims on the work units of a store, by which any number of processes fill it without a coordinator.

Claims lie in a folder beside the store, removed when it is full. A process holds a lease, a file that it keeps locked
and whose time of change it renews. A claim is a symbolic link, named like the unit, to the lease of its process: only
one process can create it. It is taken over once its process is dead: on the same host that is known at once, because
the lock of the lease is free; on other hosts after SILENCE seconds without renewal.

Claims save work, but nothing depends on them: units that two processes compute, as after a pause longer than SILENCE,
are the same bytes, and chunks are written aside and renamed.
"""

import errno
import fcntl
import os
import platform
import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RENEWAL, SILENCE = 10, 120  # seconds


class Claims:
    """A process's claims on units of the store at `path`; a context, which its lease does not outlive."""

    def __init__(self, path: Path):
        self.folder = path.with_name(f'.{path.name}.claims')
        self._suffix = f'@{platform.node()}.lease'
        self._lease = self.folder / f'{uuid.uuid4().hex}{self._suffix}'
        self._ended = threading.Event()

    def __enter__(self) -> 'Claims':
        self._locked = self._open_lease()
        fcntl.flock(self._locked, fcntl.LOCK_EX)
        self._renewal = threading.Thread(target=self._renew, daemon=True)
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewal.join()
        self._lease.unlink(missing_ok=True)
        os.close(self._locked)

    def _open_lease(self) -> int:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                return os.open(self._lease, os.O_CREAT | os.O_RDWR)
            except FileNotFoundError:  # another process has filled the store and removed the folder
                continue

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL):
            os.utime(self._locked)

    def take(self, unit: str) -> bool:
        """Whether this process may compute the unit: nobody else claims it, or only a dead process."""
        claim = self.folder / unit
        try:
            claim.symlink_to(self._lease.name)
            return True
        except FileExistsError:
            return self._take_over(claim)
        except FileNotFoundError:  # the store is full, and another process has removed the folder
            return False

    def _take_over(self, claim: Path) -> bool:
        """Whether the claim was that of a dead process and now is that of this process."""
        try:
            with self._alone_taking_over():
                if not self._is_abandoned(claim):
                    return False
                aside = self._lease.with_suffix(f'.{claim.name}')
                aside.symlink_to(self._lease.name)
                aside.replace(claim)
                return True
        except FileNotFoundError:  # its process has meanwhile released it, or removed the folder
            return False

    def release(self, unit: str) -> None:
        """Removes the claim on a unit that is done."""
        (self.folder / unit).unlink(missing_ok=True)

    def others(self) -> bool:
        """Whether any other process holds a lease and lives."""
        return not all(self._is_dead(path) for path in self.folder.glob('*.lease') if path != self._lease)

    def remove(self) -> None:
        """Removes the folder, once the store is full."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _alone_taking_over(self) -> Iterator[None]:
        with (self.folder / 'lock').open('w') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _is_abandoned(self, claim: Path) -> bool:
        """Whether the process of a claim has ended. A regular file is a copy of a claim, which no process holds."""
        try:
            return self._is_dead(claim.readlink())
        except OSError as error:
            if error.errno == errno.EINVAL:
                return True
            raise

    def _is_dead(self, lease: Path) -> bool:
        """Whether the process with this lease has ended."""
        path = self.folder / lease
        if path == self._lease:
            return False
        try:
            if not lease.name.endswith(self._suffix):
                os.utime(self._locked)  # the clock of the file system
                return os.fstat(self._locked).st_mtime - path.stat().st_mtime > SILENCE
            with path.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return True
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
