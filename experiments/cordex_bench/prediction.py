"""Prediction files in the official form: both targets, the coordinates of the targets, the times of the predictors."""

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.runtime.errors import UserError
from experiments.cordex_bench.layout import TARGETS, UNITS, Domain

BLOCK = 32  # times that are written, and compressed, together
KEPT = ('Conventions', 'source', 'title')  # global attributes of an ensemble; its history names paths
COMPRESSION = {'dtype': 'float32', 'zlib': True, 'complevel': 4, 'shuffle': True, '_FillValue': np.float32(np.nan)}


def write_prediction(
    ensemble: Path, path: Path, targets: xr.Dataset, times: xr.DataArray, attributes: Mapping[str, str]
) -> None:
    """Writes the finished Zarr store `ensemble` as a prediction, block by block, whole or not at all.

    `targets` is the target file of training, `times` are those of the predictors, whose calendar and units are kept. A
    store of one member gives a prediction without the dimension `member`. Raises UserError if writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{path.name}.partial')
    with xr.open_zarr(ensemble, consolidated=False, chunks={'time': BLOCK}) as fields:
        prediction = in_official_form(fields, targets, times).assign_attrs(attributes)
        try:
            prediction.to_netcdf(partial, engine='netcdf4', encoding=encoding_of(prediction, targets, times))
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:
            raise UserError(f'cannot write {path}: {error}; check space and permissions') from error
        finally:
            partial.unlink(missing_ok=True)


def in_official_form(fields: xr.Dataset, targets: xr.Dataset, times: xr.DataArray) -> xr.Dataset:
    """An ensemble (member, time, y, x) with the coordinates and attributes of the target file and the given times."""
    dims = targets[TARGETS[0]].dims[-2:]
    members = () if fields.sizes['member'] == 1 else ('member',)
    coords = {str(n): bare(c) for n, c in targets[list(TARGETS)].coords.items() if set(c.dims) <= set(dims)}
    if members:
        coords['member'] = xr.Variable('member', np.arange(fields.sizes['member']), {'standard_name': 'realization'})
    variables = {}
    for name in TARGETS:
        values = fields[name].data if members else fields[name].data[0]
        attrs = {'units': UNITS[name], **without_references(targets[name].attrs)}
        variables[name] = ((*members, 'time', *dims), values, attrs)
    time = xr.Variable('time', times.values, without_references(times.attrs))
    kept = {key: value for key, value in fields.attrs.items() if key in KEPT}
    return xr.Dataset(variables, {**coords, 'time': time}, kept)


def bare(coordinate: xr.DataArray) -> xr.Variable:
    """Without encoding, and without attributes that refer to variables that predictions do not have."""
    return xr.Variable(coordinate.dims, coordinate.values, without_references(coordinate.attrs))


def without_references(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes without the names of bounds, which predictions do not have, and without fill values."""
    return {k: v for k, v in attrs.items() if k not in ('bounds', 'missing_value', 'grid_mapping', 'coordinates')}


def encoding_of(prediction: xr.Dataset, targets: xr.Dataset, times: xr.DataArray) -> dict[Hashable, dict[str, Any]]:
    """Compressed float32 in blocks of one member; times in the units of the predictors."""
    stamps = {key: times.encoding[key] for key in ('units', 'calendar') if key in times.encoding}
    encoding: dict[Hashable, dict[str, Any]] = {name: {'_FillValue': None} for name in prediction.coords}
    encoding['time'] |= {**stamps, 'dtype': 'float64'}
    for name in TARGETS:
        sizes = prediction[name].sizes
        chunks = [1 if dim == 'member' else min(size, BLOCK if dim == 'time' else size) for dim, size in sizes.items()]
        encoding[name] = {**COMPRESSION, 'chunksizes': tuple(chunks)}
        mapping = targets[name].encoding.get('grid_mapping', targets[name].attrs.get('grid_mapping'))
        if mapping in prediction.variables:
            encoding[name]['grid_mapping'] = mapping
    return encoding


def open_targets(path: str, domain: Domain) -> xr.Dataset:
    """The target file of training, lazily. Raises UserError where it is not on the grid of the domain."""
    targets = store.open_dataset(path)
    for name in TARGETS:
        if name not in targets or targets[name].dims[-2:] != domain.dims:
            raise UserError(f"{path}: '{name}' on {domain.dims} was expected for {domain.name}: check the tree")
    return targets
