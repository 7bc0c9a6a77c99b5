"""Area change of glaciers from predictions at two dates, whose systematic errors cancel (Diaconu and Bamber 2023).

Both areas are counted over the same cells, those within a buffer around the outline of the inventory that are valid at
both dates, so that what the network always misses or adds is the same at both dates. The paper counts inside the
outline. Where it was drawn a cell too far inside the ice, the ice that is lost first lies outside of it; the buffer
covers this error. The rate of a glacier and its uncertainty are

    (A1 - A0) / (y1 - y0),    sqrt(s0^2 + s1^2) / (y1 - y0)

The paper leaves open where the uncertainty s of an area comes from. Here it is the perimeter of the outline times the
displacement of the boundary that explains the differences between prediction and outlines on the validation fold.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

from downscale_jax.evaluation.glaciers.scores import by_glacier
from downscale_jax.evaluation.glaciers.view import View
from downscale_jax.evaluation.results import Estimate
from downscale_jax.evaluation.statistics.bootstrap import estimates, ratio

ROBUST = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
FEWEST_VALID = 0.5  # share of an outline that must be valid at both dates


class Change(NamedTuple):
    """Areas in km2 and rates in km2 per year, [N]; NaN for glaciers that were not observed."""

    outline: np.ndarray  # area of the outline
    first: np.ndarray  # predicted area within the buffer around the outline
    later: np.ndarray
    inside: np.ndarray  # predicted area inside the outline at the later date
    sigma: np.ndarray  # of the rate
    outlier: np.ndarray  # bool
    years: float
    true_first: np.ndarray | None = None
    true_later: np.ndarray | None = None

    @property
    def rate(self) -> np.ndarray:
        return (self.later - self.first) / self.years

    @property
    def naive(self) -> np.ndarray:
        """Rate of the later prediction inside the outline against the area of the outline."""
        return (self.inside - self.outline) / self.years

    @property
    def true(self) -> np.ndarray:
        """The true rate. Only of simulations."""
        assert self.true_first is not None
        assert self.true_later is not None
        return (self.true_later - self.true_first) / self.years

    @property
    def used(self) -> np.ndarray:
        """Glaciers that enter the regional sum, bool."""
        return np.isfinite(self.rate) & ~self.outlier


def displacement(view: View, glaciers: int) -> float:
    """Standard deviation in km of the boundary's displacement, from the differences of predicted area and outline."""
    inside = view.own & view.scored
    predicted, drawn = (by_glacier(cells & inside, view.owner, glaciers) for cells in (view.probability > 0.5, inside))
    known = drawn > 0
    residual = (predicted - drawn)[known] * view.grid.cell_km2 / perimeter(view, glaciers)[known]
    return float(ROBUST * np.median(np.abs(residual - np.median(residual))))


def perimeter(view: View, glaciers: int) -> np.ndarray:
    """[N] length in km of the outlines: faces between cells times pi / 4, the mean ratio of a line to its staircase."""
    outline = np.pad(view.own, 1)
    inner = outline[1:-1, 1:-1]
    neighbours = (outline[:-2, 1:-1], outline[2:, 1:-1], outline[1:-1, :-2], outline[1:-1, 2:])
    faces = sum((inner & ~other).astype(int) for other in neighbours)
    return np.pi / 4 * by_glacier(np.asarray(faces), view.owner, glaciers) * view.grid.cell / 1000


def areas(views: Sequence[View], count: int, buffer: float) -> np.ndarray:
    """[D, N] predicted areas in km2 within `buffer` metres around the outlines at each date, from the cells that are
    clear at all dates, as a share of all cells; NaN where less than FEWEST_VALID of them is clear."""
    first, cell = views[0], views[0].grid.cell_km2
    within = (first.owner >= 0) & (distance_transform_edt(~first.own) * first.grid.cell <= buffer)
    clear = within & np.all([view.valid for view in views], 0)
    whole, seen = (by_glacier(cells, first.owner, count) * cell for cells in (within, clear))
    predicted = [by_glacier(clear & (view.probability > 0.5), view.owner, count) * cell for view in views]
    return np.where(seen > FEWEST_VALID * whole, ratio(np.array(predicted) * whole, seen), np.nan)


def change(
    first: View, later: View, chosen: np.ndarray, years: float, width: float, settings: Mapping[str, Any]
) -> Change:
    """Change of the glaciers `chosen` [N] bool; `width`: see `displacement`; `settings`: buffer and outlier of a
    config."""
    count, cell = len(chosen), first.grid.cell_km2
    outline = by_glacier(first.own, first.owner, count) * cell
    observed, inside = (
        np.where(chosen, areas((first, later), count, buffer), np.nan) for buffer in (settings['buffer'], 0.0)
    )
    sigma = np.where(np.isfinite(observed[0]), np.sqrt(2) * width * perimeter(first, count) / years, np.nan)
    ice = [view.ice for view in (first, later)]
    true = [None if x is None else np.where(chosen, by_glacier(x, first.owner, count) * cell, np.nan) for x in ice]
    relative = ratio(observed[1] - observed[0], observed[0])
    outlier = outliers(relative, settings['outlier'])
    return Change(outline, observed[0], observed[1], inside[1], sigma, outlier, years, *true)


def outliers(values: np.ndarray, limit: float) -> np.ndarray:
    """Values [N] more than `limit` robust standard deviations from the median, bool; NaN is none."""
    known = np.isfinite(values)
    if not known.any():
        return np.zeros(len(values), bool)
    distance = np.abs(values - np.median(values[known]))
    scale = ROBUST * np.median(distance[known])
    return known & (np.nan_to_num(distance) > limit * scale) & (scale > 0)


def regional(rate: np.ndarray, area: np.ndarray, used: np.ndarray) -> Estimate:
    """[3] sum of rates over sum of areas in % per year, with its interval over resampled glaciers `used` [N] whose rate
    is known."""
    units = [{'rate': rate[i], 'area': area[i]} for i in np.flatnonzero(used & np.isfinite(rate))]
    found = estimates(units, lambda total: {'rate': 100 * ratio(total['rate'], total['area'])}, block=1)
    return found.get('rate', np.full(3, np.nan))


def errors(
    rate: np.ndarray, area: np.ndarray, true: np.ndarray, true_area: np.ndarray, used: np.ndarray
) -> dict[str, Estimate]:
    """Errors of the regional rate and of the rates of glaciers, [3] in % per year, over the glaciers `used` [N] whose
    rate is known."""
    units = [
        {'rate': rate[i], 'area': area[i], 'true': true[i], 'true_area': true_area[i],
         'error': abs(rate[i] / area[i] - true[i] / true_area[i]) * area[i]}
        for i in np.flatnonzero(used & np.isfinite(rate) & (true_area > 0) & (area > 0))
    ]  # fmt: skip

    def summary(total):
        regional_error = ratio(total['rate'], total['area']) - ratio(total['true'], total['true_area'])
        return {'rate_error': 100 * regional_error, 'glacier_rate_error': 100 * ratio(total['error'], total['area'])}

    return estimates(units, summary, block=1)
