"""Claims on the work units of a store in an object store, where files have neither links nor locks.

They follow the rules of `output.claims` by other means. A lease is an object that its process writes anew every RENEWAL
seconds, and a claim an object that holds the name of the lease. It is created only where none exists, and taken over
only where it has not changed since it was read, which the server decides (conditional writes). A process is dead once
its lease has not been renewed for SILENCE seconds by the clock of the server.
"""

import threading
import uuid
from typing import Any

from downscale_jax.downscale.output.claims import RENEWAL, SILENCE


class ObjectClaims:
    """A process's claims on units; a context, which its lease does not outlive.

    `folder` is a store of obstore that holds nothing but claims.
    """

    def __init__(self, folder: Any):
        self._folder = folder
        self._lease = f'{uuid.uuid4().hex}.lease'
        self._ended = threading.Event()

    def __enter__(self) -> 'ObjectClaims':
        self._write_lease()
        self._renewal = threading.Thread(target=self._renew, daemon=True)
        self._renewal.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewal.join()
        self._folder.delete(self._lease)

    def _write_lease(self) -> None:
        self._folder.put(self._lease, b'')

    def _renew(self) -> None:
        while not self._ended.wait(RENEWAL):
            self._write_lease()

    def take(self, unit: str) -> bool:
        """Whether this process may compute the unit: nobody else claims it, or only a dead process."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        lease = self._lease.encode()
        try:
            self._folder.put(unit, lease, mode='create')
            return True
        except AlreadyExistsError:
            pass
        try:
            claim = self._folder.get(unit)
            if not self._is_dead(bytes(claim.bytes()).decode()):
                return False
            version = {name: claim.meta[name] for name in ('e_tag', 'version') if claim.meta[name] is not None}
            self._folder.put(unit, lease, mode=version)
            return True
        except (FileNotFoundError, PreconditionError):  # another process was faster
            return False

    def release(self, unit: str) -> None:
        """Removes the claim on a unit that is done."""
        self._folder.delete(unit)

    def others(self) -> bool:
        """Whether any other process holds a lease and lives."""
        leases = [name for name in self._names() if name.endswith('.lease') and name != self._lease]
        return not all(map(self._is_dead, leases))

    def remove(self) -> None:
        """Removes all claims and leases, once the store is full."""
        self._folder.delete(self._names())

    def _names(self) -> list[str]:
        return [entry['path'] for entry in self._folder.list().collect()]

    def _is_dead(self, lease: str) -> bool:
        """Whether the process with this lease has ended."""
        if lease == self._lease:
            return False
        try:
            renewed = self._folder.head(lease)['last_modified']
        except FileNotFoundError:
            return True
        self._write_lease()  # the clock of the server
        return (self._folder.head(self._lease)['last_modified'] - renewed).total_seconds() > SILENCE
