"""Connected features of an anomaly beyond a threshold: leads, ridges, rain cells; their number, area and elongation.

In the manner of SAL (Wernli et al. 2008, doi:10.1175/2008MWR2415.1): fields are compared by the features they hold,
wherever these lie.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio

SHARE = 0.05  # of the truth's cells in features of either sign
NEIGHBOURS = np.ones((3, 3), int)  # cells that touch at a corner belong together
CELL_MOMENT = 1 / 12  # second moment of a square cell about its centre


class Features(NamedTuple):
    """The connected features of a field: area [F] in cells and elongation [F], long over short axis."""

    area: np.ndarray
    elongation: np.ndarray


def features(beyond: np.ndarray) -> Features:
    """The connected features of `beyond` [H, W] bool.

    The elongation is the ratio of the axes of the ellipse with the same second moments, 1 for a single cell.
    """
    labels, count = ndimage.label(beyond, NEIGHBOURS)
    rows, columns = np.nonzero(labels)
    of = labels[rows, columns]
    area = np.bincount(of, minlength=count + 1)[1:].astype(np.float64)

    def mean(values):
        return np.bincount(of, values, count + 1)[1:] / area

    y, x = (axis - mean(axis)[of - 1] for axis in (rows, columns))
    yy, xx, xy = mean(y * y) + CELL_MOMENT, mean(x * x) + CELL_MOMENT, mean(x * y)
    middle, half = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return Features(area, np.sqrt((middle + half) / (middle - half)))


def thresholds(truth: np.ndarray) -> tuple[float, float]:
    """The values that a twentieth of the truth's anomalies [H, W] lies below and above; NaN where it has none."""
    known = truth[np.isfinite(truth)]
    low, high = np.quantile(known, (SHARE, 1 - SHARE)) if known.size else (np.nan, np.nan)
    return float(low), float(high)


def day_sums(anomalies: np.ndarray, limits: tuple[float, float]) -> dict[str, np.ndarray]:
    """Sums over anomalies [M, H, W], NaN where missing, of features below and above the limits: [2] each.

    Per member: {'number', 'area', 'area_square', 'area_elongation'}; and 'times', 1, or 0 without limits.
    """
    names = ('number', 'area', 'area_square', 'area_elongation')
    low, high = limits
    sums = np.zeros((2, len(names)))
    for anomaly in anomalies:
        for sign, beyond in enumerate((anomaly < low, anomaly > high)):
            area, elongation = features(beyond)
            sums[sign] += area.size, area.sum(), area @ area, area @ elongation
    return {'times': np.isfinite(low).astype(float), **dict(zip(names, sums.T / len(anomalies), strict=True))}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """Of features below and above the limits, [..., 2]: number at a time, area of the feature that a cell of a feature
    belongs to, and its elongation; NaN where no feature exists."""
    return {
        'number': ratio(sums['number'], np.asarray(sums['times'])[..., None]),
        'area': ratio(sums['area_square'], sums['area']),
        'elongation': ratio(sums['area_elongation'], sums['area']),
    }
