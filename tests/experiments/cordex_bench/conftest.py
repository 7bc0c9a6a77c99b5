"""A made-up tree of the form of CORDEX ML-Bench: small, with the peculiarities of the real one."""

from pathlib import Path

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import ndimage

from experiments.cordex_bench.layout import DOMAINS

LEVELS = (850, 700, 500)
COARSE, DAYS = 16, 40
CORNERS = {'ALPS': (32.0, -4.0), 'NZ': (-55.5, 157.5), 'SA': (-40.0, 11.0)}  # south-west of the coarse grids, degrees


class Tree:
    """Writes files of one domain; a day of the same number has the same weather in all of them."""

    def __init__(self, root: Path, domain: str, fine: int = 32):
        self.folder, self.domain, self.side = root / domain / f'{domain}_domain', domain, fine
        rng = np.random.default_rng(sum(map(ord, domain)))
        self.weather = ndimage.gaussian_filter(rng.standard_normal((3, DAYS, COARSE, COARSE)), (0, 1, 2, 2))
        self.weather /= self.weather.std((1, 2, 3), keepdims=True)
        self.orog = 1500 * np.abs(ndimage.gaussian_filter(rng.standard_normal((fine, fine)), 2)) * 4
        self.rng = rng

    def write(self) -> Path:
        """All files of ESD, with the truth of one test; the last test file has a NaN day and no leap days."""
        train, first = self.folder / 'train' / 'ESD_pseudo_reality', DOMAINS[self.domain].gcms[0]
        self.predictors(train / f'predictors/{first}_1961-1980.nc', '1961-01-01')
        save(self.static(), train / 'predictors/Static_fields.nc')
        self.targets(train / f'target/pr_tasmax_{first}_1961-1980.nc', '1961-01-01')
        self.targets(self.folder / f'test/historical/target/pr_tasmax_{first}_1981-2000.nc', '1984-01-25')
        test = self.folder / 'test/historical/predictors'
        self.predictors(test / f'perfect/{first}_1981-2000.nc', '1984-01-25', shuffled=True)
        self.predictors(test / f'imperfect/{first}_1981-2000.nc', '1984-01-25', noleap=True, missing=4)
        return self.folder

    def times(self, start: str, noleap: bool = False):
        hour = 0 if self.domain == 'NZ' else 12
        if noleap:
            year, month, day = map(int, start.split('-'))
            return xr.date_range(str(cftime.DatetimeNoLeap(year, month, day, hour)), periods=DAYS, calendar='noleap')
        return pd.date_range(f'{start}T{hour:02d}', periods=DAYS)

    def predictors(self, path: Path, start: str, shuffled: bool = False, noleap: bool = False, missing: int = -1):
        south, west = CORNERS[self.domain]
        axes = {'lat': south + 2 * np.arange(COARSE), 'lon': west + 2 * np.arange(COARSE)}
        names = [f'{name}_{level}' for name in 'uvtzq' for level in LEVELS]
        fields = {}
        for name in reversed(names) if shuffled else names:
            mix = np.random.default_rng(sum(map(ord, name))).normal(size=3)
            mean, scale = {'t': (270, 8), 'z': (3000, 100), 'q': (4e-3, 1e-3)}.get(name[0], (0, 5))
            field = mean + scale * np.tensordot(mix, self.weather, 1)
            if missing >= 0 and name.endswith('850'):
                field[missing] = np.nan
            fields[name] = (('time', 'lat', 'lon'), field.astype('float32'))
        dataset = xr.Dataset(fields, {'time': self.times(start, noleap), **with_units(axes)})
        if self.domain == 'SA':
            dataset['time'].encoding = {'units': 'minutes since 1961-01-01', 'dtype': 'float32'}
            dataset['time'].attrs['bounds'] = 'time_bnds'
            dataset['time_bnds'] = (('time', 'bnds'), np.stack([dataset['time'].values] * 2, -1))
        save(dataset, path)

    def targets(self, path: Path, start: str):
        near = [
            ndimage.zoom(plane[:, 5:11, 5:11], (1, self.side / 6, self.side / 6), order=1) for plane in self.weather
        ]
        noise = ndimage.gaussian_filter(self.rng.standard_normal((2, DAYS, self.side, self.side)), (0, 0, 1, 1))
        rain = 4 * np.maximum(near[0] + 3 * noise[0], 0) ** 2
        hot = 295 + 6 * near[1] - 0.0065 * self.orog + 4 * noise[1]
        dims = ('time', *DOMAINS[self.domain].dims)
        units = {'units': 'K', 'standard_name': 'air_temperature'}
        fields = {
            'pr': (dims, rain.astype('float32' if self.domain == 'ALPS' else 'float64')),
            'tasmax': (dims, hot.astype('float32'), units),
        }
        if self.domain == 'SA':
            fields['pr'] = (*fields['pr'], {'units': 'mm/day'})
        save(xr.Dataset(fields, {'time': self.times(start), **self.coords()}), path)

    def static(self) -> xr.Dataset:
        return xr.Dataset({'orog': (DOMAINS[self.domain].dims, self.orog, {'units': 'm'})}, self.coords())

    def coords(self) -> dict:
        """Of the fine grid, within the coarse one: Lambert's with 2-D latitudes in the Alps."""
        south, west = CORNERS[self.domain]
        step = 12.0 / self.side
        lat, lon = (corner + 10 + step * np.arange(self.side) for corner in (south, west))
        if self.domain != 'ALPS':
            return with_units({'lat': lat.astype('float32'), 'lon': lon.astype('float32')})
        km = 111.2 * step * np.arange(self.side)
        units = {'units': 'km', 'axis': 'Y', 'standard_name': 'projection_y_coordinate'}
        north, east = np.meshgrid(lat, lon, indexing='ij')
        plane = {'lat': (('y', 'x'), north + 0.01 * (east - 12) ** 2, {'units': 'degrees_north'})}
        plane['lon'] = (('y', 'x'), 12 + (east - 12) * np.cos(np.deg2rad(42)) / np.cos(np.deg2rad(north)))
        plane['lon'] = (*plane['lon'], {'units': 'degrees_east'})
        across = {'units': 'km', 'axis': 'X', 'standard_name': 'projection_x_coordinate'}
        return {'y': ('y', 1400 + km, units), 'x': ('x', 2000 + 0.75 * km, across), **plane}


def with_units(axes: dict) -> dict:
    return {k: (k, v, {'units': f'degrees_{"north" if k == "lat" else "east"}'}) for k, v in axes.items()}


def save(dataset: xr.Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.to_netcdf(path)


@pytest.fixture(scope='session')
def made_up_tree():
    """made_up_tree(root, domain) -> the folder of the domain, all files written."""
    return lambda root, domain: Tree(root, domain).write()
