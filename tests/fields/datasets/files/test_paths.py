import os

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import name_of, prepared_before
from downscale_jax.downscale.request import file_state
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.files.paths import files_of, fingerprint
from downscale_jax.runtime.errors import UserError

NAMES = ('tas_[r1i1p1].nc', 'run*.nc', 'what?.nc', '[a-z].nc')


@pytest.mark.parametrize('name', NAMES)
def test_an_existing_file_is_no_pattern(tmp_path, name):
    for index, other in enumerate((*NAMES, 'run1.nc', 'a.nc', 'whatx.nc')):
        xr.Dataset({'a': ('x', [float(index)])}).to_netcdf(tmp_path / other)
    path = str(tmp_path / name)
    assert files_of(path) == [path]
    assert float(store.open_dataset(path)['a'][0]) == NAMES.index(name)
    assert [entry[0] for entry in fingerprint(path)] == [path]


def test_a_pattern_in_a_folder_with_brackets(tmp_path):
    for folder in ('run[1]', 'run1'):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / 'a.nc').write_text(folder)
    for pattern in ('run[1]/*.nc', 'run[1]/[a-c].nc', 'run[1]/**/a.nc'):
        assert files_of(str(tmp_path / pattern)) == [str(tmp_path / 'run[1]' / 'a.nc')]
    assert len(files_of(str(tmp_path / 'run*/a.nc'))) == 2


def test_a_changed_file_is_noticed(tmp_path):
    path = str(tmp_path / 'tas_[r1i1p1].nc')
    data = {'kind': 'block_means', 'path': path, 'target': 'tas'}
    states = []
    for value in (1.0, 2.0):
        xr.Dataset({'a': ('x', np.full(3, value))}).to_netcdf(path)
        os.utime(path, ns=(int(value), int(value)))
        states.append((name_of(data, 0), file_state(path)))
    assert len({state for pair in states for state in pair}) == 4


def test_a_changed_relief_is_noticed(tmp_path):
    """Data that an earlier version prepared, under a name without the relief, are used until it changes."""
    relief = tmp_path / 'relief.nc'
    relief.write_text('a')
    data = {'kind': 'block_means', 'path': '', 'relief': str(relief)}
    before = tmp_path / name_of(data, 0, before=True)
    before.mkdir()
    (before / 'prepared.json').write_text('{}')
    names = []
    for time, found in ((1, before), (2**62, None)):
        os.utime(relief, ns=(time, time))
        names.append(name_of(data, 0))
        assert prepared_before(data, 0, tmp_path) == found
    assert len({before.name, *names}) == 3
    assert prepared_before({**data, 'relief': ''}, 0, tmp_path) is None


def test_a_changed_scene_of_a_table_is_noticed(tmp_path):
    (tmp_path / 'scenes.csv').write_text('date,red,cloud\n2000-10-30,a.tif:1,b.tif\n')
    data = {'kind': 'scenes', 'path': str(tmp_path / 'scenes.csv')}
    names = [name_of(data, 0)]
    for file in ('a.tif', 'b.tif'):
        (tmp_path / file).write_text('x')
        names.append(name_of(data, 0))
    assert len(set(names)) == 3
    assert name_of(data, 0, before=True) not in names[1:]
    with pytest.raises(UserError, match='no such file'):
        name_of({**data, 'path': str(tmp_path / 'none.csv')}, 0)


def test_patterns_folders_and_what_is_missing(tmp_path):
    for name in ('b.nc', 'a.nc'):
        (tmp_path / name).write_text('x')
    assert files_of(str(tmp_path / '*.nc')) == [str(tmp_path / n) for n in ('a.nc', 'b.nc')]
    assert files_of([tmp_path / 'b.nc', 's3://bucket/a.zarr']) == [str(tmp_path / 'b.nc'), 's3://bucket/a.zarr']
    assert [entry[1] for entry in fingerprint(str(tmp_path))] == [1, 1]
    assert fingerprint('') == fingerprint('s3://bucket/a.zarr') == []
    with pytest.raises(UserError, match='no file matches'):
        files_of(str(tmp_path / '*.grib'))
