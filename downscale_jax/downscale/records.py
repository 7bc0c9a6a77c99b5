"""Prepared records as a coarse data set, the form in which generators take their inputs."""

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.positions import block_coordinates
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.records import Prepared, Split


def coarse_dataset(prepared: Prepared, split: Split, times: np.ndarray, chosen: list[int]) -> xr.Dataset:
    """Coarse inputs of chosen records as a lazy canonical data set: on the fine grid, or on
    their own: block means, predictors."""
    import dask.array

    transform, dims, shape = prepared.field_transform, prepared.statics['mask'].dims, prepared.mask.shape
    coords: dict = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    if isinstance(transform, BlockMeans):
        coords = block_coordinates(prepared.statics, transform.factor)
        shape = (shape[0] // transform.factor, shape[1] // transform.factor)
    if isinstance(transform, PairTransform):
        grid = prepared.coarse_grid
        dims, shape, coords = grid['mask'].dims, grid['mask'].shape, dict(grid.coords)

    def read_record(index, channel):
        record = split[index]
        if isinstance(transform, BlockMeans):
            return transform.coarsen(record['fine'], prepared.area)[None, ..., channel]
        return record['coarse'][None, ..., channel]

    variables = {}
    for channel, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True)):
        planes = [
            dask.array.from_delayed(dask.delayed(read_record)(index, channel), (1, *shape), np.float32)
            for index in chosen
        ]
        variables[name] = (('time', *dims), dask.array.concatenate(planes), {'units': units})
    return xr.Dataset(variables, {**coords, 'time': ('time', times[chosen])})
