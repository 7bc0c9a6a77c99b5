"""Interpolation between two grids, over valid values only.

Arrays are NumPy [..., H, W] with rows along y or latitude. The weights depend only on the two grids and are computed
once, as sparse matrices: along each axis where the grids share their axes, else one over all cells. A grid is a
canonical data set: x, y in metres, or lat, lon in degrees, or 2-D lat, lon on a curvilinear grid.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import scipy

from downscale_jax.fields.geometry.mapping import Grid, same_mapping
from downscale_jax.runtime.errors import UserError

Matrices: TypeAlias = 'tuple[scipy.sparse.csr_array, scipy.sparse.csr_array]'  # along y, along x


class ToFine:
    """Interpolation from a coarse to a fine grid: called with values [..., h, w] -> [..., H, W].

    On equal grids the values are returned unchanged. Axes of the same kind (x, y in metres or 1-D lat, lon): bilinear.
    Otherwise by 2-D latitudes and longitudes: linear in triangles of coarse points, in an equal-area plane around the
    fine domain (`plane_matrix`). Both use valid values only, fill gaps as in `interpolate`, and leave NaN further than
    about two coarse cells from any value. Raises UserError where the two grids share no kind of coordinate.
    """

    def __init__(self, coarse: Grid, fine: Grid):
        self._apply: Callable[[np.ndarray], np.ndarray] | None = None
        self._periodic = False
        if axes := _shared_axes(coarse, fine):
            source, target = axes
            if all(s.shape == t.shape and np.allclose(s, t) for s, t in zip(source, target, strict=True)):
                return
            self._periodic = 'lon' in coarse.coords and coarse['lon'].ndim == 1 and full_circle(source[1])
            along_x = linear_matrix(source[1], target[1], 360.0 if self._periodic else 0.0)
            self._apply = functools.partial(apply_matrices, linear_matrix(source[0], target[0]), along_x)
            return
        if not all('lat' in grid.coords and 'lon' in grid.coords for grid in (coarse, fine)):
            raise UserError(
                f'the coarse grid ({", ".join(map(str, coarse.coords))}) and the fine grid '
                f'({", ".join(map(str, fine.coords))}) share no coordinates: give both x, y or both lat, lon'
            )
        points, targets = grid_points(coarse), grid_points(fine)
        cell = cell_chords(points)
        if points.shape == targets.shape and (np.linalg.norm(points - targets, axis=-1) <= 1e-3 * cell).all():
            return
        self._periodic = closes(points)
        self._apply = functools.partial(_apply_matrix, plane_matrix(points, targets, cell), targets.shape[:2])

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return values if self._apply is None else interpolate(self._apply, values, self._periodic)


def interpolate(apply: Callable[[np.ndarray], np.ndarray], field: np.ndarray, periodic: bool = False) -> np.ndarray:
    """Linear interpolation over valid points only; gaps are filled with the mean of their neighbours.

    `apply` maps [..., h, w] to [..., H, W] with non-negative weights. A gap is filled from the 3 x 3 cells around it,
    also across the seam of a periodic grid; targets further than about two source cells from any valid point stay NaN.
    """
    valid = common(np.isfinite(field))
    known, ring = np.where(np.isfinite(field), field, 0.0).astype(np.float64), np.ones(3)

    def around(x):
        x = scipy.ndimage.convolve1d(x, ring, axis=-1, mode='wrap' if periodic else 'constant')
        return scipy.ndimage.convolve1d(x, ring, axis=-2, mode='constant')

    if valid.all():
        return _normalised(apply, known, np.ones(valid.shape))
    neighbours = around(valid.astype(np.float64))
    with np.errstate(invalid='ignore', divide='ignore'):
        near = np.where(neighbours > 0.5, around(known) / neighbours, 0.0)
    # filled gaps have a negligible weight, so that they count only where no valid point does
    weight = np.where(valid, 1.0, np.where(neighbours > 0.5, 1e-9, 0.0))
    return _normalised(apply, np.where(valid, known, near), weight)


def _normalised(apply: Callable[[np.ndarray], np.ndarray], field: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """apply(f w) / apply(w), NaN where the weight is zero."""
    total, norm = apply(field * weight), apply(weight)
    with np.errstate(invalid='ignore', divide='ignore'):
        return np.where(norm > 1e-12, total / norm, np.nan)


def common(valid: np.ndarray) -> np.ndarray:
    """The mask [1, H, W] where it is equal at all times, else `valid` [..., H, W] itself.

    Interpolating a mask costs as much as a field, and most masks are constant in time.
    """
    return valid[:1] if valid.ndim == 3 and (valid == valid[:1]).all() else valid


def linear_matrix(source: np.ndarray, target: np.ndarray, period: float = 0.0) -> 'scipy.sparse.csr_array':
    """Linear interpolation from points `source` [n] (monotonic) to `target` [m], as a sparse [m, n] matrix.

    Targets up to half a cell outside take the end value; further out the row is empty. With a period (360 for
    longitudes) the last point is the neighbour of the first.
    """
    order = np.argsort(source)
    points, index = source[order].astype(float), order
    if period:
        target = points[0] + np.mod(target - points[0], period)
        points, index = np.append(points, points[0] + period), np.append(index, index[0])
    cell = np.median(np.diff(points)) if points.size > 1 else np.inf
    inside = (target >= points[0] - cell / 2 - 1e-6 * cell) & (target <= points[-1] + cell / 2 + 1e-6 * cell)
    left = np.clip(np.searchsorted(points, target, 'right') - 1, 0, max(points.size - 2, 0))
    right = np.minimum(left + 1, points.size - 1)
    share = np.clip((target - points[left]) / np.maximum(points[right] - points[left], 1e-12), 0, 1)
    rows = np.arange(target.size)
    values = np.concatenate([(1 - share) * inside, share * inside])
    columns = np.concatenate([index[left], index[right]])
    matrix = scipy.sparse.coo_array((values, (np.tile(rows, 2), columns)), (target.size, source.size))
    return matrix.tocsr()


def apply_matrices(along_y: 'scipy.sparse.csr_array', along_x: 'scipy.sparse.csr_array', x: np.ndarray) -> np.ndarray:
    """[..., H, W] -> [..., H', W'], one matrix along each axis."""
    lead, (h, w) = x.shape[:-2], x.shape[-2:]
    x = (along_x @ x.reshape(-1, w).T).T.reshape(-1, h, along_x.shape[0])
    x = np.moveaxis(x, 1, 0).reshape(h, -1)
    x = (along_y @ x).reshape(along_y.shape[0], -1, along_x.shape[0])
    return np.moveaxis(x, 0, 1).reshape(*lead, along_y.shape[0], along_x.shape[0])


def _apply_matrix(matrix: 'scipy.sparse.csr_array', shape: tuple[int, int], x: np.ndarray) -> np.ndarray:
    """[..., h, w] -> [..., H, W], one matrix [H W, h w] over all cells."""
    return (matrix @ x.reshape(-1, matrix.shape[1]).T).T.reshape(*x.shape[:-2], *shape)


def plane_matrix(source: np.ndarray, target: np.ndarray, cell: np.ndarray) -> 'scipy.sparse.csr_array':
    """Barycentric weights [H W, h w] from points `source` [h, w, 3] to `target` [H, W, 3] on the unit sphere.

    A fine domain within 75 degrees of its centre is mapped to one plane, where linear fields are exact; a larger one is
    assembled from six planes, each around one end of the three axes.
    """
    points, targets, cell = source.reshape(-1, 3), target.reshape(-1, 3), cell.ravel()
    centre = np.nansum(targets, 0)
    centres = centre[None] / max(np.linalg.norm(centre), 1e-12)
    if np.nanmin(targets @ centres[0]) < np.cos(np.deg2rad(75)):
        centres = np.concatenate([np.eye(3), -np.eye(3)])
    nearest = np.argmax(targets @ centres.T, 1)
    matrix = scipy.sparse.csr_array((len(targets), len(points)))
    for number, centre in enumerate(centres):
        chosen = np.flatnonzero((nearest == number) & np.isfinite(targets).all(1))
        if chosen.size:
            matrix = matrix + _one_plane(points, targets, cell, centre, chosen)
    return matrix


def _one_plane(
    points: np.ndarray, targets: np.ndarray, cell: np.ndarray, centre: np.ndarray, chosen: np.ndarray
) -> 'scipy.sparse.csr_array':
    """The rows `chosen` of `plane_matrix`; the others are empty."""
    # three cells around the domain suffice; beyond a hemisphere the projection would separate neighbours
    reach = np.arccos(np.clip((targets[chosen] @ centre).min(), -1, 1)) + 3 * np.nanmax(cell)
    index = np.flatnonzero(points @ centre > max(np.cos(min(reach, np.pi)), 0.0))
    # coincident points count once: a row at latitude 90, scattered by rounding, would become a knot of triangles
    index = index[np.unique(np.round(equal_area(points[index], centre) @ [1, 1j], 10), return_index=True)[1]]
    corners, weights = np.zeros((chosen.size, 3), int), np.zeros((chosen.size, 3))
    if index.size:
        near, goal, cell = points[index], targets[chosen], cell[index]
        distance, closest = scipy.spatial.cKDTree(near).query(goal)
        corners, weights = _barycentric(equal_area(near, centre), equal_area(goal, centre), closest)
        # triangles between neighbours have edges below 2.5 cells, those across a gap of two cells above
        edges = np.linalg.norm(near[corners] - near[np.roll(corners, 1, 1)], axis=-1).max(1)
        weights[edges > 2.5 * cell[corners].max(1)] = 0
        # the nearest value up to half a cell (half a diagonal) outside, as along axes
        outside = weights.sum(1) == 0
        corners[outside, 0] = closest[outside]
        weights[outside, 0] = (distance <= 0.71 * cell[closest])[outside]
        corners = index[corners]
    rows = np.repeat(chosen, 3)
    matrix = scipy.sparse.coo_array((weights.ravel(), (rows, corners.ravel())), (len(targets), len(points))).tocsr()
    matrix.eliminate_zeros()
    return matrix


def _barycentric(flat: np.ndarray, goal: np.ndarray, closest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(corners, weights) [m, 3] of goals [m, 2] in the Delaunay triangles of points `flat` [n, 2]; zero outside them.

    Walks from a triangle at the closest point [m] to the one around the goal, towards the most negative weight, as does
    Delaunay.find_simplex, which first calls LAPACK for every triangle: 11 s for 432 x 432 points where a threaded BLAS
    shares busy cores, against 0.3 s.
    """
    corners, weights = np.zeros((len(goal), 3), int), np.zeros((len(goal), 3))
    try:
        triangles = scipy.spatial.Delaunay(flat)
    except (scipy.spatial.QhullError, ValueError):  # fewer than three points, or all on a line
        return corners, weights
    start = triangles.vertex_to_simplex.copy()
    start[triangles.coplanar[:, 0]] = triangles.coplanar[:, 1]  # points that Qhull omitted
    walking, at = np.arange(len(goal)), start[closest]
    for _ in range(10_000):  # a few steps, but half the number of meridians around a pole
        walking, at = walking[at >= 0], at[at >= 0]  # the others have left the hull
        shares = _shares(flat[triangles.simplices[at]] - goal[walking, None])
        lowest = shares.argmin(1)
        inside = shares.min(1) >= -1e-8
        corners[walking[inside]], weights[walking[inside]] = triangles.simplices[at[inside]], shares[inside]
        walking, at = walking[~inside], triangles.neighbors[at[~inside], lowest[~inside]]
        if not walking.size:
            break
    return corners, np.clip(np.where(np.abs(weights) < 1e-8, 0, weights), 0, 1)


def _shares(corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates [m, 3] of the origin in anticlockwise triangles [m, 3, 2]."""
    x, y = corners[..., 0], corners[..., 1]
    areas = np.roll(x, -1, 1) * np.roll(y, -2, 1) - np.roll(y, -1, 1) * np.roll(x, -2, 1)
    return areas / np.maximum(areas.sum(1, keepdims=True), 1e-300)


def equal_area(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Lambert's azimuthal equal-area projection of points [..., 3] on the unit sphere -> [..., 2], about `centre` [3].

    sqrt(2 / (1 + p.c)) (p.e1, p.e2), with unit vectors e1, e2 orthogonal to the centre c and to each other.
    """
    e1 = np.cross(centre, np.eye(3)[np.argmin(np.abs(centre))])
    e1 = e1 / np.linalg.norm(e1)
    axes = np.stack([e1, np.cross(centre, e1)], 1)
    return np.sqrt(2 / (1 + points @ centre))[..., None] * (points @ axes)


def unit_vectors(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Degrees [...] -> points on the unit sphere [..., 3]."""
    lat, lon = np.deg2rad(lat.astype(float)), np.deg2rad(lon.astype(float))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def cell_chords(points: np.ndarray) -> np.ndarray:
    """Size [h, w] of the cells of points [h, w, 3] on the unit sphere: the larger of the distances along the two axes.

    The nearer of the two neighbours along an axis counts, so that cells beside a gap do not appear large.
    """
    sizes = []
    for axis in (0, 1):
        steps = np.moveaxis(np.linalg.norm(np.diff(points, axis=axis), axis=-1), axis, 0)
        ends = np.full((1, *steps.shape[1:]), np.nan)
        nearer = np.fmin(np.concatenate([ends, steps]), np.concatenate([steps, ends]))
        sizes.append(np.moveaxis(nearer, 0, axis))
    return np.nan_to_num(np.fmax(*sizes))


def full_circle(lon: np.ndarray) -> bool:
    """Whether evenly spaced longitudes [n] cover the circle, so that the last is the neighbour of the first."""
    if lon.size < 4:
        return False
    step = np.median(np.abs(np.diff(lon.astype(float))))
    return bool(abs(step * lon.size - 360) < 0.5 * step)


def closes(points: np.ndarray) -> bool:
    """As `full_circle`, for points [h, w, 3] of any grid."""
    if points.shape[1] < 4:
        return False
    steps = np.linalg.norm(np.diff(points, axis=1), axis=-1)
    seam = np.linalg.norm(points[:, 0] - points[:, -1], axis=-1)
    return bool(np.nanmedian(seam) < 1.5 * np.nanmedian(steps))


def grid_points(grid: Grid) -> np.ndarray:
    """Centres of the cells on the unit sphere [H, W, 3]; UserError where the grid has no latitudes and longitudes."""
    if 'lat' not in grid.coords or 'lon' not in grid.coords:
        found = ', '.join(sorted(map(str, grid.coords))) or 'none'
        raise UserError(f'the grid has the coordinates {found}; lat and lon, or x and y, were expected: add them')
    lat, lon = grid['lat'].values, grid['lon'].values
    if lat.ndim == 1:
        lat, lon = np.meshgrid(lat, lon, indexing='ij')
    return unit_vectors(lat, lon)


def tree_of(points: np.ndarray, radius: float = 1.0) -> scipy.spatial.cKDTree:
    """A tree of the points [..., d] on a sphere; missing ones lie so far outside that no search finds them."""
    flat = np.nan_to_num(points.reshape(-1, points.shape[-1]), nan=2 * radius)
    # many cells share a coordinate, where medians take long to split a tree
    return scipy.spatial.cKDTree(flat, balanced_tree=False)


def _shared_axes(coarse: Grid, fine: Grid) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """([y, x] of the coarse grid, of the fine grid), or their latitudes and longitudes; None where they share none."""
    for names in (('y', 'x'), ('lat', 'lon')):
        if all(name in g.coords and g[name].ndim == 1 for name in names for g in (coarse, fine)):
            source, target = ([g[name].values.astype(float) for name in names] for g in (coarse, fine))
            if names[0] == 'lat':  # 355 and -5 degrees are equal
                target[1] = (target[1] - source[1].mean() + 180) % 360 - 180 + source[1].mean()
            elif not _one_projection(coarse, fine, source, target):
                continue
            return source, target
    return None


def _one_projection(coarse: Grid, fine: Grid, source: list[np.ndarray], target: list[np.ndarray]) -> bool:
    """Whether x, y are the same places on both grids, judged by 2-D latitudes and longitudes where they exist, else by
    the grid mappings."""
    if not all(name in g.coords and g[name].ndim == 2 for name in ('lat', 'lon') for g in (coarse, fine)):
        return same_mapping(coarse, fine)
    points = np.moveaxis(grid_points(coarse), -1, 0)
    expected = apply_matrices(linear_matrix(source[0], target[0]), linear_matrix(source[1], target[1]), points)
    expected = np.moveaxis(expected, 0, -1)
    inside = np.linalg.norm(expected, axis=-1) > 0.5
    apart = np.linalg.norm(expected - grid_points(fine), axis=-1)[inside]
    return not apart.size or bool(np.nanmedian(apart) < 0.25 * np.nanmedian(cell_chords(grid_points(coarse))))
