"""Another source's coarse fields -> those of training, by the distributions of both over a period they share."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from downscale_jax.downscale.inputs import aligned, checked
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.dates import select_dates
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap, Series
from downscale_jax.runtime.errors import UserError


def correction(
    dataset: xr.Dataset,
    transform: BlockMeans,
    statics: xr.Dataset,
    climate: QuantileMap,
    overlap: Sequence[str],
    source: str,
) -> QuantileMap:
    """The quantile map from `dataset` within the dates of `overlap` (both included) to the climate of training, whose
    fine grid is `statics`.

    Raises UserError where the dates are none or too few, or the grid is not that of training.
    """
    if len(overlap) != 2:
        raise UserError(f'--overlap={",".join(overlap)}: a first and a last date are needed, START,END')
    fields = select_dates(checked(dataset, transform, source), (tuple(overlap),), '--overlap: dates')
    shape, trained = fields[transform.inputs[0]].shape[1:], climate.target.shape[2:4]
    if shape != trained:
        raise UserError(
            f'{source} has {shape[0]} x {shape[1]} coarse cells, training had {trained[0]} x {trained[1]}: its climate '
            'corrects fields of the same region only; leave --overlap out'
        )
    fields = aligned(fields, statics, transform.factor, source)
    return climate.of(Series([month_of(time) for time in fields['time'].values], lambda: _times(fields, transform)))


def read_climate(workdir: Path) -> QuantileMap:
    """Of the training split, as the work directory has it. Raises UserError where it has none."""
    path = workdir / 'climate.nc'
    if not path.exists():
        raise UserError(f'{workdir} has no climate of training (climate.nc): only models of block means do')
    with xr.open_dataset(path) as dataset:
        return QuantileMap.from_dataset(dataset.load())


def _times(fields: xr.Dataset, transform: BlockMeans) -> Iterator[np.ndarray]:
    """[h, w, V], a time after the other."""
    for index in range(fields.sizes['time']):
        one = store.load(fields.isel(time=index), 'the coarse fields')
        yield np.stack([one[name].values for name in transform.inputs], -1).astype(np.float32)
