"""An ensemble as an xarray data set (member, time, y, x) with coordinates, units and provenance."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import dask.array
import numpy as np
import xarray as xr

from downscale_jax.downscale.ensemble import Ensemble, generate
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.fitting import USABLE_SHARE, fit_to_memory, free_memory
from downscale_jax.fields.datasets import store

CLIPPED_SHARE = 'clipped_share'


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
    for generated in generate(ensemble, ensemble.units()):
        values[generated.members, generated.unit.time] = generated.fields
        shares.append(generated.clipped_share)
    dataset = empty_dataset(ensemble, provenance)
    for channel, name in enumerate(targets):
        dataset[name].values = values[..., channel]
    dataset.attrs[CLIPPED_SHARE] = float(np.mean(shares))
    return dataset.drop_vars(CLIPPED_SHARE)


def empty_dataset(
    ensemble: Ensemble, provenance: Provenance, store_attributes: Mapping[str, str] | None = None
) -> xr.Dataset:
    """The data set to be filled: lazy NaN, one chunk per work unit, with `clipped_share` (unit, time)."""
    generator, statics = ensemble.generator, ensemble.statics
    dims, times = statics['mask'].dims, ensemble.inputs.times
    shape = (ensemble.members, len(times), *ensemble.area.shape)
    chunks = (generator.partition.members, 1, *ensemble.area.shape)
    attributes = variable_attributes(generator, provenance)
    return xr.Dataset(
        {
            **{
                name: (('member', 'time', *dims), _lazy_nan(shape, chunks), attributes[name])
                for name in generator.transform.targets
            },
            CLIPPED_SHARE: (
                ('unit', 'time'),
                _lazy_nan((ensemble.groups, len(times)), (1, 1)),
                {'units': '1', 'long_name': 'share of values outside the physical bounds before clipping'},
            ),
        },
        coords={
            'member': ('member', np.arange(ensemble.members), {'standard_name': 'realization', 'units': '1'}),
            'time': ('time', times, {'standard_name': 'time', 'axis': 'T'}),
            **{name: coordinate for name, coordinate in statics.coords.items() if name != 'time'},
        },
        attrs={
            'Conventions': 'CF-1.8',
            'source': f'downscale_jax {version("downscale_jax")}',
            **{name: text for name in ('title', 'history') if (text := getattr(provenance, name))},
            **(store_attributes or {}),
        },
    )


def variable_attributes(generator: FieldGenerator, provenance: Provenance) -> dict[str, dict[str, str | float]]:
    """Units, cell methods, physical bounds where finite, and provenance of each target."""
    transform = generator.transform
    attributes: dict[str, dict[str, str | float]] = {}
    for name, units, (low, high) in zip(transform.targets, transform.target_units, transform.limits.T, strict=True):
        bounds = {'valid_min': float(low), 'valid_max': float(high)}
        attributes[name] = {
            'units': units,
            'cell_methods': 'area: mean',
            **{key: bound for key, bound in bounds.items() if np.isfinite(bound)},
            **provenance.variables.get(name, {}),
        }
    return attributes


def _lazy_nan(shape: tuple[int, ...], chunks: tuple[int, ...]) -> dask.array.Array:
    return dask.array.full(shape, np.nan, dtype=np.float32, chunks=chunks)


def export_netcdf(zarr_path: Path, path: Path) -> None:
    """Writes a finished store as one CF NetCDF file, lazily."""
    # times stay numbers: decoding would warn of years beyond nanoseconds
    with xr.open_zarr(zarr_path, consolidated=False, decode_times=False) as dataset:
        share = float(dataset[CLIPPED_SHARE].values.mean())
        store.write_netcdf(dataset.drop_vars(CLIPPED_SHARE).assign_attrs({CLIPPED_SHARE: share}), path)
