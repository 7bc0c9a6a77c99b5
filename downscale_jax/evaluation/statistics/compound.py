"""Compound hot and dry months: their frequency by cell or over a whole domain.

A month is hot where its temperature exceeds the q quantile, and dry where its precipitation lies below the 1 - q
quantile, of the same calendar month in a reference period. Were the two independent, (1 - q)^2 of the months would be
both; more says that heat and drought come together. Cells are independent of each other, so rows may be
processed separately.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio, total
from downscale_jax.fields.datasets.archives import PRECIPITATION, TEMPERATURE, of_kind

QUANTILE = 0.9


class Thresholds(NamedTuple):
    """By calendar month, [12, H, W]; NaN in a month that the reference lacks."""

    hot: np.ndarray
    dry: np.ndarray


class HotDry(NamedTuple):
    """Where a field [.., V] has its temperature and precipitation, and the thresholds of these."""

    variables: tuple[int, int]
    thresholds: Thresholds


def variables_of(names: Sequence[str], attributes: Mapping[str, Mapping[str, str]]) -> tuple[int, int] | None:
    """Which of the variables are the air temperature and the precipitation (`fields.datasets.archives`); None unless
    both are present.

    A maximum or a minimum has the standard name of the mean: beside a mean it is ignored, and alone it serves as well,
    since it is compared with its own quantile. Of several equals, the first.
    """
    known = {name: attributes.get(name, {}).get('standard_name') for name in names}
    hot, dry = (of_kind(known, kind) for kind in (TEMPERATURE, PRECIPITATION))
    return (names.index(hot[0]), names.index(dry[0])) if hot and dry else None


def thresholds(
    temperature: np.ndarray, precipitation: np.ndarray, months: np.ndarray, quantile: float = QUANTILE
) -> Thresholds:
    """Of a reference period: fields [T, H, W], NaN where missing, months [T] of 1 to 12.

    The quantile p of n values is the p (n + 1)-th smallest, interpolated (Weibull): then a month outside the reference
    passes it with probability 1 - p, where the usual (p (n - 1) + 1)-th of 30 would make 13 % of them hot for p = 0.9:
    a jump at the end of the reference (Zhang et al. 2005, doi:10.1175/JCLI3366.1). Within the reference the share is
    one of whole months, 3 in 30 but 2 in 25 or 29, so let its years be a multiple of 1/(1 - q). Of fewer than
    q/(1 - q) values, 9 at 0.9, the quantile is the most extreme.
    """
    return Thresholds(
        np.stack([_quantile(temperature[months == month], quantile) for month in range(1, 13)]),
        np.stack([_quantile(precipitation[months == month], 1 - quantile) for month in range(1, 13)]),
    )


def _quantile(values: np.ndarray, level: float) -> np.ndarray:
    """Weibull quantile [H, W] of the values [T, H, W] that are not missing; NaN without any."""
    if not len(values):
        return np.full(values.shape[1:], np.nan)
    ordered = np.sort(values.astype(np.float64), 0)  # missing values come last
    count = np.isfinite(values).sum(0)
    last = np.maximum(count - 1, 0)
    position = np.clip(level * (count + 1) - 1, 0, last)
    lower = position.astype(int)
    low, high = (np.take_along_axis(ordered, at[None], 0)[0] for at in (lower, np.minimum(lower + 1, last)))
    return low + (position - lower) * (high - low)


def month_sums(
    temperature: np.ndarray, precipitation: np.ndarray, months: np.ndarray, reference: Thresholds
) -> dict[str, np.ndarray]:
    """{'events', 'months'} [H, W], float64: of the months of 1 to 12 [T] those hot and dry, and those that could be.

    temperature, precipitation [T, H, W], NaN where missing. No month counts as dry where the threshold is no rain at
    all: deserts have no event. To be added over parts of a period, or over members, each of which has its own events:
    an ensemble mean has too few.
    """
    hot, dry = (limits[months - 1] for limits in reference)
    known = np.isfinite(temperature) & np.isfinite(precipitation) & np.isfinite(hot) & np.isfinite(dry)
    events = known & (temperature > hot) & (precipitation < dry)
    return {'events': events.sum(0, dtype=np.float64), 'months': known.sum(0, dtype=np.float64)}


def day_sums(members: np.ndarray, weight: np.ndarray, month: int, known: HotDry) -> dict[str, np.ndarray]:
    """{'events', 'months'}, weighted sums over cells, of one time of a calendar month.

    members [M, H, W, V], M = 1 for a single field, each with its own events, of which the mean is taken; weight [H, W],
    0 where a cell does not count.
    """
    hot, dry = (members[..., v] for v in known.variables)
    when = np.array([month])
    sums = total([month_sums(x[None], y[None], when, known.thresholds) for x, y in zip(hot, dry, strict=True)])
    return {name: np.vdot(values, weight) / len(members) for name, values in sums.items()}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'frequency': [...]}, the share of months that are hot and dry, from sums of any shape; NaN where no month
    counts."""
    return {'frequency': ratio(sums['events'], sums['months'])}
