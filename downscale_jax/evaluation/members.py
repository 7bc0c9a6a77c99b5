"""How good is the mean of n members, and when are there enough of them?

Of perfect members, drawn from the same distribution as the truth, the mean of n errs by

    rmse_n^2 = sigma^2 (1 + 1/n),   sigma^2 the variance of the members at a cell

so that 30 members bring it within 2 % of what infinitely many could. A curve above this one is bias or lack of spread.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from downscale_jax.evaluation.bootstrap import Sums, ratio
from downscale_jax.evaluation.scores import fair_crps

COUNTS = (1, 5, 10, 33, 100)
_VALUES = 1 << 22  # at a time: 32 MB in float64 however many members and cells


def kept(counts: Sequence[int], members: int) -> list[int]:
    """The counts that an ensemble of so many members has."""
    return [n for n in counts if n <= members]


def chunks(members: np.ndarray, counted: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(flat indices [P] of cells, their values [M, P] in float64) over the cells that are `counted` [H, W] bool.

    Raises ValueError where a member [M, H, W] is not finite at such a cell.
    """
    if members.ndim != 3 or members.shape[1:] != counted.shape or not len(members):
        raise ValueError(f'members are {members.shape}, cells {counted.shape}; expected [M, H, W] and [H, W]')
    cells, flat = np.flatnonzero(counted), members.reshape(len(members), -1)
    size = max(1, _VALUES // len(members))
    for start in range(0, cells.size, size):
        chosen = cells[start : start + size]
        x = flat[:, chosen].astype(np.float64)
        if missing := np.sum(~np.isfinite(x).all(0)):
            raise ValueError(f'{missing} of {chosen.size} valid cells are not finite in a member; give them weight 0')
        yield chosen, x


def day_sums(
    members: np.ndarray, truth: np.ndarray, weight: np.ndarray, counts: Sequence[int] = COUNTS
) -> dict[str, np.ndarray]:
    """Weighted sums of one time, float64, [N] for the N counts up to M: of the first n members each.

    members [M, H, W]; truth [H, W], NaN where missing; weight [H, W], 0 where a cell does not count. `crps_weight` is 0
    for n = 1, of which no fair CRPS exists. Raises ValueError for a single member, which tells no spread.
    """
    if len(members) < 2:
        raise ValueError(f'{len(members)} member; a curve over numbers of members needs 2 or more')
    numbers = np.array(kept(counts, len(members)))
    sums = {name: np.zeros(numbers.size) for name in ('weight', 'squared_error', 'crps', 'expected_square')}
    for cells, x in chunks(members, np.isfinite(truth) & (weight > 0)):
        y, w = (field.ravel()[cells].astype(np.float64) for field in (truth, weight))
        means = np.cumsum(x, 0)[numbers - 1] / numbers[:, None]
        sums['weight'] += w.sum()
        sums['squared_error'] += np.square(means - y) @ w
        sums['crps'] += [fair_crps(x[:n], y) @ w if n > 1 else 0 for n in numbers]
        sums['expected_square'] += (x.var(0, ddof=1) @ w) * (1 + 1 / numbers)
    return {**sums, 'crps_weight': sums['weight'] * (numbers > 1)}


def summarise(sums: Sums) -> dict[str, np.ndarray]:
    """{'rmse', 'crps', 'expected'} [..., N] from sums over times with any leading axes.

    rmse of the mean of the first n; fair CRPS, which in expectation does not change with n, NaN for n = 1; the RMSE of
    perfect members that have the variance of all M. NaN where no cell was valid.
    """
    return {
        'rmse': np.sqrt(ratio(sums['squared_error'], sums['weight'])),
        'crps': ratio(sums['crps'], sums['crps_weight']),
        'expected': np.sqrt(ratio(sums['expected_square'], sums['weight'])),
    }
