"""Bias correction of another source's coarse fields to the training data, over a period that both cover."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from downscale_jax.downscale.inputs import checked
from downscale_jax.downscale.pair_inputs import GridCorrection, predictors_of, stacked
from downscale_jax.fields.datasets.dates import select_dates
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.geometry.alignment import aligned
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.lifting import interpolate_fields
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap, Series
from downscale_jax.pipeline.records import CLIMATE
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import RESTORE, reading


def correction(
    dataset: xr.Dataset,
    transform: BlockMeans,
    statics: xr.Dataset,
    climate: QuantileMap,
    overlap: Sequence[str],
    source: str,
) -> QuantileMap:
    """The quantile map from `dataset` within `overlap` (first and last date, both included) to the training climate.

    `statics` is the fine grid of training. Raises UserError where the dates select nothing or too little, or the data
    set is on another grid.
    """
    fields = within(checked(dataset, transform, source), overlap)
    fields = aligned(fields, statics, transform.factor, source)
    shape, trained = fields[transform.inputs[0]].shape[1:], climate.target.shape[2:4]
    if shape != trained:
        raise UserError(
            f'{source} has {shape[0]} x {shape[1]} coarse cells, training had {trained[0]} x {trained[1]}: --overlap '
            'corrects fields of the training region only; leave it out'
        )
    return climate.of(Series([month_of(time) for time in fields['time'].values], lambda: _times(fields, transform)))


def pair_correction(
    dataset: xr.Dataset,
    transform: PairTransform,
    grid: xr.Dataset,
    climate: QuantileMap,
    overlap: Sequence[str],
    source: str,
) -> GridCorrection:
    """As `correction` for a model of pairs: every predictor is interpolated to `grid`, the coarse grid of training, and
    corrected there, so that the other source may have another resolution."""
    fields = within(predictors_of(dataset, transform, source), overlap)
    to_grid = ToFine(fields, grid)

    def interpolated() -> Iterator[np.ndarray]:
        return (interpolate_fields(to_grid, field) for field in _times(fields, transform))

    months = [month_of(time) for time in fields['time'].values]
    return GridCorrection(climate.of(Series(months, interpolated)), grid)


def within(fields: xr.Dataset, overlap: Sequence[str]) -> xr.Dataset:
    """The times within `overlap`. Raises UserError where it is no pair of dates or selects nothing."""
    if len(overlap) != 2:
        raise UserError(f'--overlap={",".join(overlap)}: give a first and a last date, START,END')
    return select_dates(fields, (tuple(overlap),), '--overlap: dates')


def read_climate(workdir: Path) -> QuantileMap:
    """The climate of the training split from a work directory. Raises UserError where there is none."""
    path = workdir / CLIMATE
    if not path.exists():
        raise UserError(f'{workdir} has no {CLIMATE}: --overlap needs a model of block means or of pairs')
    with reading(path, RESTORE), xr.open_dataset(path, engine='netcdf4') as dataset:
        return QuantileMap.from_dataset(dataset.load())


def _times(fields: xr.Dataset, transform: BlockMeans | PairTransform) -> Iterator[np.ndarray]:
    """[h, w, V], time by time."""
    for index in range(fields.sizes['time']):
        yield stacked(fields, transform.inputs, index, 'the coarse fields')
