"""Inputs of a model of pairs: predictors on any coarse grid, interpolated to the fine grid of training."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.downscale.inputs import checked
from downscale_jax.downscale.tiles import Domain
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.assumed_units import with_assumed_units
from downscale_jax.fields.datasets.levels import levels_as_variables
from downscale_jax.fields.datasets.members import dim_of_members, one_member
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.geometry.grid import is_periodic
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.fields.transforms.lifting import Lifter, interpolate_fields
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap

# of fields that are read together: dask takes 48 ms of CPU to select one time of 20 predictors, 1 ms within a block
BLOCK_BYTES = 2**26


class GridCorrection(NamedTuple):
    """The bias correction of another source's predictors, once interpolated to the coarse grid of training."""

    quantiles: QuantileMap
    grid: xr.Dataset


class PairInputs:
    """Lazy inputs: `inputs[i]` reads times in blocks and lifts one to the fine grid (`transforms.lifting`).

    `dataset` holds the predictors of training, levels as a dimension or as variables, on any grid with coordinates.
    Where a predictor is missing at a time or in a place, the fields are missing, too. Raises UserError where a variable
    is missing, units do not convert, or the grids share no coordinates.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        transform: PairTransform,
        statics: xr.Dataset,
        source: str = 'the data set',
        correction: GridCorrection | None = None,
    ):
        fields = predictors_of(dataset, transform, source)
        self._fields, self._names, self._source, self._correction = fields, transform.inputs, source, correction
        self._to_grid = ToFine(fields, correction.grid) if correction else None
        self._lift = Lifter(transform, correction.grid if correction else fields, statics)
        rows, columns = statics['mask'].shape
        self.domain = Domain((rows, columns), transform.lifted.channels, is_periodic(statics))
        self.times: np.ndarray = fields['time'].values
        one = 4 * sum(fields[name][0].size for name in self._names)
        self._block_times = max(1, BLOCK_BYTES // one)
        self._block = lru_cache(maxsize=1)(self._read_block)

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, L] float32, as `PairTransform.lift` stacks them; NaN where a predictor is missing."""
        block, position = divmod(index, self._block_times)
        coarse = self._block(block)[position]
        if self._correction and self._to_grid:
            on_grid = interpolate_fields(self._to_grid, coarse)
            coarse = self._correction.quantiles.apply(on_grid, month_of(self.times[index]))
        return self._lift(coarse, self.times[index])

    def _read_block(self, block: int) -> np.ndarray:
        """[n, h, w, P] float32 of a block of times."""
        start = block * self._block_times
        return stacked(self._fields, self._names, slice(start, start + self._block_times), self._source)


def as_in_training(dataset: xr.Dataset, data: Mapping[str, Any], source: str) -> xr.Dataset:
    """A data set in the form of the coarse file of training, by the settings `data` of the model: one member of an
    ensemble (`member`), levels as variables, and the units of training where a file gives none (`assume_units`).

    Raises UserError where there are fewer members, or values are implausible in these units.
    """
    member = data['member'] if dim_of_members(dataset) is not None else 0
    fields = levels_as_variables(one_member(dataset, member, source), source)
    if data['assume_units']:
        fields = with_assumed_units(fields, data['predictors'], data['predictor_units'], source)
    return fields


def predictors_of(dataset: xr.Dataset, transform: PairTransform, source: str) -> xr.Dataset:
    """The canonical predictors of a data set, lazily, in the units of training."""
    return checked(levels_as_variables(dataset, source), transform, source)


def stacked(fields: xr.Dataset, names: Sequence[str], index: int | slice, source: str) -> np.ndarray:
    """[h, w, P] float32 of one time, or [n, h, w, P] of several, read."""
    loaded = store.load(fields.isel(time=index), source)
    return np.stack([loaded[name].values for name in names], -1).astype(np.float32)
