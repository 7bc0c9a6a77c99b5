"""Anomaly correlation: agreement of the departures of field and truth from the climatology.

Uncentred, over cells and times together, with anomalies f' = forecast - climatology and o' = truth - climatology:

    ACC = sum w f' o' / sqrt(sum w f'^2  sum w o'^2)

(Wilks 2011, Statistical Methods in the Atmospheric Sciences, section 8.6.4): only the climatology is subtracted, so
a bias lowers it; a wrong amplitude does not. Papers on monthly fields often give the mean over cells
of the correlation in time instead, which ignores any bias.
"""

from collections.abc import Iterable

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio
from downscale_jax.evaluation.statistics.members import require_finite


def climatology(fields: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Mean [12, H, W] by calendar month, float64, of a stream of (month 1 to 12, field [H, W]).

    Missing values do not count. A month without a value at a cell gets the mean of all the cell's values; so for data
    without a season pass the same month for all fields. NaN where a cell has no value. Use the training split.

    Raises ValueError for a month outside 1 to 12 and without any field.
    """
    total = count = np.zeros(0)
    for month, field in fields:
        if not 1 <= month <= 12:
            raise ValueError(f'month is {month}; expected 1 to 12')
        if not total.size:
            total, count = np.zeros((2, 12, *field.shape))
        known = np.isfinite(field)
        total[month - 1] += np.where(known, field, 0)
        count[month - 1] += known
    if not total.size:
        raise ValueError('no fields: a climatology needs at least one')
    return np.where(count > 0, ratio(total, count), ratio(total.sum(0), count.sum(0)))


def day_sums(field: np.ndarray, truth: np.ndarray, weight: np.ndarray, normal: np.ndarray) -> dict[str, np.float64]:
    """Weighted sums of one time, float64 numbers: products and squares of the anomalies.

    field [H, W]; truth [H, W], NaN where missing; weight [H, W], 0 where a cell does not count; normal [H, W], the
    climatology of this time's month.

    Raises ValueError where the field is not finite at a cell that counts.
    """
    valid = np.isfinite(truth) & np.isfinite(normal) & (weight > 0)
    require_finite(field, valid)
    x, y = (np.where(valid, values - normal.astype(np.float64), 0.0) for values in (field, truth))
    w = np.where(valid, weight, 0).astype(np.float64)
    return {'product': np.sum(w * x * y), 'field_square': np.sum(w * x * x), 'truth_square': np.sum(w * y * y)}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'acc': [...]} from sums over times with any leading axes; NaN without any anomaly."""
    return {'acc': ratio(sums['product'], np.sqrt(sums['field_square'] * sums['truth_square']))}
