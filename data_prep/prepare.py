"""Preparation of data: raw fields become TFDS records with a fitted transform, of the kind that `data.kind` names.

The directory (see `downscale_jax.pipeline.records`) is named by a digest of its settings: runs share it, and a changed
setting makes a new one. It is written under a temporary name, by one process at a time: others with the same settings
wait for it. An interrupted or killed preparation leaves its finished shards, and the next one writes the others.
"""

import hashlib
import json
import shutil
from pathlib import Path

from threadpoolctl import threadpool_limits

from data_prep.records import shards
from downscale_jax.fields.datasets.files import paths
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import disk_error, file_name
from downscale_jax.runtime.locks import alone
from downscale_jax.runtime.tables import ImportedOnUse

# each has KEYS (the settings that its records depend on), PATHS (those of them that name files), VERSION,
# write(data, seed, directory, name)
KINDS = ImportedOnUse(
    block_means='data_prep.records.block_means',
    images='data_prep.records.images',
    lag_pairs='data_prep.records.lag_pairs',
    pairs='data_prep.records.pairs',
    refinement='data_prep.records.refinement',
    scenes='data_prep.records.scenes',
)


def prepare(data: dict, seed: int, root: Path) -> Prepared:
    """Prepares the data of a config's `data` section in a directory under `root`, unless it exists already.

    `data.simulate.seed`, if given, replaces `seed`. The section is one that `downscale_jax.settings.data` allows.
    """
    seed = data['simulate'].get('seed', seed)
    directory = root / name_of(data, seed)
    if not directory.exists() and (older := prepared_before(data, seed, root)):
        return Prepared(older)
    if not directory.exists():
        lock = directory.with_name(f'.{directory.name}.lock')
        try:
            root.mkdir(parents=True, exist_ok=True)
            with alone(lock, f'waiting for another process, which prepares {directory}'):
                if not directory.exists():  # the other process may have failed
                    write(data, seed, directory)
        except Exception as error:  # of the system, or of TFDS around it
            if reason := disk_error(error):
                raise UserError(
                    f'cannot write prepared data to {directory}: {reason}; free space or choose another --workdir, '
                    'then run the same command'
                ) from error
            raise
    return Prepared(directory)


def write(data: dict, seed: int, directory: Path) -> None:
    """Writes the directory under a temporary name, where an earlier call that was killed may have left shards."""
    kind, partial = KINDS[data['kind']], directory.with_name(f'.{directory.name}.partial')
    try:
        partial.mkdir(exist_ok=True)
        with threadpool_limits(1):  # of BLAS, as on workers: other numbers of threads give other last bits
            kind.write(data, seed, partial, directory.name)
        shards.finish(partial)
        partial.rename(directory)
    except Exception:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def prepared_before(data: dict, seed: int, root: Path) -> Path | None:
    """The directory that an earlier version prepared, whose name does not depend on the files of `counted_since`, where
    these have not changed since; None without."""
    directory = root / name_of(data, seed, before=True)
    written, files = directory / 'prepared.json', counted_since(data)
    if not files or not written.exists():
        return None
    return directory if max(time for *_, time in files) <= written.stat().st_mtime_ns else None


def counted_since(data: dict) -> list[tuple[str, int, int]]:
    """The state of the files that did not count in the names of earlier versions: a relief, and those in a table."""
    kind = KINDS[data['kind']]
    named = kind.named_files(data) if data['kind'] == 'scenes' else []
    relief = '' if 'relief' in kind.PATHS else data.get('relief', '')
    return paths.fingerprint([relief, *named])


def name_of(data: dict, seed: int, before: bool = False) -> str:
    """Kind of the data and digest of the settings, and of the sizes and times of files, that preparation depends on.

    `before`: the name that earlier versions gave, in which fewer files count (`counted_since`).

    A pair of bounds that all variables share counts once, as in version 0.1.0: data and work directories stay valid.
    """
    kind = KINDS[data['kind']]
    settings = {key: data.get(key) for key in kind.KEYS}
    state = [file for key in kind.PATHS for file in paths.fingerprint(data.get(key, ''))]
    if not before:
        state += counted_since(data)
    if (bounds := settings.get('bounds')) and bounds[1:] == bounds[:-1]:
        settings['bounds'] = bounds[0]
    text = json.dumps([kind.VERSION, seed, settings, state], sort_keys=True, default=list)
    return f'{file_name(data.get("target", data["kind"]))}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
