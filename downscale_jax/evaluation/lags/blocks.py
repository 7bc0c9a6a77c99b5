"""Units and blocks for the bootstrap over pairs, which share their errors as long as they see the same weather."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import block_length
from downscale_jax.pipeline.records import Prepared

DAY = 86_400  # seconds
FEWEST_DAYS = 6  # from which blocks of two days can be drawn
SECTORS = 12  # of longitude, which replace days if there are fewer


class Blocks(NamedTuple):
    """The unit of each pair [N], and the blocks of units in words."""

    unit: np.ndarray
    label: str


def blocks(seconds: np.ndarray, column: np.ndarray, prepared: Prepared) -> Blocks:
    """Blocks that cover the longest lag, in whole days, and a day more.

    `bootstrap` draws blocks of at least two units, so a unit is a run of half as many days, shorter if fewer than three
    blocks would remain. Sectors of longitude are units themselves.
    """
    day = np.unique(seconds // DAY, return_inverse=True)[1]
    days = day.max() + 1
    if days < FEWEST_DAYS:
        # so few cannot be resampled, but weather at least a sector away is nearly independent
        sector = np.unique(column * SECTORS // prepared.meta['grid'][1], return_inverse=True)[1]
        return Blocks(sector, f'{block_length(sector.max() + 1)} of {SECTORS} sectors of longitude (too few days)')
    longest = 3600 * float(prepared.meta['step_hours']) * prepared.meta['lags']
    wanted = int(np.ceil(longest / DAY)) + 1
    run = min(-(-wanted // 2), days // FEWEST_DAYS)
    unit = day // run
    return Blocks(unit, f'{run * block_length(unit.max() + 1)} days')
