"""Work directories behind a URL (s3, gs, abfs): a folder of the cache that is kept equal to the objects there.

Programs work on the folder. What has changed in it is uploaded every minute and at the end, checkpoints after other
files, so that a run whose machine vanishes continues on another one. Two runs must not write one URL at the same time;
processes of one host that read it share the folder.
"""

import hashlib
import os
import threading
from collections.abc import Container, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.runtime import messages
from downscale_jax.runtime.checkpoints import ASIDE, MARK
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import cache_folder, disk_error, first_line, read_json, write_bytes, write_json
from downscale_jax.runtime.locks import alone
from downscale_jax.systems.storage.claim import PERMANENT

INTERVAL = 60.0  # seconds between uploads
TEMPORARY = (ASIDE, '.claims', '.partial', '.tmp')  # parts of the names of what exists only during a write
# [ETag of the object, size and time of change of the file] when both were equal; [ETag] alone without a file
Version = list[Any]


class Mirror:
    """The folder of a URL; as a context, it is downloaded first, and uploaded while and after it is used.

    Raises UserError for a URL that cannot be written, where the store does not answer, and in one of several processes.
    """

    def __init__(self, url: str):
        object_stores.check_writable(url, '--workdir')
        self.url = url.rstrip('/')
        name, digest = self.url.rpartition('/')[-1], hashlib.sha256(self.url.encode()).hexdigest()[:12]
        self.folder = cache_folder('workdirs') / f'{name}-{digest}'
        self._record = self.folder.with_name(f'{self.folder.name}.json')  # {name: version}
        self._ended = threading.Event()

    def __enter__(self) -> Path:
        if jax.process_count() > 1:
            raise UserError(f'--workdir {self.url}: several processes need a folder that they share')
        self.download()
        self._uploads = threading.Thread(target=self._upload_in_intervals, daemon=True)
        self._uploads.start()
        return self.folder

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._uploads.join()
        try:
            self._upload()
        except UserError as failure:
            text = f'{failure}; {self.folder} holds what was not uploaded: run the same command again'
            if error is not None:  # that of the run is raised
                return messages.warning(text)
            raise UserError(text) from failure
        messages.info(f'{self.url} is the work directory; {self.folder} is a local copy')

    def download(self) -> Path:
        """Fetches what has changed at the URL since this machine last wrote or read it; returns the folder.

        Ignores checkpoints whose upload was interrupted. Raises UserError where the URL cannot be read or the folder
        cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._fetch()
        except OSError as error:
            raise UserError(
                f'cannot write {self.folder}: {disk_error(error)}; free space, or set XDG_CACHE_HOME to another folder'
            ) from error
        return self.folder

    def _fetch(self) -> None:
        try:
            store, known = object_stores.opened(self.url), self._versions()
            found = {entry['path']: entry['e_tag'] for part in store.list() for entry in part}
            for name, tag in found.items():
                file = self.folder / name
                if tag == known.get(name, [None])[0] and file.exists():
                    continue
                if is_temporary(name) or is_cut(name, found):
                    known[name] = [tag]  # the next upload replaces or removes it
                    continue
                file.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(file, bytes(store.get(name).bytes()))
                known[name] = [tag, *state(file)]
        except object_stores.failures() as failure:
            raise UserError(f'cannot read {self.url}: {first_line(failure)}') from failure
        for name in known.keys() - found.keys():  # removed there
            (self.folder / name).unlink(missing_ok=True)
        write_json(self._record, {name: known[name] for name in sorted(found)})

    def _upload_in_intervals(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self._upload()
            except UserError as error:
                messages.warning(f'{error}; trying again in {INTERVAL:.0f} s')

    def _upload(self) -> None:
        """Writes files that have changed, then removes objects whose files are gone.

        Raises UserError where the URL or the record cannot be written, and, before anything is removed, where a file
        that no run removes is gone: the cache was purged.
        """
        failures: tuple[type[Exception], ...] = (OSError, *object_stores.failures())
        try:
            with self._alone():
                self._send()
        except failures as failure:
            raise UserError(f'cannot write {self.url}: {first_line(failure)}') from failure

    def _send(self) -> None:
        store, known = object_stores.opened(self.url), self._versions()
        kept = known.keys() & PERMANENT if 'config.json' in known else set()
        purged = sorted(name for name in kept if not (self.folder / name).exists())
        try:
            replaced = [name for name in known if is_mark(name) and not (self.folder / name).exists()]
            for name in replaced if not purged else ():  # marks of ensembles that others replace
                store.delete(name)
                del known[name]
            present = set()
            for file in finished(self.folder):
                name = file.relative_to(self.folder).as_posix()
                try:
                    now = state(file)
                    content = None if now == known.get(name, [None])[1:] else file.read_bytes()
                except FileNotFoundError:  # an old checkpoint, removed meanwhile
                    continue
                if content is not None:
                    known[name] = [store.put(name, content)['e_tag'], *now]
                present.add(name)
            if purged:
                raise UserError(
                    f'{self.folder / purged[0]} was removed during the run, so nothing is removed at {self.url}'
                )
            for name in sorted(known.keys() - present, reverse=True):  # the mark of a checkpoint first
                store.delete(name)
                del known[name]
        finally:
            write_json(self._record, dict(sorted(known.items())))

    def _versions(self) -> dict[str, Version]:
        return read_json(self._record, 'remove it and its folder') if self._record.exists() else {}

    def _alone(self) -> AbstractContextManager[None]:
        """Context in which no other process of this host changes the folder or its record."""
        lock = self.folder.with_name(f'{self.folder.name}.lock')
        return alone(lock, f'waiting for another process, which copies {self.url}')


def finished(folder: Path) -> Iterator[Path]:
    """Files of a folder that are complete: checkpoints after other files, and marks of the fields of ensembles last.

    Marks are listed first: the fields that they mark were written before, so they are among the other files.
    """
    marks, others = (
        [file for file in complete_files(folder) if is_mark(file.as_posix()) is wanted] for wanted in (True, False)
    )
    yield from sorted(others, key=lambda file: ('checkpoints' in file.relative_to(folder).parts, file))
    yield from sorted(marks)


def complete_files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        for file in (Path(place) / name for name in names):
            if not is_temporary(file.relative_to(folder).as_posix()):
                yield file


def is_mark(name: str) -> bool:
    """Whether a file of an ensemble says that the fields of a work unit are complete."""
    from downscale_jax.downscale.dataset import CLIPPED_SHARE  # late: only runs upload, and they have imported it

    return f'/{CLIPPED_SHARE}/c/' in name


def is_temporary(name: str) -> bool:
    """Whether a file, named relative to the work directory, exists only while others are written."""
    return any(part in name for part in TEMPORARY)


def is_cut(name: str, found: Container[str]) -> bool:
    """Whether an object belongs to a checkpoint (checkpoints/TASK/STEP/...) whose mark was not uploaded."""
    place = name.split('/')[:3]
    return place[0] == 'checkpoints' and '/'.join([*place, MARK]) not in found


def state(file: Path) -> list[int]:
    """Size and time of change, by which a changed file is recognised."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
