"""Empirical quantile mapping, cell by cell: a baseline, and the correction of another source's coarse fields.

    mapped = F_target^-1(F_source(x))                    (Cannon et al. 2015, doi:10.1175/JCLI-D-14-00754.1, section 2a)

The distributions of a training period are represented by a few quantiles in each cell and each group of months. As a
baseline, the source is the coarse field interpolated to the fine grid and the target the fine truth; as a bias
correction, the source is another data set on the coarse grid and the target the coarse field of training, over a common
period. Only distributions are compared: the two need not be simultaneous, nor of equal length.

A trend of the source is not preserved: within the range of the quantiles it is stretched, like all variability, by the
local ratio of the widths of the two distributions; beyond the range every value receives the correction of the
outermost quantile, be it a new extreme or a new climate.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.runtime.errors import UserError

# Midpoints of 50 equal intervals, 0.01 to 0.99: sample extremes are too uncertain to derive corrections from.
NODES = tuple((k + 0.5) / 50 for k in range(50))
BY_MONTH = tuple((k + 0.5) / 20 for k in range(20))  # seven years of months suffice; 2 KB per cell and variable
ADDITIVE, MULTIPLICATIVE = 'additive', 'multiplicative'
_STEEPEST = 10.0  # ratio beyond the range: in a desert the outermost quantile of the source may be close to zero


class Series(NamedTuple):
    """Fields in time: months [T], 1 to 12, and a function whose every call yields the T fields [H, W, V] in order."""

    months: Sequence[int]
    fields: Callable[[], Iterable[np.ndarray]]


@dataclass(frozen=True, eq=False)
class QuantileMap:
    """Quantiles of source and target in each cell, float32 [G, Q, H, W, V], in physical units.

    nodes [Q] are their probabilities. G is 12, each calendar month with its two neighbours, or 1, the whole year. The
    kind of a variable defines its correction beyond the quantiles: 'additive', by a constant difference, or
    'multiplicative', by a constant ratio, for variables that are never negative.
    """

    variables: tuple[str, ...]
    units: tuple[str, ...]
    kinds: tuple[str, ...]
    nodes: tuple[float, ...]
    source: np.ndarray
    target: np.ndarray

    def __post_init__(self):
        shape = (len(self.nodes), len(self.variables))
        if self.source.shape != self.target.shape or (self.source.shape[1], self.source.shape[-1]) != shape:
            raise ValueError(f'source is {self.source.shape}, target {self.target.shape}; expected [G, Q, H, W, V], '
                             f'Q and V being {shape}')  # fmt: skip

    def apply(self, field: np.ndarray, month: int) -> np.ndarray:
        """Source [..., H, W, V] of one calendar month (1 to 12) -> mapped, float32 of the same shape.

        Linear between quantiles, and monotone. Beyond the outermost, from source s to target t, an additive variable
        becomes t + (x - s), a multiplicative one x t/s; but above the range it grows at most ten times as fast as x,
        and equally fast where s is zero. Negative values of a multiplicative variable, such as those of bicubically
        interpolated rain, count as zero, and no result is negative. NaN where the field is missing, or where a cell had
        no source or no target.

        A value shared by several quantiles of the source, such as zero rain, becomes the mean of the target over their
        probability: always the same value, which preserves the mean over time. So where the source is dry more often
        than the target, each dry time receives a little rain; where it is dry less often, the lightest rain becomes
        zero. A value of a single quantile becomes that quantile of the target.
        """
        if field.shape[-3:] != self.source.shape[2:]:
            raise ValueError(f'field is {field.shape}; the map was fitted to {self.source.shape[2:]} (H, W, V)')
        if not 1 <= month <= 12:
            raise ValueError(f'month is {month}; expected 1 to 12')
        group = month - 1 if len(self.source) == 12 else 0
        source, target = self.source[group], self.target[group]
        # field by field: an ensemble needs no more memory than a member
        fields = field.reshape(-1, *field.shape[-3:])
        mapped = np.empty(fields.shape, np.float32)
        for index, one in enumerate(fields):
            mapped[index] = _mapped(one, source, target, np.array(self.nodes), _is_ratio(self.kinds))
        return mapped.reshape(field.shape)

    def of(self, source: Series) -> 'QuantileMap':
        """The map from another source to the same target.

        Raises UserError where the source has too few times for the groups of months of this map.
        """
        if choose_groups(source.months, source.months, len(self.nodes)) < len(self.target):
            raise UserError(
                f'quantile mapping by calendar month: {len(source.months)} times are too few for {len(self.nodes)} '
                'quantiles of every three-month window; give a longer period'
            )
        quantiles = _quantiles(source, len(self.target), self.nodes, _is_ratio(self.kinds), 1 << 30)
        return replace(self, source=quantiles)

    def to_dataset(self) -> xr.Dataset:
        """`<variable>_source`, `<variable>_target` (month, quantile, y, x); no `month` coordinate for a whole year."""
        dims = ('month', 'quantile', 'y', 'x')
        arrays = {}
        for index, (name, units, kind) in enumerate(zip(self.variables, self.units, self.kinds, strict=True)):
            for side, values in (('source', self.source), ('target', self.target)):
                attrs = {'long_name': f'quantiles of {name}, {side}', 'units': units, 'kind': kind}
                arrays[f'{name}_{side}'] = (dims, values[..., index], attrs)
        coords = {'quantile': ('quantile', np.array(self.nodes), {'long_name': 'probability', 'units': '1'})}
        if len(self.source) == 12:
            coords['month'] = ('month', np.arange(1, 13), {'long_name': 'month, with its neighbours', 'units': '1'})
        return xr.Dataset(arrays, coords, {'Conventions': 'CF-1.8', 'variables': ' '.join(self.variables)})

    @classmethod
    def from_dataset(cls, dataset: xr.Dataset) -> 'QuantileMap':
        """Inverse of `to_dataset`. Raises UserError where the data set is something else."""
        variables = tuple(str(dataset.attrs.get('variables', '')).split())
        missing = [f'{v}_{side}' for v in variables for side in ('source', 'target') if f'{v}_{side}' not in dataset]
        if not variables or missing:
            present = ', '.join(sorted(map(str, dataset.data_vars))) or 'nothing'
            raise UserError(
                f'{dataset.encoding.get("source", "the data set")}: no quantile map ({present} found, '
                f'{", ".join(missing) or "an attribute variables"} missing); give one that to_dataset made'
            )
        sources = [dataset[f'{name}_source'].transpose('month', 'quantile', 'y', 'x') for name in variables]
        targets = [dataset[f'{name}_target'].transpose('month', 'quantile', 'y', 'x') for name in variables]
        return cls(
            variables=variables,
            units=tuple(str(array.attrs['units']) for array in sources),
            kinds=tuple(str(array.attrs['kind']) for array in sources),
            nodes=tuple(float(p) for p in dataset['quantile'].values),
            source=np.stack([array.values for array in sources], -1).astype(np.float32),
            target=np.stack([array.values for array in targets], -1).astype(np.float32),
        )


def climate(target: Series, variables: tuple[str, ...], units: tuple[str, ...], lower: Sequence[float]) -> QuantileMap:
    """The map of a series to itself, for other sources later (`QuantileMap.of`); `lower` bounds per variable."""
    return fit(target, target, variables=variables, units=units, kinds=kinds_of(lower), nodes=BY_MONTH)


def kinds_of(lower: Sequence[float]) -> tuple[str, ...]:
    """Kinds by the lower bounds of variables: those that are never negative are corrected by ratios."""
    return tuple(MULTIPLICATIVE if bound == 0 else ADDITIVE for bound in lower)


def fit(
    source: Series,
    target: Series,
    *,
    variables: tuple[str, ...],
    units: tuple[str, ...],
    kinds: tuple[str, ...],
    nodes: tuple[float, ...] = NODES,
    most_bytes: int = 1 << 30,
) -> QuantileMap:
    """The quantiles of two series on one grid, in the same units; NaN values do not count.

    Memory besides the result (G Q H W V float32, twice): the values of one series, T h W V float32, for as many rows h
    as fit into `most_bytes`. If these are fewer than H, the series is read once for each band of rows.

    Raises UserError where a series has no times; ValueError where the arguments do not fit together.
    """
    if not len(variables) == len(units) == len(kinds) or not {*kinds} <= {ADDITIVE, MULTIPLICATIVE}:
        raise ValueError(f'variables {variables}, units {units}, kinds {kinds}: expected one of each per variable')
    if len(nodes) < 2 or not (nodes[0] >= 0 and nodes[-1] <= 1 and (np.diff(nodes) > 0).all()):
        raise ValueError(f'nodes are {nodes}; expected two or more increasing probabilities within 0 and 1')
    for what, series in (('source', source), ('target', target)):
        if not len(series.months):
            raise UserError(f'quantile mapping: the {what} has no times; give a period that both series cover')
    groups = choose_groups(source.months, target.months, len(nodes))
    quantiles = [_quantiles(series, groups, nodes, _is_ratio(kinds), most_bytes) for series in (source, target)]
    return QuantileMap(variables, units, kinds, nodes, *quantiles)


def choose_groups(source_months: Sequence[int], target_months: Sequence[int], nodes: int) -> int:
    """12 where every calendar month with its two neighbours has at least `nodes` times in both series, else 1.

    Fewer times than quantiles would only be interpolated. 50 quantiles of a monthly series need 17 years.
    """
    least = min(_window(months, month).size for months in (source_months, target_months) for month in range(1, 13))
    return 12 if least >= nodes else 1


def _window(months: Sequence[int], month: int) -> np.ndarray:
    """Positions of the times in a calendar month or one of its two neighbours."""
    return np.flatnonzero((np.asarray(months) - month + 1) % 12 <= 2)


def _is_ratio(kinds: tuple[str, ...]) -> np.ndarray:
    return np.array([kind == MULTIPLICATIVE for kind in kinds])


def _quantiles(
    series: Series, groups: int, nodes: tuple[float, ...], is_ratio: np.ndarray, most_bytes: int
) -> np.ndarray:
    """[G, Q, H, W, V] float32."""
    height, width, channels = next(iter(series.fields())).shape
    count = len(series.months)
    windows = [_window(series.months, m) for m in range(1, 13)] if groups == 12 else [np.arange(count)]
    rows = max(1, most_bytes // (4 * count * width * channels))
    result = np.empty((groups, len(nodes), height, width, channels), np.float32)
    for start in range(0, height, rows):
        band = np.empty((count, min(rows, height - start), width, channels), np.float32)
        for values, field in zip(band, series.fields(), strict=True):
            values[:] = field[start : start + rows]
        for row in range(band.shape[1]):  # row by row, so that sorting stays within the processor's cache
            for group, window in enumerate(windows):
                values = np.where(is_ratio, np.maximum(band[window, row], 0), band[window, row])
                result[group, :, start + row] = sample_quantiles(values, np.array(nodes))
    return result


def sample_quantiles(values: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Quantiles [Q, ...] over the first axis of values [T, ...], linear between the order statistics, without NaN.

    Equal to `np.nanquantile`, which loops over the cells. NaN where a cell has no values.
    """
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=0)  # NaN last
    last = np.isfinite(ordered).sum(0) - 1
    place = np.maximum(last, 0) * nodes.reshape(-1, *[1] * last.ndim)
    below = np.floor(place).astype(np.intp)
    lower = np.take_along_axis(ordered, below, 0).astype(np.float64)
    upper = np.take_along_axis(ordered, np.minimum(below + 1, np.maximum(last, 0)), 0)
    return lower + (place - below) * (upper - lower)


def _mapped(
    field: np.ndarray, source: np.ndarray, target: np.ndarray, nodes: np.ndarray, is_ratio: np.ndarray
) -> np.ndarray:
    """Field [H, W, V], source and target [Q, H, W, V], is_ratio [V] -> [H, W, V]."""
    # float32 as the quantiles: a value equal to one of them must compare equal
    x = np.where(is_ratio, np.maximum(field, 0), field).astype(np.float32)
    reached = np.zeros(x.shape, np.intp)
    for quantile in source:
        reached += quantile <= x

    def at(quantiles: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.take_along_axis(quantiles, np.clip(index, 0, len(nodes) - 1)[None], 0)[0].astype(np.float64)

    s, t = at(source, reached - 1), at(target, reached - 1)
    with np.errstate(divide='ignore', invalid='ignore'):
        slope = (at(target, reached) - t) / (at(source, reached) - s)
        ratio = np.where(is_ratio & (s != 0), t / s, 1)
    # beyond the range s and t belong to the outermost quantile
    slope = np.where(reached == 0, ratio, slope)
    slope = np.where(reached == len(nodes), np.minimum(ratio, _STEEPEST), slope)
    with np.errstate(invalid='ignore'):  # NaN without source or target
        mapped = t + slope * (x - s)
    flat = (reached >= 2) & (s == x) & (at(source, reached - 2) == x)
    mapped[flat] = _flat_means(x, source, target, nodes, flat)
    return np.where(is_ratio, np.maximum(mapped, 0), mapped)


def _flat_means(
    x: np.ndarray, source: np.ndarray, target: np.ndarray, nodes: np.ndarray, flat: np.ndarray
) -> np.ndarray:
    """Mean of the target over the probabilities at which the source equals x, in the K `flat` cells: [K]."""
    x = x[flat]
    total, width = np.zeros(x.shape), np.zeros(x.shape)
    for q, share in enumerate(np.diff(nodes)):
        within = share * ((source[q][flat] == x) & (source[q + 1][flat] == x))
        total += within * (target[q][flat] / 2 + target[q + 1][flat] / 2)
        width += within
    return total / width
