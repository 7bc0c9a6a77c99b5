"""Prepared records as a coarse data set, the form in which generators take their inputs."""

import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.positions import block_coordinates
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.pipeline.records import Prepared, Split


def coarse_dataset(prepared: Prepared, split: Split, times: np.ndarray, chosen: list[int]) -> xr.Dataset:
    """Coarse inputs of chosen records as a lazy canonical data set: on the fine grid, or on their own: block means,
    predictors. A record is read once for all variables that are loaded together."""
    import dask.array

    transform, dims, shape = prepared.field_transform, prepared.statics['mask'].dims, prepared.mask.shape
    coords: dict = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    if isinstance(transform, BlockMeans):
        coords = block_coordinates(prepared.statics, transform.factor)
        shape = (shape[0] // transform.factor, shape[1] // transform.factor)
    if isinstance(transform, PairTransform):
        grid = prepared.coarse_grid
        dims, shape, coords = grid['mask'].dims, grid['mask'].shape, dict(grid.coords)

    def read_record(index):
        record = split[index]
        if isinstance(transform, BlockMeans):
            return transform.coarsen(record['fine'], prepared.area)
        return record['coarse']

    shape = (*shape, len(transform.inputs))
    records = [dask.array.from_delayed(dask.delayed(read_record)(index), shape, np.float32) for index in chosen]
    coarse = dask.array.stack(records)
    variables = {
        name: (('time', *dims), coarse[..., channel], attributes(prepared, name, units))
        for channel, (name, units) in enumerate(zip(transform.inputs, transform.input_units, strict=True))
    }
    return xr.Dataset(variables, {**coords, 'time': ('time', times[chosen])})


def attributes(prepared: Prepared, name: str, units: str) -> dict[str, str]:
    """CF attributes of an input, by which differences and measures of spread are recognised; not the standard name,
    by which winds would be turned to the axes of the grid once more."""
    own = prepared.meta.get('input_attributes', {}).get(name, {})  # missing in work directories of earlier versions
    names = ' '.join(own[key] for key in ('standard_name', 'long_name') if key in own)
    kept = {'long_name': names, **{key: own.get(key, '') for key in ('cell_methods', 'units_metadata')}}
    return {'units': units, **{key: value for key, value in kept.items() if value}}
