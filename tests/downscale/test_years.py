"""Ensembles in every calendar and any year: what is written has the times of what was read."""

import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.dataset import Provenance, export_netcdf
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output.filling import to_store
from downscale_jax.downscale.request import Source
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.dates import iso, select_dates


@pytest.mark.parametrize(
    ('year', 'calendar'),
    [
        (1, 'noleap'), (1, 'standard'), (850, 'proleptic_gregorian'), (850, '360_day'), (1836, 'julian'),
        (1836, 'standard'), (2300, 'standard'), (2300, 'all_leap'), (5000, 'proleptic_gregorian'),
    ],
)  # fmt: skip
def test_times_are_kept(generators, coarse, statics, tmp_path, year, calendar):
    generator, times = generators['regression'], (0.0, 1.25, 31.0)
    units = {'units': f'days since {year:04}-01-30', 'calendar': calendar}
    coarse.drop_vars('time').assign_coords(time=('time', list(times), units)).to_netcdf(tmp_path / 'coarse.nc')
    begin = cftime.datetime(year, 1, 30, calendar=calendar)
    expected = [(begin + np.timedelta64(int(24 * day), 'h').item()).isoformat() for day in times]

    inputs = open_inputs(store.open_dataset(tmp_path / 'coarse.nc'), generator.transform, statics)
    ensemble = Ensemble(generator, inputs, statics, 1, 0)
    to_store(ensemble, tmp_path / 'out.zarr', Source('coarse.nc'), Provenance())
    export_netcdf(tmp_path / 'out.zarr', tmp_path / 'out.nc')
    for name in ('out.zarr', 'out.nc'):
        opened = store.open_dataset(tmp_path / name)
        fields = canonical(opened.isel(member=0), ['sit'])
        assert [iso(time) for time in fields['time'].values] == expected
        start = f'{year:04}-01-30'
        assert select_dates(fields, (start, start)).sizes['time'] == 1
    if year == 1836 and calendar == 'standard':
        assert xr.open_dataset(tmp_path / 'out.nc')['time'].dtype.kind == 'M'
