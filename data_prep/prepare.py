"""Raw data -> canonical fields -> TFDS records with their transform, in a directory named by what it is made from.

Runs share the directory (`downscale_jax.pipeline.records` says what it holds) and a changed setting makes a new one. It
is written aside and renamed: an interrupted preparation leaves nothing behind. What a record is, `data.kind` says.
"""

import hashlib
import json
import shutil
from pathlib import Path
from types import ModuleType

from data_prep.records import block_means, lag_pairs, refinement
from downscale_jax.fields.datasets import store
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError, suggestion

# each has KEYS, the settings that its records depend on, VERSION, check(data) and write(data, seed, directory, name)
KINDS: dict[str, ModuleType] = {'block_means': block_means, 'lag_pairs': lag_pairs, 'refinement': refinement}


def prepare(data: dict, seed: int, root: Path) -> Prepared:
    """Prepares what the `data` section of a config asks for, under `root`, unless it is there already.

    `data.simulate.seed`, where it is given, is the seed of the data in the place of `seed`.
    """
    seed = data['simulate'].get('seed', seed)
    directory = root / name_of(data, seed)
    if not directory.exists():
        kind = KINDS[data['kind']]
        kind.check(data)
        aside = directory.with_name(f'.{directory.name}.partial')
        shutil.rmtree(aside, ignore_errors=True)  # left by a killed preparation
        try:
            aside.mkdir(parents=True)
            kind.write(data, seed, aside, directory.name)
            aside.rename(directory)
        except OSError as error:
            raise UserError(f'cannot write prepared data to {directory}: {error.strerror or error}') from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return Prepared(directory)


def name_of(data: dict, seed: int) -> str:
    """What it is and a digest of the settings that preparation depends on and of the files' sizes and times.

    A pair of bounds that all variables share counts once, as in version 0.1.0: data and work directories stay valid.
    """
    if data['kind'] not in KINDS:
        raise UserError(f"data.kind='{data['kind']}': {suggestion(data['kind'], KINDS)}")
    kind = KINDS[data['kind']]
    settings, state = {key: data.get(key) for key in kind.KEYS}, store.fingerprint(data['path'])
    if (bounds := settings.get('bounds')) and bounds[1:] == bounds[:-1]:
        settings['bounds'] = bounds[0]
    text = json.dumps([kind.VERSION, seed, settings, state], sort_keys=True, default=list)
    return f'{data.get("target", data["kind"])}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
