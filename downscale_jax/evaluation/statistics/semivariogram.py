"""Semivariogram of a field by distance: decorrelation with distance, and whether fine structure exists at all.

    gamma(d) = E[(x(p) - x(q))^2] / (2 Var(x)),   p and q a distance d apart

1 at distances where values are independent; a field that is too smooth lies below the truth at short ones. All methods
are divided by the variance of the truth, so that missing variance shows. Pairs of cells are drawn once (`choose`) and
shared by all times and methods; sums by time are added before the ratio.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.fields.geometry.grid import EARTH_RADIUS_KM, cell_sizes_km
from downscale_jax.fields.geometry.interpolation import grid_points, tree_of
from downscale_jax.fields.geometry.places import diagonals_km

DISTANCES_KM = (25.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0)
_TOLERANCE = 0.1  # of the nominal distance
_FEWEST = 100  # pairs: of fewer the estimate is mostly noise
_ROUNDS = 20  # of bearings: on a coarse grid few lead to a cell at the distance that was asked for

Ends = Callable[[np.ndarray, float, np.ndarray], np.ndarray]  # points [N, K], km, bearings [N] -> points [N, K]


class Pairs(NamedTuple):
    """N pairs of cells: flat indices [N], which distance [N] each belongs to, and the nominal distances [D]."""

    first: np.ndarray
    second: np.ndarray
    at: np.ndarray
    kilometres: np.ndarray


def choose(
    grid: xr.Dataset,
    weight: np.ndarray,
    kilometres: tuple[float, ...] = DISTANCES_KM,
    count: int = 10_000,
    seed: int = 0,
) -> Pairs:
    """Up to `count` pairs of cells for each distance; equal grids, weights and seeds give equal pairs.

    weight [H, W]: cell area, 0 where no field exists. The first cell is drawn with a probability in proportion to it,
    then a bearing; the second is the cell nearest to the point at that bearing and distance, along a great circle, or
    in the plane where the grid has x, y in metres. A bearing is drawn again where the point leaves the domain (by more
    than half the diagonal of a cell), where the weight is 0, and where the cells are more than 10 % farther apart or
    closer than asked for; a first cell that finds no bearing so goes.

    A distance is left out where it is shorter than the spacing of cells, the larger of the two, in the mean by weight;
    and where fewer than 100 pairs fit: a domain too small, or no two cells that far apart. Below about four
    spacings only some bearings fit, and 1.8 spacings (50 km on 0.25 degrees, 200 km on 1 degree) are met by no two
    cells near the equator.

    Raises UserError where the grid has neither x, y nor lat, lon.
    """
    if weight.ndim != 2:
        raise ValueError(f'weight is {weight.shape}; expected [H, W]')
    points, ends = _geometry(grid)
    points = points.reshape(-1, points.shape[-1])
    tree = tree_of(points, EARTH_RADIUS_KM)
    reach = np.repeat(diagonals_km(grid) / 2, weight.shape[1])
    rng = np.random.default_rng(seed)
    probability = weight.ravel() / weight.sum()
    sizes = np.maximum(*cell_sizes_km(grid))
    spacing = np.average(sizes, weights=weight.sum(1))
    first, second, kept = [], [], []
    for wanted in kilometres:
        if wanted < spacing:
            continue
        start = rng.choice(probability.size, count, p=probability)
        end, searched = np.zeros(count, int), np.arange(count)
        for _ in range(_ROUNDS):
            here = points[start[searched]]
            away, nearest = tree.query(ends(here, wanted, rng.uniform(0, 2 * np.pi, searched.size)))
            good = (away <= reach[nearest] * (1 + 1e-6)) & (probability[nearest] > 0)
            good &= np.abs(_kilometres(here, points[nearest]) - wanted) <= _TOLERANCE * wanted
            end[searched[good]] = nearest[good]
            searched = searched[~good]
        if count - searched.size >= min(count, _FEWEST):
            first.append(np.delete(start, searched))
            second.append(np.delete(end, searched))
            kept.append(wanted)
    at = np.repeat(np.arange(len(kept)), [len(pairs) for pairs in first])
    join = [np.concatenate([np.zeros(0, int), *pairs]) for pairs in (first, second)]
    return Pairs(join[0], join[1], at, np.array(kept, float))


def _geometry(grid: xr.Dataset) -> tuple[np.ndarray, Ends]:
    """Centres of the cells in km, [H, W, 2] in the plane or [H, W, 3] on the sphere, and steps along a bearing."""
    if 'x' in grid.coords and 'y' in grid.coords:
        y, x = np.meshgrid(*(grid[name].values.astype(float) / 1000 for name in 'yx'), indexing='ij')
        return np.stack([x, y], -1), _in_the_plane
    return EARTH_RADIUS_KM * grid_points(grid), _on_the_sphere


def _in_the_plane(here: np.ndarray, km: float, bearing: np.ndarray) -> np.ndarray:
    """Points [N, 2] at a distance from `here`, at bearings [N] from y."""
    return here + km * np.stack([np.sin(bearing), np.cos(bearing)], 1)


def _on_the_sphere(here: np.ndarray, km: float, bearing: np.ndarray) -> np.ndarray:
    """Points [N, 3] at a distance from `here` along great circles that begin with a bearing [N]."""
    east = np.cross([0.0, 0.0, 1.0], here)
    length = np.linalg.norm(east, axis=1, keepdims=True)
    # at a pole, where every direction is south, any will do
    east = np.where(length > 1e-6, east / np.maximum(length, 1e-6), [0.0, 1.0, 0.0])
    up = here / EARTH_RADIUS_KM
    forward = np.cos(bearing)[:, None] * np.cross(up, east) + np.sin(bearing)[:, None] * east
    angle = km / EARTH_RADIUS_KM
    return EARTH_RADIUS_KM * (np.cos(angle) * up + np.sin(angle) * forward)


def _kilometres(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distance [N] of points: in the plane [N, 2], along great circles [N, 3]."""
    chord = np.linalg.norm(second - first, axis=1)
    if first.shape[1] == 2:
        return chord
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(chord / (2 * EARTH_RADIUS_KM), 1))


def day_sums(field: np.ndarray, truth: np.ndarray, weight: np.ndarray, pairs: Pairs) -> dict[str, np.ndarray]:
    """Sums of one time, float64: squared differences and pairs [D]; weight, truth and its square.

    field, truth [H, W], NaN where missing: such cells drop out of the pairs of every method. For the semivariogram of
    the truth, pass it twice.

    Raises ValueError where the field is not finite in a pair that counts.
    """
    flat = field.ravel()
    valid = np.isfinite(truth) & (weight > 0)
    count = valid.ravel()[pairs.first] & valid.ravel()[pairs.second]
    first, second, at = pairs.first[count], pairs.second[count], pairs.at[count]
    squared = np.square(flat[first].astype(np.float64) - flat[second])
    if not np.isfinite(squared).all():
        raise ValueError(f'{np.sum(~np.isfinite(squared))} of {squared.size} pairs are not finite in the field')
    x, w = truth[valid].astype(np.float64), weight[valid].astype(np.float64)
    return {
        'squared_difference': np.bincount(at, squared, pairs.kilometres.size),
        'pairs': np.bincount(at, minlength=pairs.kilometres.size).astype(np.float64),
        'weight': w.sum(),
        'truth': w @ x,
        'truth_square': w @ x**2,
    }


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'semivariogram': [..., D]} from sums over times with any leading axes; the variance is over cells and times."""
    variance = ratio(sums['truth_square'], sums['weight']) - ratio(sums['truth'], sums['weight']) ** 2
    return {'semivariogram': ratio(sums['squared_difference'], 2 * variance[..., None] * sums['pairs'])}
