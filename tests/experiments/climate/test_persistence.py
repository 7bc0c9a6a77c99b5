"""The correlation of neighbouring months by running sums, beside an autoregression and the sums of whole series."""

import numpy as np
import pytest

from experiments.climate.persistence import Persistence

JANUARY = 12 * 1900


def of(values):
    found = Persistence(*next(iter(values.values())).shape)
    for month, field in values.items():
        found.add(month, field)
    return found.correlation()


def directly(values):
    """From the whole series in memory."""
    months = np.array(sorted(values))
    anomaly = np.stack([values[month] for month in months])
    for month in np.unique(months % 12):
        anomaly[months % 12 == month] -= anomaly[months % 12 == month].mean(0)
    before = np.flatnonzero(np.diff(months) == 1)
    x, y = anomaly[before], anomaly[before + 1]
    return (x * y).sum((0, 1)) / np.sqrt((x**2).sum((0, 1)) * (y**2).sum((0, 1)))


@pytest.fixture(scope='module')
def values():
    """A hundred years of 50 cells from a May: an autoregression and white noise, with a season."""
    rng, state, found = np.random.default_rng(1), np.zeros((50, 2)), {}
    for month in range(JANUARY + 4, JANUARY + 4 + 1200):
        state = np.array([0.6, 0.0]) * state + rng.standard_normal((50, 2))
        found[month] = state + 30 * np.cos(2 * np.pi * month / 12)
    return found


def test_an_autoregression_with_a_season(values):
    np.testing.assert_allclose(of(values), [0.6, 0.0], atol=0.02)
    np.testing.assert_allclose(of(values), directly(values), rtol=1e-10)


@pytest.mark.parametrize('order', ['backwards', 'from within', 'any'])
def test_months_in_another_order(values, order):
    months = [*values]
    orders = {'backwards': months[::-1], 'from within': months[300:] + months[299::-1]}
    found = Persistence(50, 2)
    for month in orders.get(order, np.random.default_rng(2).permutation(months).tolist()):
        found.add(month, values[month])
        assert len(found.ends) <= 2 or order == 'any'
    np.testing.assert_allclose(found.correlation(), directly(values), rtol=1e-10)
    assert sorted(found.ends) == [months[0], months[-1]]


def test_pairs_across_a_gap_do_not_count(values):
    assert np.isnan(of({month: field for month, field in values.items() if month % 2})).all()
    gaps = {month: field for month, field in values.items() if month % 12 != 3 and month % 37}
    np.testing.assert_allclose(of(gaps), directly(gaps), rtol=1e-10)


def test_a_large_mean_takes_few_digits(values):
    pressure = {month: 100_000 + 300 * field for month, field in values.items()}
    np.testing.assert_allclose(of(pressure), of(values), rtol=1e-6)


def test_cells_that_are_missing(values):
    holes = {month: field.copy() for month, field in values.items()}
    for field in holes.values():
        field[:10] = np.nan
    np.testing.assert_allclose(of(holes), of({month: field[10:] for month, field in values.items()}))
    once = {month: field.copy() for month, field in holes.items()}
    once[JANUARY + 100][10] = np.nan
    assert np.isfinite(of(once)).all()
    assert np.isnan(of({month: np.full((3, 1), 7.0) for month in range(24)})).all()
