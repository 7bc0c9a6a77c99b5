"""An idealised monthly archive in the likeness of the 20th Century Reanalysis: wide cells, biased.

Its truth is the simulated climate that the model was trained on, in any years.
"""

from collections.abc import Callable
from pathlib import Path

import cftime
import numpy as np
import xarray as xr

from data_prep.simulators import mountains
from downscale_jax.fields.datasets import store
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.downscaler import Downscaler

SHIFT = 0.35  # of the side of a cell, by which the first cells of the archive begin outside the grid
# distortion of additive variables, in standard deviations (`WIDER`: the factor of anomalies)
BIAS, SEASONAL, WIDER, ERROR = 1.2, 0.4, 1.25, 0.3
# distortion of non-negative variables: a factor, a share of the mean, the standard deviation of the logarithm
WETTER, DRIZZLE, NOISE = 1.3, 0.25, 0.2


def wide_cells(axis: np.ndarray, side: int, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(centres [n] of cells of `side` fine cells, matrix [n, N] of means weighted by `weight` [N]).

    Fine cells beyond the ends of the axis do not count.
    """
    outside, step = round(SHIFT * side), axis[1] - axis[0]
    cells = np.arange((axis.size + outside - 1) // side + 1)
    matrix = ((np.arange(axis.size) + outside) // side == cells[:, None]) * weight
    return axis[0] + step * (side * cells + (side - 1) / 2 - outside), matrix / matrix.sum(1, keepdims=True)


def distorted(coarse: np.ndarray, months: np.ndarray, positive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fields [T, h, w, V] of calendar months [T] as a biased model would give them.

    Too high, most of all in winter, and too variable; non-negative variables (`positive` [V]) are multiplied and have
    drizzle in dry months. All have random errors.
    """
    normal = np.stack([coarse[months == m].mean(0) for m in months])
    deviation, mean = (coarse - normal).std(0), np.maximum(coarse.mean(0), 1e-12)
    season, noise = np.cos(2 * np.pi * (months - 1) / 12)[:, None, None, None], rng.standard_normal(coarse.shape)
    added = normal + WIDER * (coarse - normal) + deviation * (BIAS + SEASONAL * season + ERROR * noise)
    wetter = WETTER * coarse * np.exp(NOISE * noise - NOISE**2 / 2) + DRIZZLE * mean * np.exp(-coarse / mean)
    return np.where(positive, wetter, added)


def write_archive(path: Path, model: Downscaler, years: range, add: Callable[[str, np.ndarray], None]) -> None:
    """Writes the archive: cells of two blocks a side that share no border with blocks, from the north, years of 365
    days. `add(month, field [H, W, V])` receives its fine fields.

    Raises UserError where the model was not trained on the simulated mountains.
    """
    data, transform, grid = model.config['data'], model.prepared.transform_as(BlockMeans), model.prepared.statics
    size = {'seed': model.config['seed'], **data['simulate']}
    if data['path'] or size.pop('world', '') != 'mountains':
        raise UserError(f'{model.workdir} was trained on {data["path"] or "another world"}: give an archive by --input')
    north, east = grid['lat'].values, grid['lon'].values
    lat, rows = wide_cells(north, 2 * transform.factor, np.cos(np.deg2rad(north)))
    lon, columns = wide_cells(east, 2 * transform.factor, np.ones(east.size))
    coarse = np.empty((12 * len(years), lat.size, lon.size, len(transform.inputs)))
    first = 12 * (years[0] - int(mountains.START[:4]))
    for month, fields in mountains.World(size['seed'], size['rows'], size['columns']).months(first, len(coarse)):
        index, fine = month - first, np.stack([fields[name] for name in transform.inputs], -1).astype(np.float32)
        fine = fine[: north.size, : east.size]  # whole blocks
        coarse[index] = np.einsum('ri,ijv,cj->rcv', rows, fine, columns, optimize=True)
        add(f'{years[index // 12]:04d}-{index % 12 + 1:02d}', fine)
    months = np.arange(len(coarse)) % 12 + 1
    seen = distorted(coarse, months, transform.limits[0] == 0, np.random.default_rng((size['seed'], 20)))
    observed = {
        name: (('time', 'lat', 'lon'), seen[:, ::-1, :, v], {'units': units})
        for v, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True))
    }
    times = [cftime.DatetimeNoLeap(years[i // 12], m, 1) for i, m in enumerate(months)]
    store.write_netcdf(xr.Dataset(observed, {'time': times, 'lat': lat[::-1], 'lon': lon}), path)
