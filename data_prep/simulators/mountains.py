"""Idealised climate over mountains: the monthly fields that DPDM learns from where no reanalysis is given.

Not a climate model: smooth random weather with seasons (`mountain_climate`), modified by relief (`terrain`): a lapse
rate, cold pools, rain on windward slopes, winds along valleys; with noise on the scale of a few cells on top.
Arrays are (y, x) from the south-west; distances are those of the middle latitude throughout.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import xarray as xr

from data_prep.simulators.mountain_climate import SOUTH, Weather, climate
from data_prep.simulators.terrain import Ground, draw_relief

CELL = 0.1  # degree
CORNER = (SOUTH, 100.0)  # degree north and east, of the south-western cell
START = '1981-01'
KM = 111.2  # a degree of latitude
AHEAD = 2  # months by which the weather may run ahead of the fields
ATTRIBUTES = {
    't2m': {'units': 'K', 'standard_name': 'air_temperature', 'long_name': 'temperature at 2 m'},
    'tp': {'units': 'mm day-1', 'standard_name': 'lwe_precipitation_rate', 'long_name': 'precipitation'},
    'u10': {'units': 'm s-1', 'standard_name': 'eastward_wind', 'long_name': 'eastward wind at 10 m'},
    'v10': {'units': 'm s-1', 'standard_name': 'northward_wind', 'long_name': 'northward wind at 10 m'},
    'sp': {'units': 'Pa', 'standard_name': 'surface_air_pressure', 'long_name': 'pressure at the ground'},
}


def simulate(seed: int = 0, rows: int = 160, columns: int = 240, months: int = 240) -> xr.Dataset:
    """Idealised monthly means on cells of 0.1 degree, from 25 N 100 E and January 1981; reproducible bit by bit.

    Returns (time, lat, lon) float32 `t2m` [K], `tp` [mm day-1], `u10`, `v10` [m s-1], `sp` [Pa], and (lat, lon)
    `topography` [m], 0 on the sea, and `land` int8, 1 on land; no values are missing. The relief is cut by rivers and
    scales with the domain. A longer series begins with the shorter one.
    Not modelled: dynamics, ice and snow, lakes, the daily cycle, real places, real weather.
    """
    world = World(seed, rows, columns)
    fields = {name: np.empty((months, rows, columns), np.float32) for name in ATTRIBUTES}
    for month, variables in world.months(0, months):
        for name, values in variables.items():
            fields[name][month] = values
    return _dataset(fields, world.topography, world.lat, world.lon, seed)


class World:
    """A domain, its relief and its climate in any month, also before and after those of `simulate`."""

    def __init__(self, seed: int, rows: int, columns: int):
        self.shape, self.seed = (rows, columns), seed
        self.lat, self.lon = (
            corner + CELL * (np.arange(n) + 0.5) for corner, n in zip(CORNER, self.shape, strict=True)
        )
        self.cells = KM * CELL * np.array([1.0, np.cos(np.deg2rad(self.lat.mean()))])
        self.topography = draw_relief(self._generators()[0], rows, columns)
        self.ground = Ground(self.topography, self.cells)

    def months(self, first: int, count: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(month from START, its fields [H, W]) of `count` months from `first`, in any order; independent of the range.

        The past, months below 0, is the weather run backwards with other random numbers: autoregressive Gaussian fields
        have the same law in either direction. The trend continues.
        """
        end = first + count
        for step, months in ((1, range(end)), (-1, range(0, first - 1, -1))):
            requested = [month for month in months if first <= month < end and (month < 0) == (step < 0)]
            if not requested:
                continue
            _, present, past = self._generators()
            weather = Weather(present, self.shape, self.cells)  # of month 0
            with ThreadPoolExecutor(1) as executor:  # the weather advances while fields are computed
                pending: deque[tuple[int, Future]] = deque()
                for month in months:
                    if month in requested:
                        snapshot = weather.copy()
                        future = executor.submit(climate, month, self.lat, self.ground, snapshot)
                        pending.append((month, future))
                    weather.step(past if step < 0 else present)
                    if len(pending) > AHEAD:
                        computed, future = pending.popleft()
                        yield computed, future.result()
                yield from ((computed, future.result()) for computed, future in pending)

    def _generators(self) -> list[np.random.Generator]:
        """For the relief, for the weather from START on, and for the weather before."""
        return np.random.default_rng(self.seed).spawn(3)


def _dataset(fields, topography, lat, lon, seed):
    monthly = {'cell_methods': 'time: mean (interval: 1 month)'}
    variables: dict[str, tuple] = {
        name: (('time', 'lat', 'lon'), values, {**ATTRIBUTES[name], **monthly}) for name, values in fields.items()
    }
    variables['topography'] = (
        ('lat', 'lon'), topography, {'units': 'm', 'standard_name': 'surface_altitude', 'long_name': 'topography'}
    )  # fmt: skip
    land = {
        'units': '1',
        'standard_name': 'land_binary_mask',
        'flag_values': np.array([0, 1], np.int8),
        'flag_meanings': 'sea land',
    }
    variables['land'] = (('lat', 'lon'), (topography > 0).astype(np.int8), land)
    months = np.datetime64(START, 'M') + np.arange(len(fields['t2m']))
    return xr.Dataset(
        variables,
        {
            'time': ('time', months.astype('datetime64[ns]'), {'standard_name': 'time'}),
            'lat': ('lat', lat, {'units': 'degrees_north', 'standard_name': 'latitude'}),
            'lon': ('lon', lon, {'units': 'degrees_east', 'standard_name': 'longitude'}),
        },
        attrs={
            'Conventions': 'CF-1.8',
            'title': 'IDEALISED climate over mountains: no observation, no forecast',
            'source': 'downscale_jax data_prep.simulators.mountains.simulate: random weather over a relief of rivers',
            'seed': seed,
            'comment': 'Modelled: seasons, monthly anomalies, a trend, a lapse rate, cold pools, rain on windward '
            'slopes, winds along valleys, noise of a few cells. Not modelled: dynamics, snow, lakes, real places, real '
            'weather.',
        },
    )
