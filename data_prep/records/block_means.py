"""Records of fine fields in time, one record per time; their coarse form, a block mean, is computed on reading."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep import sources
from data_prep.records.shards import SPLITS, Shard, write_records
from data_prep.records.statistics import Extremes, Statistics
from data_prep.records.stream import cells_with_values, check_range, fit_transform, reduce_times, stream, texts
from downscale_jax.fields.context.planes import context_planes
from downscale_jax.fields.context.relief import add_surface
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.times import encode_times, evenly, month_of
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.transforms import grid_point, quantile_mapping
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.moments import Moments
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS, Standardisation
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

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
    sources.check_patch(fields[data['variables'][0]].shape[1:], data)
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
    records = BlockMeanRecords(parts, data, transform, statics)
    written = write_records(directory, records, {split: part.sizes['time'] for split, part in parts.items()})
    for split in SPLITS:
        if not written.records(split):
            raise UserError(f"split '{split}' ({data[split]}): every value is missing")
    training = written.statistics
    assert training is not None  # of the training split, which has records
    for variable in zip(values.variables, values.units, data['bounds'], *training.extremes, strict=True):
        check_range(*variable)
    check_logarithm(values, training.extremes[1])
    store.write_netcdf(climate(training, transform, parts['train']).to_dataset(), directory / 'climate.nc')
    meta = {
        'name': name,
        'kind': 'block_means',
        'transform': {**transform.to_json(), 'target_std': target_std(training, transform)},
        'calendar': fields['time'].dt.calendar,
        'records': {split: written.records(split) for split in SPLITS},
        'range': training.extremes.T.tolist(),
        'idealised': not data['path'],
        'attributes': texts(fields, data['variables']),
        'input_attributes': texts(fields, data['variables']),
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

    def compute(fields: Iterator[np.ndarray]) -> grid_point.PointMoments:
        return grid_point.moments(values.encode(np.where(valid, field, np.float32(np.nan))) for field in fields)

    merged = reduce_times(train, data, compute, grid_point.PointMoments.merged, 'grid points')
    planes = merged.planes(data['grid_point'])
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


@dataclass(frozen=True)
class BlockMeanRecords:
    """The records of fields in time."""

    parts: Mapping[str, xr.Dataset]
    data: dict[str, Any]
    transform: BlockMeans
    statics: xr.Dataset

    description = 'Fine fields, one record per time; the coarse ones are their block means.'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {'fine': (*self.statics['mask'].shape, len(self.transform.targets)), 'time': ()}

    def write(self, shard: Shard, add: Callable[..., None]) -> Statistics | None:
        """See `shards.Records`; times at which a variable has no value are omitted."""
        part = self.parts[shard.split].isel(time=slice(shard.start, shard.stop))
        seconds, valid = encode_times(part['time'].values), self.statics['mask'].values[..., None] > 0
        training = Training(self, shard) if shard.split == 'train' else None
        for index, fine in stream(part, self.data):
            fine = np.where(valid, fine, np.float32(np.nan))
            if not np.isfinite(fine).any((0, 1)).all():
                continue
            add(fine=fine, time=int(seconds[index]))
            if training:
                training.add(shard.start + index, fine)
        return training.statistics() if training else None


class Training:
    """Statistics of the records of a shard of the training split, added one by one."""

    def __init__(self, records: BlockMeanRecords, shard: Shard):
        self.transform, self.statics = records.transform, records.statics
        self.times = records.parts['train']['time'].values
        self.periodic, self.area = grid.is_periodic(self.statics), grid.valid_area(self.statics)[..., None]
        count = len(self.transform.targets)
        self.extremes = Extremes(count)  # the range of PSNR and SSIM
        self._residuals = [Moments() for _ in range(count)]
        coarse_bytes = 4 * count * self.statics['mask'].size // self.transform.factor**2
        every = evenly(len(self.times), max(1, min(CLIMATE_TIMES, CLIMATE_BYTES // coarse_bytes)))
        self._kept = {index for index in every if shard.start <= index < shard.stop}
        self._coarse: dict[int, np.ndarray] = {}  # by the index of their time

    def add(self, index: int, fine: np.ndarray) -> None:
        """Fine field [H, W, V] of the time at `index` of the training split."""
        self.extremes.add(fine)
        transform = self.transform
        if index in self._kept or transform.anomaly:
            coarse = transform.coarsen(fine, self.area)
        if index in self._kept:
            self._coarse[index] = coarse
        if transform.anomaly:
            planes = context_planes(transform.planes, self.statics, self.times[index])
            residual = transform.encode(fine, transform.lift(coarse, planes, self.periodic))
            for moments, plane in zip(self._residuals, np.moveaxis(residual, -1, 0), strict=True):
                moments.add(plane)

    def statistics(self) -> Statistics:
        h, w = (size // self.transform.factor for size in self.statics['mask'].shape)
        coarse = np.stack([*self._coarse.values()]) if self._coarse else np.zeros((0, h, w, len(self._residuals)), 'f4')
        return Statistics(
            self.extremes.values,
            {'residuals': np.stack([moments.sums for moments in self._residuals])},
            {'index': np.array([*self._coarse], np.int64), 'coarse': coarse},
        )


def target_std(training: Statistics, transform: BlockMeans) -> list[float]:
    """Standard deviation of each target."""
    sums = training.sums['residuals']
    return [Moments(part).std for part in sums] if transform.anomaly else [1.0] * len(sums)


def climate(training: Statistics, transform: BlockMeans, train: xr.Dataset) -> quantile_mapping.QuantileMap:
    """Quantiles of the coarse fields, to which other sources can be mapped."""
    months = [month_of(time) for time in train['time'].values[training.series['index']]]
    series = quantile_mapping.Series(months, lambda: training.series['coarse'])
    values = transform.values
    return quantile_mapping.climate(series, values.variables, values.units, transform.limits[0])


def check_logarithm(fitted: Standardisation, greatest: np.ndarray) -> None:
    """Raises UserError for ln(1 + x) of a variable whose `greatest` value [V] in training is so small that it is x."""
    compression = np.broadcast_to(fitted.compression, greatest.shape)
    for name, unit, c, most in zip(fitted.variables, fitted.units, compression, greatest, strict=True):
        if c == COMPRESSIONS['log1p'] and most < LOGARITHM:
            raise UserError(
                f"data.transform=log1p of '{name}' has no effect: in training it is at most {most:.2g} {unit}, where "
                "ln(1 + x) is x: choose data.units in which it is larger, 'mm day-1' for rain, or use another transform"
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
        messages.info(f'cells that do not fill a block of {data["factor"]} are left out: {ends}')
    return fields.isel({dim: slice(n) for dim, n in kept.items()})
