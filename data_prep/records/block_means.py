"""Fine fields in time -> records, a record a time; their coarse form is a block mean, taken when a record is read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep.records import series
from data_prep.records.statics import add_context
from data_prep.records.writer import SPLITS, Writer
from downscale_jax.fields import context, grid, grid_point, quantile_mapping, store
from downscale_jax.fields.block_means import KERNELS, BlockMeans, limits
from downscale_jax.fields.dates import check_splits, select_dates
from downscale_jax.fields.log_transform import COMPRESSIONS, LogTransform
from downscale_jax.fields.normalize import Moments
from downscale_jax.fields.times import encode_times, evenly, month_of
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError, nearest

CLIMATE_TIMES, CLIMATE_BYTES = 480, 2**28  # of training: how many of its coarse fields tell its climate
LOGARITHM = 0.1  # ln(1 + x) of less is x, to a twentieth
VERSION = 4  # of this file's results: raise it when they change
KEYS = (
    'path', 'simulate', 'variables', 'level', *SPLITS, 'factor', 'mean', 'transform', 'anomaly', 'bounds',
    'interpolation', 'context', 'relief', 'grid_point', 'units',
)  # fmt: skip
UNSHOWN = {
    'interpolation': 'cubic',
    'context': (),
    'relief': '',
    'grid_point': '',
    'units': (),
}  # of systems whose networks see the coarse field alone
SPACES = ('network', 'physical')


def check(data: dict) -> None:
    """Raises UserError for settings that no series can fulfil."""
    data = {**UNSHOWN, **data}
    known = {
        'transform': tuple(COMPRESSIONS),
        'mean': SPACES,
        'interpolation': tuple(KERNELS),
        'grid_point': grid_point.KINDS,
    }
    for key, valid in known.items():
        given = named(data[key])
        if not given or len(given) not in ((1,) if key in ('mean', 'grid_point') else (1, len(data['variables']))):
            raise UserError(f'data.{key}={data[key]}: one for all variables {data["variables"]}, or one each')
        for one in given:
            if one not in valid:
                raise UserError(f"data.{key}='{one}': {nearest(one, valid)}")
    if data['units'] and (isinstance(data['units'], str) or len(data['units']) != len(data['variables'])):
        raise UserError(f'data.units={data["units"]}: one for each of {data["variables"]}, or none: ()')
    if data['factor'] < 2:
        raise UserError(f'data.factor={data["factor"]}: cells are averaged by at least 2')
    if not data['variables']:
        raise UserError('data.variables is empty: name one or more')
    series.check_simulated(data)
    rows = data['simulate'].get('rows', np.inf)
    if not data['path'] and data['factor'] > rows:
        raise UserError(f'data.factor={data["factor"]} is more than data.simulate.rows={rows}: choose a smaller one')
    limits(data['bounds'], len(data['variables']))  # raises
    if data['mean'] == 'network' and np.isfinite(data['bounds']).any():
        raise UserError(
            f'data.bounds={tuple(data["bounds"])} with data.mean=network: bounds can only be kept where the mean is '
            'that of physical values; set data.mean=physical'
        )


def named(value: str | Sequence[str]) -> tuple[str, ...]:
    """One for all variables, or one each."""
    return (value,) if isinstance(value, str) else tuple(value)


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, the grid and the transform fitted to the training split.

    Rows and columns beyond the last whole block are left out.
    """
    data = {**UNSHOWN, **data}
    everything = series.open_fields(data, seed)
    fields = whole_blocks(everything, data)
    splits = {split: data[split] for split in SPLITS}
    check_splits(splits, fields['time'].values)
    y, x = fields[data['variables'][0]].dims[1:]
    parts = {split: select_dates(fields, dates) for split, dates in splits.items()}
    statics = fields.drop_dims('time').assign_coords({y: fields[y], x: fields[x]})
    everywhere = xr.DataArray(np.ones((fields.sizes[y], fields.sizes[x]), np.int8), dims=(y, x))
    mask = statics.get('mask', everywhere).astype(np.int8)
    statics['mask'] = mask.copy(data=mask.values * known(parts['train'], data, mask.values > 0))
    statics['cell_area'] = (
        (y, x),
        grid.cell_areas_km2(statics).astype(np.float32),
        {'units': 'km2', 'standard_name': 'cell_area'},
    )
    statics = add_context(statics, data)
    periodic, area = grid.is_periodic(statics), grid.valid_area(statics)[..., None]

    # of all rows: the same as that of lag pairs from this series
    whole = select_dates(everything, splits['train'])
    values = series.fit_transform(whole, data, named(data['transform']))
    climates = grid_point.names(data['variables']) if data['grid_point'] else ()
    if climates:
        seen = (np.where(area > 0, fine, np.float32(np.nan)) for _, fine in series.stream(parts['train'], data))
        found = grid_point.fit(map(values.encode, seen), data['grid_point'])
        statics = statics.assign({name: ((y, x), found[..., i]) for i, name in enumerate(climates)})
    store.write_netcdf(statics, directory / 'statics.nc')
    ones = (1.0,) * len(data['variables'])
    kernels = named(data['interpolation'])
    kernel: Any = kernels if len({*kernels}) > 1 else kernels[0]
    transform = BlockMeans(
        values, data['factor'], data['mean'], data['anomaly'], tuple(data['bounds']), ones, kernel,
        tuple(data['context']), *context_moments(data['context'], statics, fields['time'].values[0]), climates,
    )  # fmt: skip

    shapes = {'fine': (fields.sizes[y], fields.sizes[x], len(data['variables'])), 'time': ()}
    kept = dict.fromkeys(SPLITS, 0)
    extremes = np.full((2, len(ones)), [[np.inf], [-np.inf]])  # of training: the data range of PSNR and SSIM
    moments = [Moments() for _ in ones]
    remembered: dict[int, np.ndarray] = {}  # coarse fields of training, for their climate
    least = 4 * int(np.prod(shapes['fine'])) // data['factor'] ** 2
    spread = evenly(parts['train'].sizes['time'], max(1, min(CLIMATE_TIMES, CLIMATE_BYTES // least)))
    with Writer(directory, shapes, 'Fine fields, a record a time; the coarse ones are their block means.') as writer:
        for split, part in parts.items():
            seconds = encode_times(part['time'].values)
            for index, fine in series.stream(part, data, f'preparing {split}'):
                fine = np.where(area > 0, fine, np.float32(np.nan))
                if not np.isfinite(fine).any((0, 1)).all():
                    continue
                writer.add(split, fine=fine, time=int(seconds[index]))
                kept[split] += 1
                if split == 'train':
                    extremes[0] = np.fmin(extremes[0], np.nanmin(fine, (0, 1)))
                    extremes[1] = np.fmax(extremes[1], np.nanmax(fine, (0, 1)))
                    coarse = transform.coarsen(fine, area)
                    if index in spread:
                        remembered[index] = coarse
                    if data['anomaly']:
                        around = context.planes(transform.planes, statics, part['time'].values[index])
                        lifted = transform.lift(coarse, around, periodic)
                        residual = transform.encode(fine, lifted)
                        for one, plane in zip(moments, np.moveaxis(residual, -1, 0), strict=True):
                            one.add(plane)
            if not kept[split]:
                raise UserError(f"split '{split}' ({splits[split]}): every value is missing")
            if split == 'train':
                check_logarithm(values, extremes[1])
    months = [month_of(time) for time in parts['train']['time'].values[list(remembered)]]
    coarse_series = quantile_mapping.Series(months, remembered.values)
    climate = quantile_mapping.climate(coarse_series, values.variables, values.units, transform.limits[0])
    store.write_netcdf(climate.to_dataset(), directory / 'climate.nc')
    std = [m.std for m in moments] if data['anomaly'] else list(ones)
    meta = {
        'name': name,
        'kind': 'block_means',
        'transform': {**transform.to_json(), 'target_std': std},
        'calendar': fields['time'].dt.calendar,
        'records': kept,
        'range': extremes.T.tolist(),
        'idealised': not data['path'],
        'attributes': {v: {k: str(a) for k, a in fields[v].attrs.items()} for v in data['variables']},
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def known(part: xr.Dataset, data: dict, domain: np.ndarray) -> np.ndarray:
    """[H, W] bool: cells of `domain` where any variable has a value at any time. Reads until all are known: a few
    times, or all of them where some cells never have one, as ERA5-Land's on the sea."""
    found = np.zeros_like(domain)
    for _, fine in series.stream(part, data, 'looking where values are'):
        found |= np.isfinite(fine).any(-1) & domain
        if found[domain].all():
            break
    return found


def check_logarithm(fitted: LogTransform, greatest: np.ndarray) -> None:
    """Raises UserError for ln(1 + x) where `greatest` [V] of training is so small that it is x."""
    compression = np.broadcast_to(fitted.compression, greatest.shape)
    for name, unit, one, most in zip(fitted.variables, fitted.units, compression, greatest, strict=True):
        if one == COMPRESSIONS['log1p'] and most < LOGARITHM:
            raise UserError(
                f"data.transform=log1p of '{name}', which is at most {most:.2g} {unit} in training, where ln(1 + x) is "
                "x: give units by data.units in which it is larger, 'mm day-1' for rain, or another transform"
            )


def context_moments(
    names: Sequence[str], statics: xr.Dataset, time: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the planes of variables; 0 and 1 for angles and latitude, which are of order 1."""
    mean, std = [], []
    for name in names:
        moments = Moments()
        for plane in np.moveaxis(context.planes((name,), statics, time, 'the data'), -1, 0):
            if name in statics.data_vars:
                moments.add(plane[statics['mask'].values > 0])
            mean.append(moments.mean if moments.count else 0.0)
            std.append(moments.std if moments.count else 1.0)
    return tuple(mean), tuple(std)


def whole_blocks(fields: xr.Dataset, data: dict) -> xr.Dataset:
    """The fields without the rows and columns at their far ends that fill no block. Raises UserError for none."""
    dims = fields[data['variables'][0]].dims[1:]
    kept = {dim: fields.sizes[dim] // data['factor'] * data['factor'] for dim in dims}
    if not all(kept.values()):
        found = ' x '.join(str(fields.sizes[dim]) for dim in dims)
        raise UserError(f'data.factor={data["factor"]} is more than the grid of {found} has: choose a smaller one')
    lost = {dim: fields.sizes[dim] - n for dim, n in kept.items() if n < fields.sizes[dim]}
    if lost:
        told = ' and '.join(f'{n} at the end of {dim}' for dim, n in lost.items())
        messages.info(f'blocks of {data["factor"]} leave out cells: {told}')
    return fields.isel({dim: slice(n) for dim, n in kept.items()})
