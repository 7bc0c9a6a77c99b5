"""Claiming a work directory for a run: its config, transform and grid are written once and must not change."""

import json
from pathlib import Path

from downscale_jax.pipeline.records import CLIMATE, COARSE_GRID, STATICS, Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import disk_error, write_bytes, write_json
from downscale_jax.runtime.settings import flatten
from downscale_jax.systems.storage.migration import versioned
from downscale_jax.systems.system import Config
from downscale_jax.systems.workdir import REPLACEABLE, read_config

GRIDS = (STATICS, CLIMATE, COARSE_GRID)
PERMANENT = ('config.json', 'prepared.json', *GRIDS)  # files that no run removes


def check_config(config: Config, workdir: Path) -> None:
    """Raises UserError where the work directory is a file or was made with other settings of training."""
    if workdir.is_file():
        raise UserError(f'--workdir={workdir} is a file: choose a folder to train in')
    if not (workdir / 'config.json').exists():
        return
    ours, theirs = flatten(json.loads(json.dumps(config))), flatten(read_config(workdir))
    free = {*REPLACEABLE}
    if (theirs.get('generator'), ours.get('generator')) == ('diffusion', 'distilled'):
        free |= {'generator', 'distillation'}  # the diffusion stays, as the teacher
    differ = [
        f'{key} was {theirs.get(key)!r}, is now {ours.get(key)!r}'
        for key in sorted({*theirs, *ours})
        if theirs.get(key) != ours.get(key) and key.split('.')[0] not in free
    ]
    if differ:
        raise UserError(f'{workdir} was made with another config ({", ".join(differ[:3])}): choose another --workdir')


def check_data(prepared: Prepared, workdir: Path) -> None:
    """Raises UserError where the data have changed since the work directory was made."""
    if (workdir / 'prepared.json').exists() and Prepared(workdir).meta['name'] != prepared.meta['name']:
        raise UserError(f'the data have changed since {workdir} was made: choose another --workdir')


def claim(config: Config, workdir: Path, prepared: Prepared) -> None:
    """Makes the work directory: config, transform and any grid, which with the checkpoints are all that use needs."""
    check_data(prepared, workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if not (workdir / 'prepared.json').exists():  # an earlier claim may have failed, of other data
            for name in GRIDS:
                (workdir / name).unlink(missing_ok=True)
        for name in GRIDS:
            if (prepared.directory / name).exists() and not (workdir / name).exists():
                write_bytes(workdir / name, (prepared.directory / name).read_bytes())
        write_json(workdir / 'prepared.json', prepared.meta)
        write_json(workdir / 'config.json', versioned(config))
    except OSError as error:
        raise UserError(f'cannot write to the work directory {workdir}: {disk_error(error)}') from error
