"""Places of a Zarr store: a folder, or objects under a URL (s3, gs, abfs).

In either a store is begun whole or not at all, and claims on its units lie beside it.
"""

import errno
import glob
import shutil
import time
import uuid
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import xarray as xr
import zarr
from zarr.abc.store import Store
from zarr.storage import MemoryStore, ObjectStore

from downscale_jax.downscale.output.claims import Claims
from downscale_jax.downscale.output.object_claims import ObjectClaims
from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.runtime.errors import UserError

ROOT = 'zarr.json'  # the metadata of a store
POLL = 0.5  # seconds between looks at a store that another process begins


class Place(Protocol):
    """Where a store lies; as a string, how messages name it."""

    @property
    def name(self) -> str:
        """The last part."""
        ...

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """Errors of a server that does not answer as it should."""
        ...

    def store(self) -> Path | Store:
        """The store, as zarr opens it."""
        ...

    def exists(self) -> bool: ...

    def begin(self, empty: xr.Dataset, replaced: bool) -> None:
        """Writes the store of an empty data set, in the place of another if that is `replaced`.

        A store that another process has begun meanwhile is left alone. Raises UserError where writing fails.
        """
        ...

    def claims(self) -> Claims | ObjectClaims: ...

    def free(self) -> float:
        """Bytes that are free."""
        ...

    def remove_leftovers(self) -> None:
        """Removes what killed processes left; no other may live."""
        ...


def place_of(path: Path | str) -> Place:
    """The place that a path or a URL names."""
    return Bucket(str(path).rstrip('/')) if is_url(str(path)) else Folder(Path(path))


@dataclass(frozen=True)
class Folder:
    """A folder on a file system."""

    path: Path
    failures = ()

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def store(self) -> Path:
        return self.path

    def exists(self) -> bool:
        return self.path.exists()

    def begin(self, empty: xr.Dataset, replaced: bool) -> None:
        partial = self.path.with_name(f'.{self.name}.{uuid.uuid4().hex}.partial')
        try:
            write_empty(empty, partial)
            if replaced:
                shutil.rmtree(self.path, ignore_errors=True)
            partial.rename(self.path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return
            raise UserError(f'cannot write {self}: {error.strerror or error}; check space and permissions') from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def claims(self) -> Claims:
        return Claims(self.path)

    def free(self) -> float:
        return shutil.disk_usage(self.path).free

    def remove_leftovers(self) -> None:
        for partial in self.path.rglob('*.partial'):
            partial.unlink()
        for begun in self.path.parent.glob(f'.{glob.escape(self.name)}.*.partial'):
            shutil.rmtree(begun)


@dataclass(frozen=True)
class Bucket:
    """Objects whose names begin with a URL; each is written as a whole."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        return self.url.rpartition('/')[-1]

    @cached_property
    def failures(self) -> tuple[type[Exception], ...]:
        return object_stores.failures()

    @cached_property
    def _objects(self) -> Any:
        return object_stores.opened(self.url)

    def store(self) -> ObjectStore:
        return ObjectStore(self._objects)

    def exists(self) -> bool:
        import obstore

        try:
            obstore.head(self._objects, ROOT)
        except FileNotFoundError:
            return False
        return True

    def begin(self, empty: xr.Dataset, replaced: bool) -> None:
        assert not replaced  # by evaluations only, which write to folders
        with self.claims() as claims:
            while not self.exists():
                if not claims.take('begin'):
                    time.sleep(POLL)
                elif not self.exists():
                    self._write(empty)
            claims.release('begin')

    def _write(self, empty: xr.Dataset) -> None:
        import obstore

        objects: dict[str, Any] = {}
        write_empty(empty, MemoryStore(objects))
        for key in sorted(objects, key=lambda key: key == ROOT):  # the root last: marks the store as begun
            obstore.put(self._objects, key, objects[key].to_bytes())

    def claims(self) -> ObjectClaims:
        folder, _, name = self.url.rpartition('/')
        return ObjectClaims(object_stores.opened(f'{folder}/.{name}.claims'))

    def free(self) -> float:
        return float('inf')

    def remove_leftovers(self) -> None:
        pass


def write_empty(empty: xr.Dataset, store: Path | Store) -> None:
    """The metadata and coordinates of a data set."""
    with warnings.catch_warnings():
        # zarr warns of consolidated metadata, which version 3 does not specify; xarray warns where they are missing
        warnings.filterwarnings('ignore', 'Consolidated metadata', zarr.errors.ZarrUserWarning)
        empty.to_zarr(store, compute=False, consolidated=True, zarr_format=3)
