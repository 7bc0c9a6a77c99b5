"""Power, error and correlation by scale where they are known in closed form."""

import numpy as np
import pytest

from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.bootstrap import total

SIZE, CELL = 32, 4.0
ORIGINS = np.array([[0, 0], [0, 32], [32, 0], [32, 32]])


def noise(seed, count=1, shape=(64, 64)):
    return np.random.default_rng(seed).normal(size=(count, *shape))


def summary(truth, methods, main=''):
    return scales.summarise(scales.day_powers(truth, methods, main, ORIGINS, SIZE))


def test_the_error_of_the_coarse_field_is_the_anomaly_of_the_truth():
    truth, coarse = noise(0)[0], 0.3 * noise(1)
    sums = scales.day_powers(truth, {'coarse': coarse}, '', ORIGINS, SIZE)
    np.testing.assert_allclose(sums['error coarse'], sums['anomaly truth'])
    assert sums['windows'] == 4
    found = scales.summarise(sums)
    np.testing.assert_allclose(found['error coarse'], 1)
    np.testing.assert_allclose(found['power coarse'], 0)
    assert np.isnan(found['correlation coarse']).all()


def test_a_field_that_knows_a_part_of_the_truth():
    truth = noise(0)[0]
    found = summary(truth, {'coarse': np.zeros((1, 64, 64)), 'half': 0.5 * truth[None], 'wrong': -truth[None]})
    for score, expected in (('power', 0.25), ('error', 0.25), ('correlation', 1)):
        np.testing.assert_allclose(found[f'{score} half'], expected)
    for score, expected in (('power', 1), ('error', 4), ('correlation', -1)):
        np.testing.assert_allclose(found[f'{score} wrong'], expected)


def test_members_without_knowledge():
    """Of M independent members with the truth's power: error 2, and 1 + 1/M of their mean, which keeps 1/M of it."""
    shape, size, members = (256, 256), 32, 8
    origins = np.argwhere(np.ones((15, 15), bool)) * 16
    truth, ensemble = noise(1, shape=shape)[0], noise(2, members, shape)
    methods = {'coarse': np.zeros((1, *shape)), 'other': ensemble[:2], 'main': ensemble}
    sums = scales.day_powers(truth, methods, 'main', origins, size)
    found = scales.summarise(sums, baselines=['other'])
    for key, expected in {
        'power main': 1,
        'error main': 2,
        'correlation main': 0,
        'power mean': 1 / members,
        'error mean': 1 + 1 / members,
        'error_over_other mean': (1 + 1 / members) / 2,
    }.items():
        np.testing.assert_allclose(found[key][2:].mean(), expected, atol=0.05, err_msg=key)
    assert scales.lines(sums) == ['coarse', 'other', 'main', 'mean']


def test_the_mean_of_the_powers_is_not_the_power_of_the_mean():
    methods = {'coarse': np.zeros((1, 64, 64)), 'main': np.concatenate([noise(3), -noise(3)])}
    found = scales.day_powers(noise(0)[0], methods, 'main', ORIGINS, SIZE)
    np.testing.assert_allclose(found['field mean'], 0, atol=1e-12)
    np.testing.assert_allclose(found['field main'], spectra.power(spectra.transform(noise(3)[0], ORIGINS, SIZE)))


def test_days_add_up_and_have_leading_axes():
    days = [scales.day_powers(noise(s)[0], {'coarse': noise(s + 9)}, '', ORIGINS, SIZE) for s in range(3)]
    means = scales.mean_powers(total(days), 'field')
    np.testing.assert_allclose(means['truth'], sum(day['field truth'] for day in days) / 12)
    stacked = scales.summarise({name: np.stack([day[name] for day in days]) for name in days[0]})
    np.testing.assert_allclose(stacked['power coarse'][1], scales.summarise(days[1])['power coarse'])


def test_ranges():
    wavelength = spectra.wavelengths(40, 4.0)
    parts = scales.ranges(wavelength, 80.0, 4.0)  # kernel 80 km, four cells 16 km, geometric mean 35.8 km
    assert {name: (wavelength[rings].max(), wavelength[rings].min()) for name, rings in parts.items()} == {
        'large': (160, 160),
        'medium': (80, 40),
        'fine': (32, 16),
        'finest': (pytest.approx(160 / 11), 8),
    }
    np.testing.assert_array_equal(sum(rings.astype(int) for rings in parts.values()), 1)
    np.testing.assert_array_equal(scales.scored(wavelength, 80.0, 4.0), (wavelength <= 80) & (wavelength >= 16))
    assert list(scales.ranges(wavelength, 500.0, 4.0)) == ['medium', 'fine', 'finest']
    assert list(scales.ranges(wavelength, 10.0, 4.0)) == ['large', 'finest']


def test_sums_by_range():
    sums = {'windows': np.float64(2), 'field truth': np.arange(1.0, 21.0)}
    parts = scales.ranges(spectra.wavelengths(40, 4.0), 80.0, 4.0)
    added = scales.by_range(sums, parts)
    assert added['field truth'].tolist() == [1, 2 + 3 + 4, sum(range(5, 11)), sum(range(11, 21))]
    assert added['windows'] == 2


def test_beaten_down_to():
    wavelength = np.array([160.0, 80.0, 53.0, 40.0, 32.0])
    assert scales.beaten_down_to(np.array([2, 0.5, 0.9, 1.1, 0.8]), wavelength, 80.0) == 53
    assert scales.beaten_down_to(np.full(5, 0.5), wavelength, 80.0) == 32
    assert np.isnan(scales.beaten_down_to(np.array([0.1, 1.5, 0.5, 0.5, 0.5]), wavelength, 80.0))
    assert scales.beaten_down_to(np.array([0.1, 0.5, 0.999, 0.5, 0.5]), wavelength, 80.0) == 80
    assert np.isnan(scales.beaten_down_to(np.full(5, np.nan), wavelength, 80.0))
