"""A work directory is claimed: whole files, of the data that it is made for."""

import resource
import sys

import numpy as np
import pytest
import xarray as xr

from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import write_json
from downscale_jax.systems.storage.claim import claim

CONFIG = {'system': 'line'}


def prepared(directory, value, climate=b'quantiles'):
    """Prepared data whose grid holds one value."""
    directory.mkdir(exist_ok=True)
    write_json(directory / 'prepared.json', {'name': directory.name})
    grid = {name: (('y', 'x'), np.full((2, 2), float(value))) for name in ('mask', 'cell_area')}
    xr.Dataset(grid).to_netcdf(directory / 'statics.nc')
    (directory / 'climate.nc').write_bytes(climate)
    return Prepared(directory)


def test_a_claim_that_failed_leaves_no_grid_of_other_data(tmp_path, monkeypatch):
    def refuse(path, value):
        raise UserError(f'cannot write {path}')

    workdir, first, second = tmp_path / 'run', *(prepared(tmp_path / str(value), value) for value in (1, 2))
    (second.directory / 'climate.nc').unlink()
    with monkeypatch.context() as full:
        full.setattr(sys.modules[claim.__module__], 'write_json', refuse)
        with pytest.raises(UserError, match=r'cannot write .*prepared\.json'):
            claim(CONFIG, workdir, first)
    claim(CONFIG, workdir, second)
    assert (Prepared(workdir).statics['cell_area'].values == 2).all()
    assert not (workdir / 'climate.nc').exists()


def test_a_claimed_grid_is_kept(tmp_path):
    workdir, data = tmp_path / 'run', prepared(tmp_path / 'data', 1)
    claim(CONFIG, workdir, data)
    before = [(workdir / name).stat().st_ino for name in ('statics.nc', 'climate.nc')]
    claim(CONFIG, workdir, data)
    assert [(workdir / name).stat().st_ino for name in ('statics.nc', 'climate.nc')] == before


def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    workdir, data = tmp_path / 'run', prepared(tmp_path / 'data', 1, climate=bytes(200_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(UserError, match='File too large'):
            claim(CONFIG, workdir, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in workdir.iterdir()] == ['statics.nc']
    claim(CONFIG, workdir, data)
    assert (workdir / 'climate.nc').read_bytes() == bytes(200_000)
