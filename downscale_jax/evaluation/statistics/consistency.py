"""Consistency of an ensemble, filtered back to the kernel of its coarse input, with that input.

It needs no truth: what a member adds should average out over the kernel. The sums of a day are added over days
(`bootstrap.total`) before any ratio.
"""

import numpy as np

from downscale_jax.fields.geometry.boxes import box_filter

COVERED = 0.99  # of the sea in a box that must have values: a box cut by a gap is not the input's
MOMENTS = ('weight', 'difference', 'square', 'x', 'y', 'xx', 'yy', 'xy')  # x: filtered back; y: the input


def consistency(
    members: np.ndarray,
    coarse: np.ndarray,
    sea: np.ndarray,
    sizes_km: tuple[np.ndarray, np.ndarray],
    kernel_km: float,
    periodic: bool = False,
) -> dict[str, np.ndarray]:
    """Sums of one day: MOMENTS of `member` (over all of them) and of the ensemble `mean`, [8] each, float64.

    members [M, H, W] and coarse [H, W] in one unit, NaN where missing; sea [H, W]: cell area, 0 on land; sizes_km and
    periodic as in `grid.box_filter`. `areas`: of the sea, of the sea with values, of the cells compared, whose box has
    values on (nearly) all of its sea.
    """
    widths = kernel_km / float(np.median(sizes_km[0])), kernel_km / sizes_km[1]
    known = (sea > 0) & np.isfinite(coarse) & np.isfinite(members).all(0)
    compared = known & (np.nan_to_num(box_filter(known.astype(np.float64), sea, *widths, periodic)) > COVERED)
    weight, y = sea[compared].astype(np.float64), coarse[compared].astype(np.float64)
    mean, moments = np.zeros(y.shape), np.zeros(len(MOMENTS))
    for member in members:
        x = box_filter(member, np.where(known, sea, 0.0), *widths, periodic)[compared]
        moments += _moments(x, y, weight)
        mean += x / len(members)
    areas = np.array([sea.sum(), sea[known].sum(), weight.sum()], np.float64)
    return {'member': moments, 'mean': _moments(mean, y, weight), 'areas': areas}


def _moments(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return np.array([np.sum(weight * q) for q in (np.ones_like(x), x - y, (x - y) ** 2, x, y, x * x, y * y, x * y)])
