"""How a long archive changes: its area mean and its extremes by decade, and their linear trends.

Every time is reduced to sums (`series_sums`), among them a histogram, from which the quantiles over all cells and times
of a year or a decade follow; sums are added before any ratio. The interval of a trend comes from resampling years in
blocks, as those of scores come from resampling days.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, block_length, bootstrap, ratio, total
from downscale_jax.runtime.errors import UserError

LEVELS = (0.01, 0.99)
_COMPLETE = 0.95  # of the usual number of times: a month missing out of twelve is too much, a leap day is not


def series_sums(field: np.ndarray, weight: np.ndarray, edges: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of one time, float64: `times` (1, 0 without a value), `weight`, `field`, `histogram` [B + 2] of the weight.

    field [H, W], NaN where missing; weight [H, W], cell area, 0 where a cell does not count; edges [B + 1] increasing,
    in the field's unit, the same for all times. The first bin lies below, the last above the edges; a value on an edge
    belongs to the bin above it. One time costs 8 (B + 2) bytes: a year's times may be added before they are kept.
    """
    if field.shape != weight.shape or field.ndim != 2:
        raise ValueError(f'field is {field.shape}, weight is {weight.shape}; expected one [H, W]')
    counted = np.isfinite(field) & (weight > 0)
    x, w = field[counted].astype(np.float64), weight[counted].astype(np.float64)
    bins = np.searchsorted(edges, x, side='right')
    return {
        'times': np.float64(counted.any()),
        'weight': w.sum(),
        'field': w @ x,
        'histogram': np.bincount(bins, w, len(edges) + 1),
    }


def histogram_quantiles(histogram: np.ndarray, edges: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Quantiles [..., L] of a histogram [..., B + 2] as in `series_sums`, linear within a bin.

    Off by less than the width of a bin. NaN of an empty histogram, and where a quantile lies outside the edges.
    """
    share = np.cumsum(histogram, -1)[..., None, :]
    reached = np.asarray(levels)[:, None] * share[..., -1:]
    at = (share < reached).sum(-1, keepdims=True)  # the bin in which the quantile lies
    inside = (at > 0) & (at < len(edges)) & (share[..., -1:] > 0)
    at = np.clip(at, 1, len(edges) - 1)
    before, within = np.take_along_axis(share, at - 1, -1), np.take_along_axis(histogram[..., None, :], at, -1)
    value = edges[at - 1] + ratio(reached - before, within) * (edges[at] - edges[at - 1])
    return np.where(inside, value, np.nan)[..., 0]


def summarise(
    by_time: Sequence[Sums],
    years: Sequence[int],
    edges: np.ndarray,
    levels: tuple[float, ...] = LEVELS,
    seed: int = 0,
    block: int | None = None,
) -> dict[str, Any]:
    """Means and pooled quantiles by year and by decade, and their trends, from sums by time and the year of each.

    {'years' [Y], 'decades' [D] (1990 of 1990 to 1999), 'years_in_decade' [D], and for 'mean', 'quantile_0.01',
    'quantile_0.99': {'by_year' [Y], 'by_decade' [D], 'trend', 'interval' [2]}}. A trend is the slope of least squares
    through the yearly values, in the field's unit per decade; its interval, 5 % to 95 %, is that of `trend_interval`.
    Both are NaN where a yearly value is: the edges should reach beyond every quantile.

    Only complete years take part, those with at least 95 % of the median number of times in a year: half a year would
    be a season. The first and the last decade may be incomplete (`years_in_decade`). Every time counts by its weight.

    Raises UserError where no year has values.
    """
    if len(by_time) != len(years):
        raise ValueError(f'{len(by_time)} times, {len(years)} years; expected a year for each time')
    known = [(year, sums) for year, sums in zip(years, by_time, strict=True) if sums['times'] > 0]
    if not known:
        raise UserError(f'trends: none of {len(by_time)} times has a value; check the mask and the dates')
    together = {year: total([sums for y, sums in known if y == year]) for year in sorted({y for y, _ in known})}
    usual = np.median([sums['times'] for sums in together.values()])
    together = {year: sums for year, sums in together.items() if sums['times'] >= _COMPLETE * usual}
    year = np.array([*together], int)
    decade = year // 10 * 10
    decades, in_decade = np.unique(decade, return_counts=True)
    by_year = _values([*together.values()], edges, levels)
    by_decade = _values([total([together[y] for y in year[decade == d]]) for d in decades], edges, levels)
    slope, interval = trend_interval(year, by_year, seed, block)
    result: dict[str, Any] = {'years': year, 'decades': decades, 'years_in_decade': in_decade}
    for index, name in enumerate(('mean', *(f'quantile_{level:g}' for level in levels))):
        result[name] = {
            'by_year': by_year[:, index],
            'by_decade': by_decade[:, index],
            'trend': slope[index],
            'interval': interval[:, index],
        }
    return result


def trend_interval(
    years: np.ndarray, values: np.ndarray, seed: int = 0, block: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Slope [S] per decade of least squares through values [Y, S] of years [Y], and its 5-95 % interval [2, S].

    Pairs of year and value are drawn in blocks (`bootstrap.bootstrap`). The residuals of a fitted line vary less than
    the true ones: the fit uses up two of m blocks, so the interval is widened by sqrt(m/(m - 2)).

    For series with a known trend, 20 to 180 years long, 400 of each kind, it held the truth in 89 to 93 % for white
    noise, in 84 to 89 % at a correlation of 0.3 from year to year, in 70 to 80 % at 0.6: then give longer blocks (10
    years: 83 to 89 %, for series of 60 years or more).
    """
    points = _points(years, values)
    slope = _slope(total(points))['slope']
    blocks = len(years) / (block or block_length(len(years)))
    interval = bootstrap(points, _slope, seed=seed, block=block)['slope']
    return slope, slope + np.sqrt(blocks / max(blocks - 2, 1)) * (interval - slope)


def _values(periods: Sequence[Sums], edges: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """[P, 1 + L]: the mean and the quantiles of each period."""
    sums = {name: np.stack([period[name] for period in periods]) for name in ('field', 'weight', 'histogram')}
    mean = ratio(sums['field'], sums['weight'])
    return np.concatenate([mean[:, None], histogram_quantiles(sums['histogram'], edges, levels)], 1)


def _points(year: np.ndarray, values: np.ndarray) -> list[dict[str, np.ndarray]]:
    """By year, the sums that determine a straight line through values [Y, S]; time in decades from the middle."""
    time = (year - year.mean()) / 10
    return [
        {'count': np.ones(1), 't': np.array([t]), 'tt': np.array([t * t]), 'y': y, 'ty': t * y}
        for t, y in zip(time, values, strict=True)
    ]


def _slope(sums: Sums) -> dict[str, np.ndarray]:
    """{'slope': [..., S]} of least squares; NaN of a single year."""
    above = sums['count'] * sums['ty'] - sums['t'] * sums['y']
    return {'slope': ratio(above, sums['count'] * sums['tt'] - sums['t'] ** 2)}
