"""A user's coarse data set -> coarse inputs on the fine grid, in the units of training."""

from typing import Protocol

import numpy as np
import xarray as xr

from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.datasets import archives, store
from downscale_jax.fields.datasets.canonical import canonical, check_times
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.geometry.blocks import block_centres
from downscale_jax.fields.geometry.grid import is_periodic
from downscale_jax.fields.geometry.interpolation import ToFine, full_circle
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.runtime.errors import UserError


class Inputs(Protocol):
    """Coarse inputs on the fine grid, a time each."""

    times: np.ndarray
    periodic: bool  # whether the last column of the fine grid is the neighbour of the first
    channels: int  # Cin

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, Cin] float32, NaN where missing."""
        ...


def open_inputs(
    dataset: xr.Dataset,
    transform: RefinementTransform | BlockMeans,
    statics: xr.Dataset,
    source: str = 'the data set',
    corrected: QuantileMap | None = None,
) -> Inputs:
    """`corrected`, of block means: maps the fields of another source to the distribution of those of training."""
    if isinstance(transform, BlockMeans):
        return BlockInputs(dataset, transform, statics, source, corrected)
    return CoarseInputs(dataset, transform, statics, source)


class CoarseInputs:
    """Lazy: `inputs[i]` reads one time and brings it to the fine grid by the rule of `ToFine`.

    `dataset` holds the transform's inputs, at the resolution the model was trained to refine, on any grid. Raises
    UserError where a variable is missing, units do not convert, or no value falls on the fine grid.
    """

    def __init__(
        self, dataset: xr.Dataset, transform: RefinementTransform, statics: xr.Dataset, source: str = 'the data set'
    ):
        fields = checked(dataset, transform, source)
        self._fields, self._names, self._source = fields, transform.inputs, source
        self._mask = statics['mask'].values.astype(bool)
        self.channels = len(transform.inputs)
        self._to_fine = ToFine(fields, statics)  # the variables of a canonical data set share a grid
        self.periodic = is_periodic(statics)
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
                'do the two grids overlap, in the same projection?'
            )
        return coarse


class BlockInputs:
    """Lazy likewise, for coarse fields that are block means: `dataset` holds them on the grid of the blocks.

    Rows may run the other way, and a globe may begin at another meridian (`aligned`).

    Raises UserError where a variable is missing, units do not convert, or the fine grid is not that of the blocks
    refined: other sides than `factor` times as many cells, or blocks with their centres elsewhere.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        transform: BlockMeans,
        statics: xr.Dataset,
        source: str = 'the data set',
        corrected: QuantileMap | None = None,
    ):
        fields = checked(dataset, transform, source)
        shape = statics['mask'].shape
        found = fields[transform.inputs[0]].shape[1:]
        wanted = tuple(n // transform.factor for n in shape)
        if found != wanted or any(n % transform.factor for n in shape):
            raise UserError(
                f'{source} has {found[0]} x {found[1]} cells; blocks of {transform.factor} of the fine grid of '
                f'{shape[0]} x {shape[1]} are {wanted[0]} x {wanted[1]}: give the grid of your region by --statics, '
                f'{" x ".join(str(n * transform.factor) for n in found)} cells'
            )
        fields = aligned(fields, statics, transform.factor, source)
        if missing := [name for name in transform.points if name not in statics]:
            raise UserError(
                'this model normalises each grid point by its climate, which is known of the grid of training alone '
                f"(the fine grid lacks {', '.join(missing)}): for other regions train one with data.grid_point=''"
            )
        context_planes(transform.planes, statics, fields['time'].values[0], 'the fine grid')  # raises
        self._fields, self._transform, self._source, self._statics = fields, transform, source, statics
        self._corrected, self.channels = corrected, transform.lifted.channels
        self.periodic = is_periodic(statics)
        self.times: np.ndarray = fields['time'].values

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, 2 V + S] float32: what `BlockMeans.lift` gives."""
        fields = store.load(self._fields.isel(time=index), self._source)
        coarse = np.stack([fields[name].values for name in self._transform.inputs], -1).astype(np.float32)
        if self._corrected:
            coarse = self._corrected.apply(coarse, month_of(self.times[index]))
        around = context_planes(self._transform.planes, self._statics, self.times[index])
        return self._transform.lift(coarse, around, self.periodic).astype(np.float32)


def aligned(fields: xr.Dataset, statics: xr.Dataset, factor: int, source: str) -> xr.Dataset:
    """Coarse fields on the blocks of the fine grid `statics`, in its order: turned where rows or columns run the other
    way, and a full circle of longitudes from where the fine one begins. Raises UserError where they lie elsewhere."""
    for name in map(str, statics['mask'].dims):
        if name in fields.dims and name in fields.coords and name in statics.coords and fields.sizes[name] > 1:
            ours, fine = fields[name].values, statics[name].values
            if (ours[-1] - ours[0]) * (fine[-1] - fine[0]) < 0:
                fields = fields.isel({name: slice(None, None, -1)})
            if name == 'lon' and full_circle(ours):
                away = np.abs((fields[name].values - block_centres(fine, factor, True)[0] + 180) % 360 - 180)
                first = int(away.argmin())
                fields = fields.roll(lon=-first, roll_coords=True) if first else fields
    for name in dict.fromkeys((*map(str, statics['mask'].dims), 'lat', 'lon')):
        if name in fields.coords and name in statics.coords and fields[name].ndim == statics[name].ndim:
            check_centres(fields[name].values, statics[name].values, factor, name, source)
    return fields


def check_centres(coarse: np.ndarray, fine: np.ndarray, factor: int, name: str, source: str) -> None:
    """Raises UserError where coarse coordinates, 1-D or 2-D, are not the means of `factor` fine ones, to a tenth of a
    block; longitudes may differ by a circle."""
    circle = name == 'lon'
    centres = block_centres(fine, factor, circle)
    away = np.abs(coarse - centres)
    away = np.minimum(away % 360, 360 - away % 360) if circle else away
    steps = np.diff(np.unwrap(fine.astype(float), period=360.0) if circle else fine.astype(float))
    block = factor * np.abs(steps).mean() if steps.size else np.inf
    if away.max() > 0.1 * block:
        at = np.unravel_index(int(away.argmax()), away.shape)
        raise UserError(
            f"{source}: '{name}' is {coarse[at]:g} where blocks of {factor} fine cells have their centre at "
            f'{centres[at]:g}: rows run the other way, or this is another grid'
        )


def checked(dataset: xr.Dataset, transform: RefinementTransform | BlockMeans, source: str) -> xr.Dataset:
    """The canonical inputs by the names of training (`datasets.archives`) and in its units, lazily."""
    dataset = archives.renamed(dataset, transform.inputs, source)
    fields = canonical(dataset, list(transform.inputs), source=source)
    check_times(fields, transform.inputs, source)
    for name, units in zip(transform.inputs, transform.input_units, strict=True):
        fields[name] = convert_units(fields[name], units)
    return fields
