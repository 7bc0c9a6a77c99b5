"""Fields in time, simulated or from files: opened, streamed a few times at once, and the transform fitted to them."""

from collections.abc import Callable, Iterator, Sequence

import dask
import numpy as np
import xarray as xr
from tqdm import tqdm

from downscale_jax.fields import log_transform, store
from downscale_jax.fields.units import convert_units
from downscale_jax.fields.wind import ATTRIBUTES
from downscale_jax.runtime.errors import UserError, nearest

ATMOSPHERE = 'atmosphere'
WORLDS = {ATMOSPHERE: tuple(ATTRIBUTES), 'mountains': ('t2m', 'tp', 'u10', 'v10', 'sp')}  # what is simulated, where
CHUNK = 8  # times read at once
PORTION = 64 * CHUNK  # times whose graph is cut out of the series' at once
STATISTICS_TIMES = 200  # training times, evenly spread, that the transform is fitted to


def check_simulated(data: dict) -> None:
    """Raises UserError for a world that is not simulated, or a variable that it does not have."""
    if data['path']:
        return
    if (world := data['simulate'].get('world', ATMOSPHERE)) not in WORLDS:
        raise UserError(f"data.simulate.world='{world}': {nearest(world, WORLDS)}")
    for name in data['variables']:
        if name not in WORLDS[world]:
            raise UserError(f"data.variables: the simulated {world} has no '{name}': {nearest(name, WORLDS[world])}")


def open_fields(data: dict, seed: int) -> xr.Dataset:
    """Canonical fields in time, lazily, in `data.units` where it names them: simulated where data.path is empty."""
    fields = _opened(data, seed)
    units = zip(data['variables'], data.get('units', ()), strict=False)
    return fields.assign({name: convert_units(fields[name], one) for name, one in units})


def _opened(data: dict, seed: int) -> xr.Dataset:
    if not data['path']:
        from data_prep.simulators import atmosphere, mountains

        size = {'seed': seed, **data['simulate']}
        worlds: dict[str, Callable[..., xr.Dataset]] = {
            ATMOSPHERE: atmosphere.simulate,
            'mountains': mountains.simulate,
        }
        return worlds[size.pop('world', ATMOSPHERE)](**size)
    from data_prep.readers import winds

    return winds.open_winds(data['path'], data['variables'], data['level'], data.get('context', ()))


def stream(fields: xr.Dataset, data: dict, told: str = '') -> Iterator[tuple[int, np.ndarray]]:
    """(index of the time, [H, W, C] float32), a few times in memory at once."""
    total = fields.sizes['time']
    bar = tqdm(total=total, desc=told, leave=False, disable=None if told else True)
    with bar:
        for begin in range(0, total, PORTION):
            # dask walks the whole graph that it is given for each chunk: a portion's, not the series'
            (portion,) = dask.optimize(fields.isel(time=slice(begin, begin + PORTION)))
            for start in range(0, portion.sizes['time'], CHUNK):
                chunk = store.load(portion.isel(time=slice(start, start + CHUNK)), data['path'])
                for offset in range(chunk.sizes['time']):
                    planes = np.stack([chunk[v].values[offset] for v in data['variables']])
                    # channels lie apart in memory: arithmetic on [H, W, 2] in C order would loop over two cells
                    yield begin + start + offset, np.moveaxis(planes.astype(np.float32, copy=False), 0, -1)
                    bar.update()
                del chunk  # before the next is read


def fit_transform(train: xr.Dataset, data: dict, names: Sequence[str] = ('log',)) -> log_transform.LogTransform:
    """Fitted to the training split; the same statistics for all kinds of records of one series and split. names: how
    variables are transformed, as in `log_transform.fit`."""
    spread = np.unique(np.linspace(0, train.sizes['time'] - 1, STATISTICS_TIMES).round().astype(int))
    units = tuple(train[v].attrs.get('units', '') for v in data['variables'])
    return log_transform.fit(
        lambda: (x for _, x in stream(train.isel(time=spread), data)), data['variables'], units, names
    )
