"""A trained model in one file: a ZIP archive of what its use needs, with a digest of every file in it.

Equal work directories give equal bytes. Opening a model unpacks it once into the user's cache, under its own digest.
"""

import hashlib
import http.client
import io
import json
import os
import re
import shutil
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from downscale_jax.fields.datasets.files import object_stores
from downscale_jax.fields.datasets.files.paths import is_url
from downscale_jax.pipeline.records import CLIMATE, COARSE_GRID, STATICS
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import cache_folder, check_output, disk_error
from downscale_jax.systems.workdir import best_step, read_config

NEEDED = ('config.json', 'prepared.json')
OTHERS = (
    STATICS, COARSE_GRID, CLIMATE, 'calibration.json', 'scores.json', 'details.json', 'describe.json',
    'card.md', 'report.html',
)  # fmt: skip
MANIFEST = 'manifest.json'  # {file: SHA-256}
DIGEST = '#sha256='  # after a URL, as pip writes it
TIMEOUT = 60  # s, without a byte from a server
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date of the format


def pack(workdir: Path, output: Path) -> None:
    """Writes the model of a work directory, with the best checkpoint of each task, completely or not at all.

    Raises UserError for a folder that is no trained work directory, an output that exists or does not end in .zip, and
    on a disk error.
    """
    check_output(output, '.zip')
    if output.exists():
        raise UserError(f'--output {output} exists already: choose another name, or delete it first')
    files = files_of(workdir)
    aside = output.with_name(f'.{output.name}.partial')
    try:
        with zipfile.ZipFile(aside, 'w', zipfile.ZIP_DEFLATED) as archive:
            digests = {}
            for name, path in files.items():
                content = path.read_bytes()
                digests[name] = hashlib.sha256(content).hexdigest()
                _add(archive, name, content)
            _add(archive, MANIFEST, json.dumps(digests, indent=1).encode())
        os.replace(aside, output)
    except OSError as error:
        raise UserError(f'cannot write {output}: {disk_error(error)}') from error
    finally:
        aside.unlink(missing_ok=True)


def files_of(workdir: Path) -> dict[str, Path]:
    """{name in the archive: file}, sorted: small files and the best checkpoint of each task.

    Raises UserError where what use needs is missing.
    """
    read_config(workdir)
    for name in NEEDED:
        if not (workdir / name).is_file():
            raise UserError(f'{workdir} has no {name}: train first (--mode=train, the same --workdir)')
    checkpoints = workdir / 'checkpoints'
    tasks = sorted(folder for folder in checkpoints.glob('*') if folder.is_dir())
    if not tasks:
        raise UserError(f'no checkpoint in {checkpoints}: train first (--mode=train, the same --workdir)')
    kept = [path for name in (*NEEDED, *OTHERS) if (path := workdir / name).is_file()]
    for task in tasks:
        kept += [path for path in (task / str(best_step(task))).rglob('*') if path.is_file()]
    return {path.relative_to(workdir).as_posix(): path for path in sorted(kept)}


def unpacked(model: str | Path) -> Path:
    """The work directory in a packed model, in the cache of the user (`XDG_CACHE_HOME`, else ~/.cache).

    `model` is a file or a URL (https, http, s3, gs, abfs). A URL may end in #sha256=DIGEST, that of the file, which is
    then checked, and the file is downloaded only once. Raises UserError for a file that is no packed model, or of which
    a file differs from its digest, and where a URL cannot be read or has another digest.
    """
    place, _, wanted = str(model).partition(DIGEST)
    cache = cache_folder('models')
    if re.fullmatch('[0-9a-f]{64}', wanted) and (cache / wanted).is_dir():
        return cache / wanted
    content = _downloaded(place) if is_url(place) else _read(Path(model))
    digest = hashlib.sha256(content).hexdigest()
    if wanted and wanted != digest:
        raise UserError(f'{place} has the SHA-256 digest {digest}, not {wanted}: check the digest, or get it again')
    folder = cache / digest
    if folder.is_dir():
        return folder
    try:
        cache.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=cache, prefix='.partial-'))
    except OSError as error:
        raise UserError(f'cannot write {cache}: {disk_error(error)}; set XDG_CACHE_HOME to another folder') from error
    try:
        _extract(content, place, aside)
        aside.rename(folder)
    except OSError as error:  # another process may have been faster
        if not folder.is_dir():
            raise UserError(f'cannot unpack {place} into {cache}: {disk_error(error)}') from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _read(path: Path) -> bytes:
    """Raises UserError where the file cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f'cannot read {path}: {disk_error(error)}') from error


def _downloaded(url: str) -> bytes:
    """Raises UserError where the URL cannot be read."""
    try:
        if object_stores.protocol_of(url) in object_stores.PROTOCOLS:
            return object_stores.read(url)
        if not url.startswith(('https://', 'http://')):
            raise UserError(f'{url}: a packed model is opened from a file, https://, http://, s3://, gs:// or abfs://')
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f'cannot read {url}: {error}') from error


def _extract(content: bytes, model: str, folder: Path) -> None:
    """Unpacks into an empty folder what the manifest lists, each file compared with its digest."""
    damaged = f'{model} is not a packed model, or is damaged'
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            digests = json.loads(archive.read(MANIFEST))
            for name, digest in digests.items():
                target = folder / name
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise UserError(f"{damaged} ('{name}' lies outside of it): get it again")
                content = archive.read(name)
                if hashlib.sha256(content).hexdigest() != digest:
                    raise UserError(f"{damaged} ('{name}' differs from its digest): get it again")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    except (zipfile.BadZipFile, KeyError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f'{damaged} ({error}): make one by --mode=pack, or get it again') from error


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
