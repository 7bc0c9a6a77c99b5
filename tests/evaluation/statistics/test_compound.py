"""Hot and dry months of independent, identical and opposite variables."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.compound import (
    HotDry,
    Thresholds,
    day_sums,
    month_sums,
    summarise,
    thresholds,
    variables_of,
)


def share(*fields):
    return summarise(month_sums(*fields))['frequency']


def period(years, shape=(30, 40), seed=0):
    """(temperature, precipitation with a seasonal cycle, months), independent."""
    rng = np.random.default_rng(seed)
    months = np.tile(np.arange(1, 13), years)
    season = -np.cos(2 * np.pi * months / 12)[:, None, None]
    return (
        15 + 12 * season + rng.normal(size=(12 * years, *shape)),
        rng.gamma(2, 3 + season, (12 * years, *shape)),
        months,
    )


@pytest.mark.parametrize('q', [0.9, 0.8])
def test_independent_variables(q):
    reference = thresholds(*period(30), q)
    for seed in (0, 1):  # within the reference and outside
        temperature, rain, months = period(30, seed=seed)
        assert np.mean(share(temperature, rain, months, reference)) == pytest.approx((1 - q) ** 2, rel=0.03)
        only = Thresholds(reference.hot, np.full_like(reference.dry, 1e9))
        assert np.mean(share(temperature, rain, months, only)) == pytest.approx(1 - q, rel=0.02)
        only = Thresholds(np.full_like(reference.hot, -1e9), reference.dry)
        assert np.mean(share(temperature, rain, months, only)) == pytest.approx(1 - q, rel=0.02)


def test_dependent_variables():
    temperature, _, months = period(30)
    for rain, expected in ((-temperature, 0.1), (temperature, 0)):
        found = share(temperature, rain, months, thresholds(temperature, rain, months))
        assert np.mean(found) == pytest.approx(expected, abs=0.004)


def test_thresholds_are_weibull_quantiles_of_each_month():
    temperature, rain, months = period(7, (2, 3))
    temperature[months == 4] = np.where(np.arange(7)[:, None, None] < 2, np.nan, temperature[months == 4])
    found = thresholds(temperature, rain, months, 0.7)
    for month in (1, 4, 12):
        t, p = temperature[months == month], rain[months == month]
        np.testing.assert_allclose(found.hot[month - 1], np.nanquantile(t, 0.7, axis=0, method='weibull'))
        np.testing.assert_allclose(found.dry[month - 1], np.quantile(p, 0.3, axis=0, method='weibull'))
    few = thresholds(temperature, rain, months)
    np.testing.assert_array_equal(few.hot[0], temperature[months == 1].max(0))
    np.testing.assert_array_equal(few.dry[0], rain[months == 1].min(0))


def test_by_hand():
    reference = Thresholds(np.full((12, 1, 2), 10.0), np.full((12, 1, 2), 1.0))
    reference.hot[1] = 20  # February
    temperature = np.array([[11, 11], [11, 21], [10, 12], [np.nan, 9]])[:, None]
    rain = np.array([[0.5, 1.0], [0.5, 0.5], [0.5, 0.2], [0.0, 0.0]])[:, None]
    months = np.array([1, 2, 3, 4])
    found = month_sums(temperature, rain, months, reference)
    np.testing.assert_array_equal(found['events'], [[1, 2]])
    np.testing.assert_array_equal(found['months'], [[3, 4]])
    np.testing.assert_allclose(share(temperature, rain, months, reference), [[1 / 3, 0.5]])


def test_parts_of_a_period_add_up():
    temperature, rain, months = period(20)
    reference = thresholds(temperature, rain, months)
    first, second = (month_sums(temperature[p], rain[p], months[p], reference) for p in (slice(50), slice(50, None)))
    np.testing.assert_allclose(
        summarise(total([first, second]))['frequency'], share(temperature, rain, months, reference)
    )


def test_where_all_months_are_hot_they_are_as_often_as_dry():
    temperature, rain, months = period(25)
    warm = np.arange(300) >= 180
    temperature[warm] += 5
    reference = thresholds(temperature[~warm], rain[~warm], months[~warm])
    for part, expected, within in ((warm, 0.1, 0.01), (~warm, 0.01, 0.01)):
        found = share(temperature[part], rain[part], months[part], reference)
        np.testing.assert_allclose(found.mean(), expected, atol=within)


def test_missing_cells_months_and_rain():
    temperature, rain, months = period(12, (2, 2))
    temperature[:, 0, 0] = np.nan
    rain[:, 1, 1] = 0  # a desert
    found = share(temperature, rain, months, thresholds(temperature, rain, months))
    assert np.isnan(found[0, 0])
    assert found[1, 1] == 0
    winter = months < 3
    reference = thresholds(temperature[winter], rain[winter], months[winter])
    assert np.isnan(reference.hot[2:]).all()
    assert month_sums(temperature, rain, months, reference)['months'][0, 1] == 24


@pytest.mark.parametrize(
    ('names', 'standard', 'expected'),
    [
        (('t2m', 'tp'), {}, (0, 1)),
        (('tp', 'sp', 't2m'), {'t2m': 'unknown'}, (2, 0)),
        (('a', 'b'), {'a': 'precipitation_flux', 'b': 'air_temperature'}, (1, 0)),
        (('t2m', 'sp'), {'t2m': 'air_temperature'}, None),
        (('u10', 'tp'), {}, None),
        (('prate', 'air'), {}, (1, 0)),
        (('2m_temperature', 'PRATE'), {}, (0, 1)),
        (('tasmax', 'tas', 'pr'), {'tasmax': 'air_temperature', 'tas': 'air_temperature'}, (1, 2)),
        (('tasmin', 'pr', 'tas'), {'tasmin': 'air_temperature', 'tas': 'air_temperature'}, (2, 1)),
        (('tasmax', 'pr'), {'tasmax': 'air_temperature'}, (0, 1)),
        (('mx2t', 'tp'), {}, None),
        (('ta', 'tb', 'pr'), {'ta': 'air_temperature', 'tb': 'air_temperature'}, (0, 2)),
    ],
)
def test_temperature_and_precipitation_by_name(names, standard, expected):
    attributes = {name: {'standard_name': standard[name]} if name in standard else {} for name in names}
    assert variables_of(names, attributes) == expected
    assert standard or variables_of(names, {}) == expected


def test_members_have_their_own_events():
    """Two members of three cells that weigh 1, 2 and 4; the last has no threshold. Hot above 1, dry below 5."""
    nothing = np.full((12, 1, 3), np.nan)
    hot, dry = nothing.copy(), nothing.copy()
    hot[6], dry[6] = [1, 1, np.nan], [5, 5, 5]
    known, weight = HotDry((1, 0), Thresholds(hot, dry)), np.array([[1.0, 2.0, 4.0]])
    rain = np.array([[4, 6, 4], [4, 4, 4]])
    warmth = np.array([[2, 2, 2], [0, 2, 2]])
    members = np.stack([rain, warmth], -1)[:, None].astype('f4')
    sums = day_sums(members, weight, 7, known)
    assert sums == {'events': (1 + 2) / 2, 'months': 3}  # the first cell of one member, the second of the other
    assert day_sums(members[:1], weight, 7, known) == {'events': 1, 'months': 3}
    assert summarise(sums)['frequency'] == 0.5
    # July again and again, and a month that the reference lacks
    lacking = day_sums(members, weight, 8, known)
    assert lacking == {'events': 0, 'months': 0}
    assert np.isnan(summarise(lacking)['frequency'])
    # where a value is missing nothing can be
    members[0, 0, 0, 0] = np.nan
    assert day_sums(members, weight, 7, known) == {'events': 1, 'months': (2 + 3) / 2}
