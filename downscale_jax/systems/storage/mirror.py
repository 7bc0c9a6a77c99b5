"""Work directories behind a URL (s3, gs, abfs): a folder of the cache that is kept equal to the objects there.

Programs work on the folder. What has changed in it is uploaded every minute and at the end, checkpoints after all other
files, so that a run whose machine vanishes continues on another one. Two runs must not write one URL at the same time.
"""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import cache_folder, first_line, read_json, write_bytes, write_json

INTERVAL = 60.0  # seconds between uploads
UNFINISHED = ('.orbax-checkpoint-tmp', '.partial')  # in names of files and folders that are being written
Version = list[Any]  # [ETag of the object, size and time of change of the file] when both were equal


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
        except self._failures as failure:
            raise UserError(
                f'cannot write {self.url} ({first_line(failure)}): {self.folder} holds all; run the same command again'
            ) from failure
        messages.info(f'{self.url} is the work directory; {self.folder} is a local copy')

    def download(self) -> Path:
        """Fetches what has changed at the URL since this machine last wrote or read it; returns the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            store, known = object_stores.opened(self.url), self._versions()
            found = {entry['path']: entry['e_tag'] for part in store.list() for entry in part}
            for name, tag in found.items():
                file = self.folder / name
                if tag != known.get(name, [None])[0] or not file.exists():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    write_bytes(file, bytes(store.get(name).bytes()))
                    known[name] = [tag, *state(file)]
        except self._failures as failure:
            raise UserError(f'cannot read {self.url}: {first_line(failure)}') from failure
        for name in known.keys() - found.keys():  # removed there
            (self.folder / name).unlink(missing_ok=True)
        write_json(self._record, {name: known[name] for name in sorted(found)})
        return self.folder

    def _upload_in_intervals(self) -> None:
        while not self._ended.wait(INTERVAL):
            try:
                self._upload()
            except self._failures as failure:
                messages.warning(f'cannot write {self.url} ({first_line(failure)}): trying again in {INTERVAL:.0f} s')

    def _upload(self) -> None:
        """Writes files that have changed, then removes objects whose files are gone."""
        store, known = object_stores.opened(self.url), self._versions()
        try:
            present = set()
            for file in finished(self.folder):
                name = file.relative_to(self.folder).as_posix()
                try:
                    now = state(file)
                    if now != known.get(name, [None])[1:]:
                        known[name] = [store.put(name, file.read_bytes())['e_tag'], *now]
                except FileNotFoundError:  # an old checkpoint, removed meanwhile
                    continue
                present.add(name)
            for name in known.keys() - present:
                store.delete(name)
                del known[name]
        finally:
            write_json(self._record, dict(sorted(known.items())))

    def _versions(self) -> dict[str, Version]:
        return read_json(self._record, 'remove it and its folder') if self._record.exists() else {}

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        return object_stores.failures()


def finished(folder: Path) -> Iterator[Path]:
    """Files of a folder that are complete; those of checkpoints last."""
    files = [
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if not any(mark in f'{place}/{name}' for mark in UNFINISHED)
    ]
    yield from sorted(files, key=lambda file: ('checkpoints' in file.parts, file))


def state(file: Path) -> list[int]:
    """Size and time of change, by which a changed file is recognised."""
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
