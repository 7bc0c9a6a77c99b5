"""Records of any year and calendar: splits, time stamps and seasons are those of the file."""

import cftime
import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.datasets.dates import iso

INFINITY = float('inf')
DAYS = 40


def section(path, year) -> dict:
    dates = {'train': ('01-01', '01-24'), 'validation': ('01-25', '01-30'), 'test': ('02-01', '02-09')}
    return {
        'kind': 'block_means', 'path': str(path), 'simulate': {}, 'variables': ('t2m',), 'level': 0.0, 'factor': 2,
        'mean': 'physical', 'transform': 'standard', 'anomaly': True, 'bounds': ((-INFINITY, INFINITY),),
        'context': ('season',), **{name: [[f'{year:04}-{day}' for day in pair]] for name, pair in dates.items()},
    }  # fmt: skip


@pytest.mark.parametrize(
    ('year', 'calendar'),
    [(1, 'noleap'), (850, 'standard'), (1836, '360_day'), (1836, 'julian'), (2300, 'standard'), (2300, 'all_leap')],
)
def test_records(tmp_path, year, calendar):
    values = np.random.default_rng(0).normal(285, 5, (DAYS, 4, 6)).astype('f4')
    axes = {
        'time': ('time', np.arange(DAYS) + 0.5, {'units': f'days since {year:04}-01-01', 'calendar': calendar}),
        'lat': ('lat', np.linspace(50, 47, 4), {'units': 'degrees_north'}),
        'lon': ('lon', np.linspace(0, 5, 6), {'units': 'degrees_east'}),
    }
    data = xr.Dataset({'t2m': (('time', 'lat', 'lon'), values, {'units': 'K'})}, axes)
    data.to_netcdf(tmp_path / 'fine.nc')
    prepared = prepare(section(tmp_path / 'fine.nc', year), 0, tmp_path / 'prepared')
    split = prepared.split('test')
    last = [f'{year:04}-02-{day:02}T12:00:00' for day in range(1, 10)]
    assert [iso(time) for time in split.times] == last
    first = 30 if calendar == '360_day' else 31
    np.testing.assert_array_equal(split[0]['fine'][..., 0], values[first])
    season = context_planes(('season',), prepared.statics, split.times[0])
    angle = 2 * np.pi * (first + 0.5) / (360 if calendar == '360_day' else 365.25)
    np.testing.assert_allclose(season[0, 0], [np.cos(angle), np.sin(angle)], rtol=1e-6)
    coarse = coarse_dataset(prepared, split, split.times, [0, 8])
    assert [iso(time) for time in coarse['time'].values] == [last[0], last[8]]
    assert isinstance(split.times[0], cftime.datetime)
