"""Records of pairs: a coarse field of predictors and a fine field of targets per time, each on its own grid."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from data_prep.readers.pairs import Pair, open_fine, read_pair
from data_prep.records.block_means import CLIMATE_BYTES, CLIMATE_TIMES, check_logarithm, context_moments
from data_prep.records.shards import SPLITS, Shard, Summary, write_records
from data_prep.records.statistics import Extremes, Statistics
from data_prep.records.stream import (
    STATISTICS_TIMES,
    cells_with_values,
    check_range,
    fit_transform,
    reduce_times,
    stream,
    texts,
)
from data_prep.simulators import coarse_model
from downscale_jax.fields.context.relief import add_surface
from downscale_jax.fields.context.surface import read_surface
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.coordinates import with_all_coordinates
from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.fields.datasets.selection import isel_times
from downscale_jax.fields.datasets.times import encode_times, evenly, month_of
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.geometry.interpolation import ToFine, grid_points, tree_of
from downscale_jax.fields.transforms import grid_point, quantile_mapping
from downscale_jax.fields.transforms.grid_point_regression import (
    SEASONAL,
    NormalEquations,
    predict,
    regressors,
    to_statics,
)
from downscale_jax.fields.transforms.lifting import covered_share, interpolate_fields
from downscale_jax.fields.transforms.pairs import SPREAD, PairTransform
from downscale_jax.fields.transforms.standardisation import COMPRESSIONS
from downscale_jax.pipeline.records import COARSE_GRID
from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError

AROUND = 2  # coarse cells kept around the fine grid, so that filling gaps at its edge is the same as without the cut
GAPS = 0.05  # share of the cells and times above which gaps of a variable are reported
VERSION = 2  # of the records: raise it when they change
PATHS = ('coarse', 'fine', 'relief')
KEYS = (
    'coarse', 'fine', 'member', 'simulate', 'predictors', 'targets', 'predictor_units', 'target_units',
    'assume_units', 'sources', 'predictor_transform', 'transform', 'bounds', 'context', 'relief', *SPLITS,
)  # fmt: skip


def write(data: dict, seed: int, directory: Path, name: str) -> None:
    """Fills `directory` with the records of all splits, both grids and the transform fitted to the training split.

    Files are streamed: memory does not depend on their length.
    """
    simulated = None if data['coarse'] else simulated_pair(**{'seed': seed, **data['simulate']})
    pair = read_pair(data, simulated)
    pair = Pair(cut_around(pair.coarse, pair.fine), pair.fine)
    parts = split_pair(pair, data)
    statics = fine_statics(pair.fine, parts['train'].fine, data, simulated)
    fields = PairedFields(pair.coarse, statics, data)
    warn_of_gaps(parts['train'], fields)
    transform = fitted_transform(parts['train'], fields, statics, data)
    written = write_records(
        directory, PairRecords(parts, fields, transform), {n: part.fine.sizes['time'] for n, part in parts.items()}
    )
    check_complete(written, parts, data)
    training = written.statistics
    assert training is not None  # of the training split, which has records
    for target in zip(data['targets'], data['target_units'], data['bounds'], *training.extremes, strict=True):
        check_range(*target)
    check_logarithm(transform.values, training.extremes[1])
    coefficients = NormalEquations(**training.sums).solve()
    statics = to_statics(statics, coefficients, transform.targets)
    statics = with_spread(statics, spread_of(parts['train'], fields, transform, coefficients), transform.targets)
    store.write_netcdf(statics, directory / 'statics.nc')
    store.write_netcdf(grid_of(pair.coarse), directory / COARSE_GRID)
    quantiles = climate(fields, transform, parts['train'].coarse)
    store.write_netcdf(quantiles.to_dataset(), directory / 'climate.nc')
    coarse_km, fine_km = grid.cell_size_km(pair.coarse), grid.cell_size_km(statics)
    if np.isnan(coarse_km):  # a single cell
        coarse_km = fine_km * min(statics['mask'].shape)
    meta = {
        'name': name,
        'kind': 'pairs',
        'transform': transform.to_json(),
        'calendar': pair.fine['time'].dt.calendar,
        'records': {split: written.records(split) for split in SPLITS},
        'range': training.extremes.T.tolist(),
        'idealised': simulated is not None,
        'attributes': texts(pair.fine, data['targets']),
        'input_attributes': texts(pair.coarse, data['predictors']),
        'kernel_km': coarse_km,
        'coarse_cells': max(1, round(coarse_km / fine_km)),
    }
    (directory / 'prepared.json').write_text(json.dumps(meta, indent=1))
    simulated_pair.cache_clear()


@lru_cache(maxsize=1)
def simulated_pair(seed: int, rows: int, columns: int, months: int) -> Pair:
    """The simulated pair (`coarse_model`), kept from the choice of settings until it is written; do not modify it."""
    return Pair(*coarse_model.simulate(seed, rows, columns, months))


def split_pair(pair: Pair, data: Mapping[str, Any]) -> dict[str, Pair]:
    """Both data sets by split. Raises UserError for splits that are empty or overlap."""
    splits = {split: data[split] for split in SPLITS}
    check_splits(splits, pair.fine['time'].values)
    numbered = pair.fine.assign_coords(index=('time', np.arange(pair.fine.sizes['time'])))
    chosen = {split: select_dates(numbered, dates)['index'].values for split, dates in splits.items()}
    return {split: Pair(*(isel_times(fields, index) for fields in pair)) for split, index in chosen.items()}


def grid_of(fields: xr.Dataset) -> xr.Dataset:
    """Coordinates and mask only."""
    return (
        with_all_coordinates(fields, ['mask'])
        .drop_dims('time', errors='ignore')
        .drop_vars('time', errors='ignore')
        .astype(np.int8)
    )


def cut_around(coarse: xr.Dataset, fine: xr.Dataset) -> xr.Dataset:
    """The rows and columns of the coarse data that lie on the fine grid, and some around them; all columns where these
    are not contiguous. Raises UserError where the grids share no coordinates or do not overlap."""
    share = covered_share(ToFine(grid_of(coarse), grid_of(fine)), coarse, fine)
    if not share:
        raise UserError('the coarse and the fine data do not overlap in space: check their coordinates')
    if share < 1:
        messages.warning(f'the coarse data cover {share:.0%} of the fine grid: the other cells will be missing')
    if 'lat' not in coarse.coords or 'lat' not in fine.coords:
        return coarse
    points, targets = grid_points(coarse), grid_points(fine)
    shape = points.shape[:2]
    _, nearest = tree_of(points).query(targets[np.isfinite(targets).all(-1)])
    rows, columns = np.unravel_index(np.unique(nearest), shape)
    dims = coarse['mask'].dims
    for dim, index, count in zip(dims, (rows, columns), shape, strict=True):
        low, high = max(0, index.min() - AROUND), min(count, index.max() + AROUND + 1)
        if np.diff(np.unique(index)).max(initial=1) == 1 and high - low < count:
            coarse = coarse.isel({dim: slice(low, high)})
    cells = ' x '.join(str(coarse.sizes[dim]) for dim in dims)
    messages.info(f'coarse grid of {shape[0]} x {shape[1]} cells, of which {cells} around the fine grid are used')
    return coarse


def fine_statics(fine: xr.Dataset, train: xr.Dataset, data: dict, simulated: Pair | None) -> xr.Dataset:
    """`mask` of the cells that have targets in training, `cell_area`, and the static variables of data.context."""
    source = data['fine'] or 'the simulated fine climate'
    opened = open_fine(data['fine']) if simulated is None else simulated.fine
    static = [n for n in data['context'] if n in opened.data_vars]
    planes = {n: canonical(opened[[n]], [n], source=source)[n] for n in static} | read_surface(
        opened, data['context'], source
    )
    statics = with_all_coordinates(fine.drop_dims('time'), ['mask']).assign(
        {n: plane.drop_vars('time', errors='ignore') for n, plane in planes.items()}
    )
    valid = cells_with_values(train, {'variables': data['targets'], 'path': source}, statics['mask'].values > 0)
    statics['mask'] = statics['mask'].astype(np.int8).copy(data=valid.astype(np.int8))
    area = grid.cell_areas_km2(statics).astype(np.float32)
    statics['cell_area'] = (statics['mask'].dims, area, {'units': 'km2', 'standard_name': 'cell_area'})
    return store.load(add_surface(statics, data['context'], data['relief']))


class PairedFields:
    """Streams of coarse and fine fields of a pair, the coarse ones also interpolated to the fine grid."""

    def __init__(self, coarse: xr.Dataset, statics: xr.Dataset, data: Mapping[str, Any]):
        self.data, self.valid = data, statics['mask'].values[..., None] > 0
        self._to_fine = ToFine(grid_of(coarse), statics)
        self.coarse_data = {'variables': data['predictors'], 'path': data['coarse']}
        self.fine_data = {'variables': data['targets'], 'path': data['fine']}

    def coarse(self, part: xr.Dataset) -> Iterator[np.ndarray]:
        """[h, w, P], time by time."""
        return (field for _, field in stream(part, self.coarse_data))

    def fine(self, part: xr.Dataset) -> Iterator[np.ndarray]:
        """[H, W, V], NaN outside the mask."""
        return (np.where(self.valid, field, np.float32(np.nan)) for _, field in stream(part, self.fine_data))

    def interpolated(self, coarse: np.ndarray) -> np.ndarray:
        """[h, w, P] -> [H, W, P]."""
        return interpolate_fields(self._to_fine, coarse)


def spread_times(fields: xr.Dataset) -> xr.Dataset:
    """As many times as statistics are fitted to, evenly spread."""
    return isel_times(fields, evenly(fields.sizes['time'], STATISTICS_TIMES))


def warn_of_gaps(train: Pair, fields: PairedFields) -> None:
    """Warns of predictors and of targets without a value at more than GAPS of the cells of the fine grid and times at
    which another of them has one: where one is missing, the regression, and so every target, is not learnt."""
    inside = fields.valid[..., 0]
    parts = (
        ('predictors', train.coarse, fields.coarse_data, lambda coarse: fields.interpolated(coarse)[inside]),
        ('targets', train.fine, fields.fine_data, lambda fine: fine[inside]),
    )
    for key, part, data, cells in parts:
        shares = missing_shares(part, data, cells)
        if gappy := [f"'{name}' ({share:.0%})" for name, share in shares.items() if share > GAPS]:
            messages.warning(
                f'data.{key}: no value of {", ".join(gappy)} at this share of the cells and times at which another has '
                'one; nothing is learnt from these for any target, and cells that always lack one stay empty: leave '
                f'such variables out of data.{key}'
            )


def missing_shares(part: xr.Dataset, data: dict, cells: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """{variable: share of the cells and times at which any variable has a value, but this one has none}, at evenly
    spread times; `cells` turns a field [h, w, C] into its values at the cells that count [N, C]."""

    def counts(planes: Iterator[np.ndarray]) -> np.ndarray:
        """[C + 1]: values of each variable, and cells and times with any."""
        known = (np.isfinite(cells(plane)) for plane in planes)
        return np.sum([[*one.sum(0), one.any(-1).sum()] for one in known], 0)

    *values, of_any = reduce_times(spread_times(part), data, counts, np.add, 'gaps')
    shares = [float((of_any - count) / max(of_any, 1)) for count in values]
    return dict(zip(data['variables'], shares, strict=True))


def fitted_transform(train: Pair, fields: PairedFields, statics: xr.Dataset, data: Mapping[str, Any]) -> PairTransform:
    """The transform but for what depends on the grid point, which is kept with the statics."""

    mean, std = context_moments(data['context'], statics, train.fine['time'].values[0])
    return PairTransform(
        predictors=fit_transform(train.coarse, fields.coarse_data, data['predictor_transform']),
        values=fit_transform(train.fine, fields.fine_data, data['transform'], fields.valid),
        sources=tuple(data['predictors'].index(name) if name else None for name in data['sources']),
        bounds=tuple(tuple(pair) for pair in data['bounds']),
        context=tuple(data['context']),
        context_mean=mean,
        context_std=std,
    )


@dataclass(frozen=True)
class PairRecords:
    """The records of a pair of data sets."""

    parts: Mapping[str, Pair]
    fields: PairedFields
    transform: PairTransform

    description = 'Fine targets and coarse predictors, one record per time.'

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        coarse = tuple(self.parts['train'].coarse['mask'].shape)
        return {
            'fine': (*self.fields.valid.shape[:2], len(self.transform.targets)),
            'coarse': (*coarse, len(self.transform.inputs)),
            'time': (),
        }

    def write(self, shard: Shard, add: Callable[..., None]) -> Statistics | None:
        """See `shards.Records`; times at which a predictor or a target has no value are omitted."""
        part = Pair(*(whole.isel(time=slice(shard.start, shard.stop)) for whole in self.parts[shard.split]))
        times = part.fine['time'].values
        training = Training(self.fields, self.transform) if shard.split == 'train' else None
        streams = self.fields.coarse(part.coarse), self.fields.fine(part.fine)
        for coarse, fine, time, seconds in zip(*streams, times, encode_times(times), strict=True):
            if not (np.isfinite(fine).any((0, 1)).all() and np.isfinite(coarse).any((0, 1)).all()):
                continue
            add(fine=fine, coarse=coarse, time=int(seconds))
            if training:
                training.add(coarse, fine, time)
        return training.statistics() if training else None


class Training:
    """Statistics of the records of a part of the training split, added one by one."""

    def __init__(self, fields: PairedFields, transform: PairTransform):
        self._fields, self._transform = fields, transform
        self._extremes = Extremes(len(transform.targets))  # the range of PSNR and SSIM
        self._equations = NormalEquations.empty(
            fields.valid.shape[:2], len(transform.inputs) + SEASONAL, len(transform.targets)
        )

    def add(self, coarse: np.ndarray, fine: np.ndarray, time: Any) -> None:
        self._extremes.add(fine)
        standardised = self._transform.predictors.encode(self._fields.interpolated(coarse))
        self._equations.add(regressors(standardised, time), self._transform.values.encode(fine))

    def statistics(self) -> Statistics:
        sums = {'squares': self._equations.squares, 'products': self._equations.products}
        return Statistics(self._extremes.values, sums)


def check_complete(written: Summary, parts: Mapping[str, Pair], data: Mapping[str, Any]) -> None:
    """Raises UserError for a split without records; reports how many times were omitted."""
    for split in SPLITS:
        if not written.records(split):
            raise UserError(f"split '{split}' ({data[split]}): every value is missing")
    omitted = sum(part.fine.sizes['time'] - written.records(split) for split, part in parts.items())
    if omitted:
        messages.info(f'{omitted} times are left out: a predictor or a target is missing everywhere')


def climate(fields: PairedFields, transform: PairTransform, coarse: xr.Dataset) -> quantile_mapping.QuantileMap:
    """Quantiles of the predictors, to which other sources can be mapped."""
    one = 4 * len(transform.inputs) * int(np.prod(list(coarse['mask'].shape)))
    few = isel_times(coarse, evenly(coarse.sizes['time'], max(1, min(CLIMATE_TIMES, CLIMATE_BYTES // one))))
    months = [month_of(time) for time in few['time'].values]
    series = quantile_mapping.Series(months, lambda: fields.coarse(few))
    values = transform.predictors
    lowest = [
        0.0 if np.isclose(c, COMPRESSIONS['log1p']) else -np.inf
        for c in np.broadcast_to(values.compression, len(values.variables))
    ]
    return quantile_mapping.climate(series, values.variables, values.units, lowest)


def spread_of(train: Pair, fields: PairedFields, transform: PairTransform, coefficients: np.ndarray) -> np.ndarray:
    """[H, W, V]: standard deviation of the transformed target minus the transformed linear prediction."""
    few = Pair(*(spread_times(part) for part in train))

    def residuals() -> Iterator[np.ndarray]:
        times = few.fine['time'].values
        for coarse, fine, time in zip(fields.coarse(few.coarse), fields.fine(few.fine), times, strict=True):
            standardised = transform.predictors.encode(fields.interpolated(coarse))
            linear = predict(coefficients, regressors(standardised, time))
            within = transform.values.decode(linear).clip(*transform.limits)
            yield transform.values.encode(fine) - transform.values.encode(within)

    return grid_point.moments(residuals()).planes('standard')[..., len(transform.targets) :]


def with_spread(statics: xr.Dataset, spread: np.ndarray, targets: Sequence[str]) -> xr.Dataset:
    dims = statics['mask'].dims
    return statics.assign({f'{SPREAD}{name}': (dims, spread[..., v]) for v, name in enumerate(targets)})
