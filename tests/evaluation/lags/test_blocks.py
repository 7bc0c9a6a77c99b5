"""Units and blocks of the bootstrap over pairs."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.lags.blocks import blocks
from downscale_jax.evaluation.statistics.bootstrap import block_length, bootstrap

ROWS, COLUMNS = 24, 48


def test_units_are_days_where_there_are_enough():
    seconds = np.array([0, 86_399, 86_400, 2 * 86_400, 3 * 86_400, 4 * 86_400, 5 * 86_400])
    column = np.array([0, 2, 3, 11, 35, 35, 6])
    prepared = SimpleNamespace(meta={'grid': [ROWS, 36], 'step_hours': 3, 'lags': 4})
    np.testing.assert_array_equal(blocks(seconds, column, prepared).unit, [0, 0, 1, 2, 3, 4, 5])
    # five days: the four sectors of three columns that have pairs
    np.testing.assert_array_equal(blocks(seconds[:-1], column[:-1], prepared).unit, [0, 0, 1, 2, 3, 3])


@pytest.mark.parametrize(
    ('days', 'lags_', 'length'),
    # 12 h, of which `bootstrap` draws more where days are many, 69 h, 96 h and 99 h; then few days
    [(36, 4, 4), (20, 4, 2), (36, 23, 4), (36, 32, 6), (36, 33, 6), (12, 23, 4), (11, 23, 2), (6, 23, 2)],
)
def test_blocks_cover_the_longest_lag(days, lags_, length):
    seconds = np.repeat(np.arange(days), 5) * 86_400 + 7
    meta = {'grid': [ROWS, COLUMNS], 'step_hours': 3, 'lags': lags_}
    unit, label = blocks(seconds, np.zeros(5 * days, int), SimpleNamespace(meta=meta))
    assert label == f'{length} days'
    count = len(np.unique(unit))
    longest = np.bincount(unit).max() // 5  # days of a unit
    assert longest * block_length(count) == length
    assert np.isfinite(bootstrap([{'x': np.array(float(i))} for i in range(count)], lambda s: s)['x']).all()


def test_sectors_stand_in_for_few_days():
    column = np.arange(48)
    seconds = 86_400 * (np.arange(48) % 5)
    meta = {'grid': [ROWS, COLUMNS], 'step_hours': 3, 'lags': 23}
    unit, label = blocks(seconds, column, SimpleNamespace(meta=meta))
    np.testing.assert_array_equal(unit, column // 4)
    assert label == '2 of 12 sectors of longitude (too few days)'
