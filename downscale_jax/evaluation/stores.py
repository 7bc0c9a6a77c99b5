"""Test records as a coarse data set, and the stores of what generators make of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import xarray as xr

from downscale_jax.downscale.dataset import Provenance
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.filling import to_store
from downscale_jax.downscale.inputs import open_inputs
from downscale_jax.downscale.request import Source
from downscale_jax.fields.geometry.blocks import block_centres
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared, Split


def fill(
    generators: Mapping[str, FieldGenerator],
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: list[int],
    config: dict[str, Any],
    workdir: Path,
) -> dict[str, xr.Dataset]:
    """{generator: its fields at the chosen times of the test split, lazily}.

    They go to workdir/ensembles/NAME.zarr in the same way as by `--mode=downscale`, so that a killed evaluation
    resumes; a store of other settings is replaced.
    """
    coarse = coarse_dataset(prepared, split, times, chosen)
    opened = {}
    for name, generator in generators.items():
        members = config['evaluation']['members'] if generator.draws else 1
        path = workdir / 'ensembles' / f'{name}.zarr'
        path.parent.mkdir(exist_ok=True)
        source = Source(f'{prepared.directory.name}, {len(chosen)} days of test')
        inputs = open_inputs(coarse, generator.transform, prepared.statics, source.input)
        ensemble = Ensemble(generator, inputs, prepared.statics, members, config['seed'])
        targets = ' and '.join(prepared.field_transform.targets)
        provenance = Provenance(title=f'{targets} downscaled by {name}, times of the test split')
        to_store(ensemble, path, source, provenance, replace=True)
        opened[name] = xr.open_zarr(path, consolidated=False)
    return opened


def coarse_dataset(prepared: Prepared, split: Split, times: np.ndarray, chosen: list[int]) -> xr.Dataset:
    """Coarse inputs of chosen records as a lazy canonical data set: on the fine grid, or block means on their own."""
    transform, dims, shape = prepared.field_transform, prepared.statics['mask'].dims, prepared.mask.shape
    coords = {name: c for name, c in prepared.statics.coords.items() if name != 'time'}
    if isinstance(transform, BlockMeans):
        coords = {
            name: (c.dims, block_centres(c.values, transform.factor, name == 'lon'), c.attrs)
            for name, c in coords.items()
            if c.ndim
        }
        shape = (shape[0] // transform.factor, shape[1] // transform.factor)

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
