"""An ensemble as an xarray data set (member, time, y, x) with coordinates, units and provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.downscale.ensemble import Ensemble, generate
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.fitting import USABLE_SHARE, fit_to_memory, free_memory
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.geometry.mapping import mapping_name

CLIPPED_SHARE = 'clipped_share'
# standard names of masses of water, in training data, and those of the same as a depth, in units such as mm day-1
OF_DEPTH = {
    'precipitation_flux': 'lwe_precipitation_rate',
    'precipitation_amount': 'lwe_thickness_of_precipitation_amount',
    'convective_precipitation_flux': 'lwe_convective_precipitation_rate',
    'snowfall_flux': 'lwe_snowfall_rate',
}


@dataclass(frozen=True)
class Provenance:
    """Attributes that the data set gets from its model."""

    title: str = ''
    history: str = ''
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by target, such as its standard_name


NO_PROVENANCE = Provenance()


def in_memory(ensemble: Ensemble, provenance: Provenance = NO_PROVENANCE) -> xr.Dataset:
    """Generates the whole ensemble. The attribute `clipped_share` is the mean share of values that were clipped."""
    ensemble = fit_to_memory(ensemble.balanced(), USABLE_SHARE * free_memory())
    targets, times = ensemble.generator.transform.targets, len(ensemble.inputs)
    values = np.full((ensemble.members, times, *ensemble.area.shape, len(targets)), np.nan, np.float32)
    shares = []
    for generated in generate(ensemble, ensemble.units(), len(ensemble.units())):
        values[generated.members, generated.unit.time] = generated.fields
        shares.append(generated.clipped_share)
    dataset = empty_dataset(ensemble, provenance)
    for channel, name in enumerate(targets):
        dataset[name].values = values[..., channel]
    dataset.attrs[CLIPPED_SHARE] = float(np.mean(shares))
    return dataset.drop_vars(CLIPPED_SHARE)


def empty_dataset(
    ensemble: Ensemble, provenance: Provenance, store_attributes: Mapping[str, str] | None = None, shard_length: int = 1
) -> xr.Dataset:
    """The data set to be filled: lazy NaN, with `clipped_share` (unit, time).

    One chunk per work unit; those of `shard_length` consecutive times form a shard.
    """
    generator, statics = ensemble.generator, ensemble.statics
    grid, times = grid_of(statics), ensemble.inputs.times
    dims = grid['mask'].dims
    members = np.arange(ensemble.members, dtype=np.int32)
    shape = (ensemble.members, len(times), *ensemble.area.shape)
    chunks, shard = ((generator.partition.members, times, *ensemble.area.shape) for times in (1, shard_length))
    encoding = {'chunks': chunks, 'shards': shard} if shard_length > 1 else {}
    attributes = variable_attributes(generator, provenance)
    mapping = {'grid_mapping': name} if (name := mapping_name(statics)) else {}
    return xr.Dataset(
        {
            **{
                name: (('member', 'time', *dims), _lazy_nan(shape, shard), attributes[name] | mapping, encoding)
                for name in generator.transform.targets
            },
            **{name: variable.variable for name, variable in grid.data_vars.items() if name != 'mask'},
            CLIPPED_SHARE: (
                ('unit', 'time'),
                _lazy_nan((ensemble.groups, len(times)), (1, shard_length)),
                {'units': '1', 'long_name': 'share of values outside the physical bounds before clipping'},
            ),
        },
        coords={
            # CF knows no integers of 64 bits before version 1.9
            'member': ('member', members, {'standard_name': 'realization', 'units': '1'}),
            'time': ('time', times, {'standard_name': 'time', 'axis': 'T'}, {'dtype': 'float64'}),
            **{name: coordinate.variable for name, coordinate in grid.coords.items()},
        },
        attrs={
            'Conventions': 'CF-1.8',
            'source': f'downscale_jax {version("downscale_jax")}',
            **{name: text for name in ('title', 'history') if (text := getattr(provenance, name))},
            **(store_attributes or {}),
        },
    )


def grid_of(statics: xr.Dataset) -> xr.Dataset:
    """`mask` with the coordinates of the fine grid as CF files hold them: dimensions rlat, rlon of a rotated grid, and
    the bounds and the grid mapping as variables, which those that they describe name."""
    grid = with_all_coordinates(statics, ['mask']).drop_vars('time', errors='ignore')
    if {'rlat', 'rlon'} <= set(grid.coords):
        grid = grid.swap_dims(y='rlat', x='rlon')
    for dim, axis in zip(grid['mask'].dims, 'YX', strict=True):
        if dim in grid.coords:
            grid[dim].attrs['axis'] = axis
    for coordinate in grid.coords.values():
        if coordinate.attrs.get('bounds', '') not in grid.coords:
            coordinate.attrs.pop('bounds', None)
    if mapping := mapping_name(grid):
        grid = grid.assign_coords({mapping: grid[mapping].astype(np.int32)})
    described = {mapping, *(c.attrs.get('bounds') for c in grid.coords.values())}
    return grid.reset_coords([name for name in grid.coords if name in described])


def variable_attributes(generator: FieldGenerator, provenance: Provenance) -> dict[str, dict[str, Any]]:
    """Units, cell methods, physical bounds where finite, in the variable's own type, and provenance of each target."""
    transform = generator.transform
    attributes: dict[str, dict[str, Any]] = {}
    for name, units, (low, high) in zip(transform.targets, transform.target_units, transform.limits.T, strict=True):
        bounds = {'valid_min': np.float32(low), 'valid_max': np.float32(high)}
        given = dict(provenance.variables.get(name, {}))
        methods = given.pop('cell_methods', '')
        if 'kg' not in units and (depth := OF_DEPTH.get(given.get('standard_name', ''))):
            given['standard_name'] = depth
        attributes[name] = {
            'units': units,
            'cell_methods': methods if 'area:' in methods else f'{methods} area: mean'.strip(),
            **{key: bound for key, bound in bounds.items() if np.isfinite(bound)},
            **given,
        }
    return attributes


def _lazy_nan(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
    import dask.array

    return dask.array.full(shape, np.nan, dtype=np.float32, chunks=chunks)


def export_netcdf(zarr_path: Path, path: Path) -> None:
    """Writes a finished store as one CF NetCDF file, lazily."""
    # times stay numbers: decoding would warn of years beyond nanoseconds
    with xr.open_zarr(zarr_path, consolidated=False, decode_times=False) as dataset:
        share = float(dataset[CLIPPED_SHARE].values.mean())
        for array in dataset.data_vars.values():  # attributes of Zarr have no types
            for key in {'valid_min', 'valid_max'} & set(array.attrs):
                array.attrs[key] = array.dtype.type(array.attrs[key])
        store.write_netcdf(dataset.drop_vars(CLIPPED_SHARE).assign_attrs({CLIPPED_SHARE: share}), path)
