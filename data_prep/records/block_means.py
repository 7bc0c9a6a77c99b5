"""Records of fine fields in time, one record per time; their coarse form, a block mean, is computed on reading."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep import sources
from data_prep.records.stream import fit_transform, stream
from data_prep.records.writer import SPLITS, Writer
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.context.relief import add_surface
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.times import encode_times, evenly, month_of
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.blocks import KERNELS
from downscale_jax.fields.transforms import grid_point, quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.fields.transforms.moments import Moments
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS, Standardisation
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError, suggestion

CLIMATE_TIMES, CLIMATE_BYTES = 480, 2**28  # most coarse fields of training from which their climate is estimated
LOGARITHM = 0.1  # below it ln(1 + x) equals x to within a twentieth
VERSION = 4  # of the records: raise it when they change
PATHS = ('path',)
KEYS = (
    'path', 'simulate', 'variables', 'level', *SPLITS, 'factor', 'mean', 'transform', 'anomaly', 'bounds',
    'interpolation', 'context', 'relief', 'grid_point', 'units',
)  # fmt: skip
OPTIONAL = {
    'interpolation': 'cubic',
    'context': (),
    'relief': '',
    'grid_point': '',
    'units': (),
}  # settings that systems without context do not have
SPACES = ('network', 'physical')


def check(data: dict) -> None:
    """Raises UserError for settings that are invalid for any series."""
    data = {**OPTIONAL, **data}
    known = {
        'transform': tuple(COMPRESSIONS),
        'mean': SPACES,
        'interpolation': tuple(KERNELS),
        'grid_point': grid_point.KINDS,
    }
    for key, valid in known.items():
        given = named(data[key])
        if not given or len(given) not in ((1,) if key in ('mean', 'grid_point') else (1, len(data['variables']))):
            raise UserError(f'data.{key}={data[key]}: expected one for all of {data["variables"]}, or one each')
        for one in given:
            if one not in valid:
                raise UserError(f"data.{key}='{one}': {suggestion(one, valid)}")
    if data['units'] and (isinstance(data['units'], str) or len(data['units']) != len(data['variables'])):
        raise UserError(f'data.units={data["units"]}: expected one for each of {data["variables"]}, or ()')
    if data['factor'] < 2:
        raise UserError(f'data.factor={data["factor"]}: blocks have at least 2 cells per side')
    if not data['variables']:
        raise UserError('data.variables is empty: name one or more')
    sources.check_simulated(data)
    rows = data['simulate'].get('rows', np.inf)
    if not data['path'] and data['factor'] > rows:
        raise UserError(f'data.factor={data["factor"]} is more than data.simulate.rows={rows}: choose a smaller one')
    limits(data['bounds'], data['variables'])  # raises
    if data['mean'] == 'network' and np.isfinite(data['bounds']).any():
        raise UserError(
            f'data.bounds={tuple(data["bounds"])} with data.mean=network: bounds can only be kept where the mean is '
            'that of physical values; set data.mean=physical'
        )


def named(value: str | Sequence[str]) -> tuple[str, ...]:
    """A setting with one value for all variables or one each."""
    return (value,) if isinstance(value, str) else tuple(value)


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, the grid and the transform fitted to the training split.

    Rows and columns beyond the last whole block are omitted.
    """
    data = {**OPTIONAL, **data}
    series = sources.open_series(data, seed)
    fields = whole_blocks(series, data)
    splits = {split: data[split] for split in SPLITS}
    check_splits(splits, fields['time'].values)
    parts = {split: select_dates(fields, dates) for split, dates in splits.items()}
    statics = grid_statics(fields, parts['train'], data)
    # fitted to all rows: equal to the transform of lag pairs from this series
    values = fit_transform(select_dates(series, splits['train']), data, named(data['transform']))
    if data['grid_point']:
        statics = add_grid_points(statics, parts['train'], values, data)
    store.write_netcdf(statics, directory / 'statics.nc')

    transform = fitted_transform(values, statics, data, fields['time'].values[0])
    training = TrainingStatistics(transform, statics, parts['train']['time'].values)
    kept = write_records(parts, data, training, directory)
    store.write_netcdf(training.climate().to_dataset(), directory / 'climate.nc')
    meta = {
        'name': name,
        'kind': 'block_means',
        'transform': {**transform.to_json(), 'target_std': training.target_std()},
        'calendar': fields['time'].dt.calendar,
        'records': kept,
        'range': training.extremes.T.tolist(),
        'idealised': not data['path'],
        'attributes': {v: {k: str(a) for k, a in fields[v].attrs.items()} for v in data['variables']},
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))


def grid_statics(fields: xr.Dataset, train: xr.Dataset, data: dict) -> xr.Dataset:
    """`mask` of the cells that have values in training, `cell_area`, and the topography and land of data.context."""
    y, x = fields[data['variables'][0]].dims[1:]
    statics = fields.drop_dims('time')
    everywhere = xr.DataArray(np.ones((fields.sizes[y], fields.sizes[x]), np.int8), dims=(y, x))
    mask = statics.get('mask', everywhere).astype(np.int8)
    statics['mask'] = mask.copy(data=mask.values * cells_with_values(train, data, mask.values > 0))
    statics['cell_area'] = (
        (y, x),
        grid.cell_areas_km2(statics).astype(np.float32),
        {'units': 'km2', 'standard_name': 'cell_area'},
    )
    return add_surface(statics, data['context'], data['relief'])


def add_grid_points(statics: xr.Dataset, train: xr.Dataset, values: Standardisation, data: dict) -> xr.Dataset:
    """With the offset and scale of each grid point (`grid_point`), fitted to the training split."""
    valid = statics['mask'].values[..., None] > 0
    masked = (np.where(valid, fine, np.float32(np.nan)) for _, fine in stream(train, data))
    planes = grid_point.fit(map(values.encode, masked), data['grid_point'])
    names = grid_point.names(data['variables'])
    return statics.assign({name: (statics['mask'].dims, planes[..., i]) for i, name in enumerate(names)})


def fitted_transform(values: Standardisation, statics: xr.Dataset, data: dict, time: Any) -> BlockMeans:
    """The transform, but for the standard deviation of its target; `time` is any of the series."""
    kernels = named(data['interpolation'])
    kernel: Any = kernels if len({*kernels}) > 1 else kernels[0]
    context_mean, context_std = context_moments(data['context'], statics, time)
    return BlockMeans(
        values=values,
        factor=data['factor'],
        mean=data['mean'],
        anomaly=data['anomaly'],
        bounds=tuple(tuple(pair) for pair in data['bounds']),
        target_std=(1.0,) * len(data['variables']),
        kernel=kernel,
        context=tuple(data['context']),
        context_mean=context_mean,
        context_std=context_std,
        points=grid_point.names(data['variables']) if data['grid_point'] else (),
    )


class TrainingStatistics:
    """Statistics of the records of the training split, added one by one."""

    def __init__(self, transform: BlockMeans, statics: xr.Dataset, times: np.ndarray):
        self.transform, self.statics, self.times = transform, statics, times
        self.periodic, self.area = grid.is_periodic(statics), grid.valid_area(statics)[..., None]
        count = len(transform.targets)
        self.extremes = np.full((2, count), [[np.inf], [-np.inf]])  # least and greatest: the range of PSNR and SSIM
        self._residuals = [Moments() for _ in range(count)]
        self._coarse: dict[int, np.ndarray] = {}  # by the index of their time
        coarse_bytes = 4 * count * statics['mask'].size // transform.factor**2
        self._kept = evenly(len(times), max(1, min(CLIMATE_TIMES, CLIMATE_BYTES // coarse_bytes)))

    def add(self, index: int, fine: np.ndarray) -> None:
        """Fine field [H, W, V] of the time at `index`."""
        self.extremes[0] = np.fmin(self.extremes[0], np.nanmin(fine, (0, 1)))
        self.extremes[1] = np.fmax(self.extremes[1], np.nanmax(fine, (0, 1)))
        transform = self.transform
        coarse = transform.coarsen(fine, self.area)
        if index in self._kept:
            self._coarse[index] = coarse
        if transform.anomaly:
            planes = context_planes(transform.planes, self.statics, self.times[index])
            residual = transform.encode(fine, transform.lift(coarse, planes, self.periodic))
            for moments, plane in zip(self._residuals, np.moveaxis(residual, -1, 0), strict=True):
                moments.add(plane)

    def target_std(self) -> list[float]:
        return [moments.std for moments in self._residuals] if self.transform.anomaly else [1.0] * len(self._residuals)

    def climate(self) -> quantile_mapping.QuantileMap:
        """Quantiles of the coarse fields, to which other sources can be mapped."""
        months = [month_of(time) for time in self.times[list(self._coarse)]]
        series = quantile_mapping.Series(months, self._coarse.values)
        values = self.transform.values
        return quantile_mapping.climate(series, values.variables, values.units, self.transform.limits[0])


def write_records(
    parts: Mapping[str, xr.Dataset], data: dict, training: TrainingStatistics, directory: Path
) -> dict[str, int]:
    """Writes the records of all splits; returns their numbers. Raises UserError for a split without any."""
    valid = training.area > 0
    shapes = {'fine': (*valid.shape[:2], len(data['variables'])), 'time': ()}
    kept = dict.fromkeys(parts, 0)
    with Writer(
        directory, shapes, 'Fine fields, one record per time; the coarse ones are their block means.'
    ) as writer:
        for split, part in parts.items():
            seconds = encode_times(part['time'].values)
            for index, fine in stream(part, data, f'preparing {split}'):
                fine = np.where(valid, fine, np.float32(np.nan))
                if not np.isfinite(fine).any((0, 1)).all():
                    continue
                writer.add(split, fine=fine, time=int(seconds[index]))
                kept[split] += 1
                if split == 'train':
                    training.add(index, fine)
            if not kept[split]:
                raise UserError(f"split '{split}' ({data[split]}): every value is missing")
            if split == 'train':
                check_logarithm(training.transform.values, training.extremes[1])
    return kept


def cells_with_values(part: xr.Dataset, data: dict, domain: np.ndarray) -> np.ndarray:
    """[H, W] bool: cells of `domain` where any variable has a value at any time.

    Reads until all cells have one: a few times, or all of them where some cells never do, such as the sea in ERA5-Land.
    """
    valid = np.zeros_like(domain)
    for _, fine in stream(part, data, 'finding cells with values'):
        valid |= np.isfinite(fine).any(-1) & domain
        if valid[domain].all():
            break
    return valid


def check_logarithm(fitted: Standardisation, greatest: np.ndarray) -> None:
    """Raises UserError for ln(1 + x) of a variable whose `greatest` value [V] in training is so small that it is x."""
    compression = np.broadcast_to(fitted.compression, greatest.shape)
    for name, unit, c, most in zip(fitted.variables, fitted.units, compression, greatest, strict=True):
        if c == COMPRESSIONS['log1p'] and most < LOGARITHM:
            raise UserError(
                f"data.transform=log1p of '{name}', which is at most {most:.2g} {unit} in training, where ln(1 + x) is "
                "x: give units by data.units in which it is larger, 'mm day-1' for rain, or another transform"
            )


def context_moments(
    names: Sequence[str], statics: xr.Dataset, time: Any
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the context planes; 0 and 1 for angles and latitude, which are of order 1."""
    mean, std = [], []
    for name in names:
        moments = Moments()
        for plane in np.moveaxis(context_planes((name,), statics, time, 'the data'), -1, 0):
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
        shape = ' x '.join(str(fields.sizes[dim]) for dim in dims)
        raise UserError(f'data.factor={data["factor"]} exceeds the grid of {shape} cells: choose a smaller one')
    omitted = {dim: fields.sizes[dim] - n for dim, n in kept.items() if n < fields.sizes[dim]}
    if omitted:
        ends = ' and '.join(f'{n} at the end of {dim}' for dim, n in omitted.items())
        messages.info(f'blocks of {data["factor"]} leave out cells: {ends}')
    return fields.isel({dim: slice(n) for dim, n in kept.items()})
