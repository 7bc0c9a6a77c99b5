"""Coarse inputs on the fine grid, one time at a time, in the units of training, from a user's data set."""

from typing import Protocol

import numpy as np
import xarray as xr

from downscale_jax.downscale.tiles import Domain
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.datasets import archives, store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.alignment import aligned
from downscale_jax.fields.geometry.grid import is_periodic
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.kinds import FieldTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.runtime.errors import UserError


class Inputs(Protocol):
    """Coarse inputs on the fine grid, one array per time."""

    times: np.ndarray
    domain: Domain

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, Cin] float32, NaN where missing."""
        ...


class CoarseInputs:
    """Lazy inputs of a refinement: `inputs[i]` reads one time and interpolates it to the fine grid (`ToFine`).

    `dataset` holds the transform's inputs on any grid, at the resolution that the model was trained to refine. Raises
    UserError where a variable is missing, units do not convert, or no value falls on the fine grid.
    """

    def __init__(
        self, dataset: xr.Dataset, transform: RefinementTransform, statics: xr.Dataset, source: str = 'the data set'
    ):
        fields = checked(dataset, transform, source)
        self._fields, self._names, self._source = fields, transform.inputs, source
        self._mask = statics['mask'].values.astype(bool)
        self._to_fine = ToFine(fields, statics)  # the variables of a canonical data set share a grid
        self.domain = Domain(self._mask.shape, len(transform.inputs), is_periodic(statics))
        self.times: np.ndarray = fields['time'].values

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, Cin] float32, NaN where missing."""
        fields = store.load(self._fields.isel(time=index), self._source)
        channels = self._to_fine(np.stack([fields[name].values for name in self._names]))
        coarse = np.moveaxis(channels, 0, -1).astype(np.float32, order='C')
        if not np.isfinite(coarse[self._mask]).any():
            raise UserError(
                f'{self._source}: no value of {", ".join(self._names)} falls on the fine grid at {self.times[index]}: '
                'check that the two grids overlap and have the same projection'
            )
        return coarse


class BlockInputs:
    """Lazy inputs of a model of block means: `dataset` holds them on the grid of the blocks.

    Rows and columns may run the other way, a global grid may begin at another meridian, and a larger grid is cut to the
    region (`geometry.alignment`). Raises UserError where a variable is missing, units do not convert, or the fine grid
    does not refine the blocks: it must have `factor` times as many cells a side, and the blocks the same centres.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        transform: BlockMeans,
        statics: xr.Dataset,
        source: str = 'the data set',
        correction: QuantileMap | None = None,
    ):
        fields = checked(dataset, transform, source)
        rows, columns = fine = statics['mask'].shape
        if not any(n % transform.factor for n in fine):
            fields = aligned(fields, statics, transform.factor, source)
        coarse = fields[transform.inputs[0]].shape[1:]
        blocks = tuple(n // transform.factor for n in fine)
        if coarse != blocks or any(n % transform.factor for n in fine):
            raise UserError(
                f'{source} has {coarse[0]} x {coarse[1]} cells; blocks of {transform.factor} of the fine grid of '
                f'{fine[0]} x {fine[1]} are {blocks[0]} x {blocks[1]}: give the fine grid of your region by --statics, '
                f'{" x ".join(str(n * transform.factor) for n in coarse)} cells'
            )
        if missing := [name for name in transform.points if name not in statics]:
            raise UserError(
                'this model normalises each grid point by its climate, which is known on the training grid only '
                f"(the fine grid lacks {', '.join(missing)}): for other regions train a model with data.grid_point=''"
            )
        context_planes(transform.planes, statics, fields['time'].values[0], 'the fine grid')  # raises
        self._fields, self._transform, self._source, self._statics = fields, transform, source, statics
        self._correction = correction
        self.domain = Domain((rows, columns), transform.lifted.channels, is_periodic(statics))
        self.times: np.ndarray = fields['time'].values

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, 2 V + S] float32, as `BlockMeans.lift` stacks them."""
        fields = store.load(self._fields.isel(time=index), self._source)
        coarse = np.stack([fields[name].values for name in self._transform.inputs], -1).astype(np.float32)
        if self._correction:
            coarse = self._correction.apply(coarse, month_of(self.times[index]))
        planes = context_planes(self._transform.planes, self._statics, self.times[index])
        return self._transform.lift(coarse, planes, self.domain.periodic).astype(np.float32)


def checked(dataset: xr.Dataset, transform: FieldTransform, source: str) -> xr.Dataset:
    """The canonical inputs under the names (`fields.archives`) and in the units of training, lazily."""
    dataset = archives.renamed(dataset, transform.inputs, source)
    fields = canonical(dataset, list(transform.inputs), source=source)
    check_times(fields, transform.inputs, source)
    for name, units in zip(transform.inputs, transform.input_units, strict=True):
        fields[name] = convert_units(fields[name], units, source)
    return fields
