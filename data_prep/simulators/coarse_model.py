"""An idealised pair: a fine climate over mountains, and the same climate as a coarse model with biases sees it.

The fine member is `mountains` on cells of 0.2 degrees. The coarse member is no block mean of it: it lies on its own
grid of 2 degrees, offset and larger, and is smoother than its cells. As another model has, it has biases that differ by
place and season, too little or too much variability, drizzle, and errors of its own in every month.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from data_prep.simulators import mountains
from data_prep.simulators.matern import Matern

FINE, COARSE = 2, 20  # cells of the mountains per cell
MARGIN = 30  # cells of the mountains around the fine domain that only the coarse member covers
OFFSET = 7  # cells by which the coarse grid is shifted against the fine one


class Bias(NamedTuple):
    """Errors of the coarse model, in units of the variable or as ratios."""

    mean: float
    pattern: float  # standard deviation of the bias in space
    season: float  # amplitude of its annual cycle
    amplitude: float  # ratio of the anomalies
    error: float  # standard deviation of an independent error in every month


BIASES = {
    't2m': Bias(-1.2, 0.8, 0.7, 0.9, 0.25),
    'tp': Bias(0.0, 0.25, 0.1, 1.1, 0.12),  # of the logarithm
    'u10': Bias(0.4, 0.3, 0.2, 0.9, 0.2),
    'v10': Bias(-0.2, 0.3, 0.2, 0.9, 0.2),
    'sp': Bias(150.0, 100.0, 50.0, 1.0, 30.0),
}
DRIZZLE = 0.2  # mm day-1


class Pair(NamedTuple):
    """A coarse and a fine data set of one period, (time, lat, lon)."""

    coarse: xr.Dataset
    fine: xr.Dataset


def simulate(seed: int = 0, rows: int = 80, columns: int = 120, months: int = 480) -> Pair:
    """Monthly means on `rows` x `columns` fine cells of 0.2 degrees and on coarse cells of 2 degrees around them.

    fine: `t2m` [K], `tp` [mm day-1], and the static `topography` [m] and `land`; coarse: `t2m`, `tp`, `u10`, `v10`
    [m s-1], `sp` [Pa]. Reproducible bit by bit.
    """
    around = 2 * MARGIN
    world = mountains.simulate(seed, rows * FINE + around, columns * FINE + around, months)
    inner = world.isel(lat=slice(MARGIN, -MARGIN), lon=slice(MARGIN, -MARGIN))
    fine = block_means(inner[['t2m', 'tp', 'topography', 'land']], FINE)
    fine['land'] = (fine['land'] >= 0.5).astype(np.int8).assign_attrs(world['land'].attrs)
    fine.attrs = {**world.attrs, 'title': 'IDEALISED climate over mountains: no observation, no forecast'}
    coarse = seen_by_model(world[list(BIASES)], seed)
    coarse.attrs = {'Conventions': 'CF-1.8', 'title': 'IDEALISED coarse model with biases: no forecast', 'seed': seed}
    return Pair(coarse, fine)


def block_means(fields: xr.Dataset, cells: int) -> xr.Dataset:
    """Means over blocks of cells, in float32, with the attributes of the fields."""
    means = fields.coarsen(lat=cells, lon=cells, boundary='trim').mean(keep_attrs=True)
    return means.astype(np.float32).assign_coords(lat=means['lat'], lon=means['lon'])


def seen_by_model(fields: xr.Dataset, seed: int) -> xr.Dataset:
    """Fields of the mountains on the coarse grid, with the biases of another model."""
    shifted = fields.isel(lat=slice(OFFSET, None), lon=slice(OFFSET, None))
    coarse = smoothed(block_means(shifted, COARSE))
    season = np.cos(2 * np.pi * (coarse['time'].dt.month.values - 2.5) / 12)[:, None, None]
    for stream, (name, bias) in zip(np.random.default_rng((seed, 1)).spawn(len(BIASES)), BIASES.items(), strict=True):
        values = coarse[name].values.astype(np.float64)
        values = np.log(values + DRIZZLE) if name == 'tp' else values
        shape, climate = values.shape[1:], values.mean(0)
        pattern = Matern(stream, shape, 6, 2.0).values
        errors = np.stack([Matern(stream, shape, 4, 2.0).values for _ in range(len(values))])
        values = climate + bias.amplitude * (values - climate) + bias.mean + bias.pattern * pattern
        values = values + bias.season * season + bias.error * errors
        coarse[name] = coarse[name].copy(data=(np.exp(values) if name == 'tp' else values).astype(np.float32))
    return coarse


def smoothed(fields: xr.Dataset) -> xr.Dataset:
    """Weights 1/4, 1/2, 1/4 along both axes: a model resolves less than its cells."""
    for dim in ('lat', 'lon'):
        padded = fields.pad({dim: 1}, mode='edge')
        sides = [padded.isel({dim: slice(start, start + fields.sizes[dim])}) for start in range(3)]
        planes = {n: (sides[0][n].values + 2 * sides[1][n].values + sides[2][n].values) / 4 for n in fields.data_vars}
        fields = fields.assign({name: fields[name].copy(data=plane) for name, plane in planes.items()})
    return fields
