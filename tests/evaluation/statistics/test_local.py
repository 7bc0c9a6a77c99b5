"""Wasserstein distances at places, against SciPy and closed forms."""

import numpy as np
import pytest
import scipy.stats

from downscale_jax.evaluation.statistics import local as local_statistics
from downscale_jax.evaluation.statistics.local import compare, interval_of, resampled, wasserstein

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('n', [50, 7, 1])
def test_wasserstein_is_that_of_scipy(n):
    truth, found = RNG.normal(size=(n, 4)), RNG.gamma(2, size=(n, 4))
    expected = [scipy.stats.wasserstein_distance(x, y) for x, y in zip(truth.T, found.T, strict=True)]
    np.testing.assert_allclose(wasserstein(truth, found), expected, rtol=1e-12)
    np.testing.assert_allclose(wasserstein(truth.T, found.T, axis=1), expected, rtol=1e-12)


def interval(truth, first, second, **options):
    """Of better - worse, both methods resampled alike."""
    return interval_of(*(resampled(truth, values, **options) for values in (first, second)))


def test_a_shifted_distribution_is_as_far_as_its_shift():
    truth = RNG.normal(size=(40, 3))
    shift = np.array([0.5, -2, 0])
    np.testing.assert_allclose(wasserstein(truth, RNG.permutation(truth) + shift), np.abs(shift), atol=1e-12)
    # two Gaussians: c apart, or with standard deviations 1 and s: (s - 1) E|z|
    normal = scipy.stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    assert wasserstein(normal, normal + 0.3) == pytest.approx(0.3)
    assert wasserstein(normal, 1.5 * normal) == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=1e-3)


def test_compare_by_hand():
    second = np.ones(7)
    first = np.array([0.5, 0.89, 0.91, 1.0, 1.09, 1.11, np.nan])
    assert compare(first, second) == (2, 1, 3)
    assert compare(np.zeros(2), np.zeros(2)) == (0, 0, 2)
    assert compare(second, np.array([0.5, 0.5, 1, 1, 1, 2, 2])) == (2, 2, 3)
    for counts in compare(np.stack([first, second]), second):
        assert counts.shape == (2,)


def test_resampled_distances_are_those_of_the_times_drawn(monkeypatch):
    monkeypatch.setattr(local_statistics, '_CHUNK', 1000)  # more than one chunk, of more than one resample
    truth, found = RNG.normal(size=(30, 4)), RNG.gamma(2, size=(30, 4))
    found[3:6] = truth[3:6]  # ties
    drawn = RNG.integers(0, 30, (5, 30))
    counts = np.stack([np.bincount(times, minlength=30) for times in drawn]).astype('f4')
    expected = [wasserstein(truth[times], found[times]) for times in drawn]
    np.testing.assert_allclose(local_statistics._resampled(truth, found, counts), expected, rtol=1e-5)


def test_interval_holds_the_difference():
    truth = RNG.normal(size=(200, 30))
    first, second = truth + 0.3, truth + np.where(np.arange(30) < 20, 0.5, 0.1)  # better at 20, worse at 10
    np.testing.assert_array_equal(interval(truth, first, second, samples=50), [10, 10])
    noise = RNG.normal(size=(2, 200, 30))
    low, high = interval(truth, noise[0], noise[1], block=5, samples=200)
    assert -30 <= low < 0 < high <= 30
    np.testing.assert_array_equal(interval(truth, noise[0], noise[1], block=5, samples=200), [low, high])
    assert (resampled(truth, noise[0], samples=20, seed=1) != resampled(truth, noise[0], samples=20)).any()
    np.testing.assert_allclose(interval(truth, noise[1], noise[0], block=5, samples=200), [-high, -low], atol=2)


def test_blocks_widen_the_interval_of_persistent_errors():
    slow = np.repeat(RNG.normal(size=(3, 10, 40)), 20, 1)  # values last for 20 times
    widths = [np.diff(interval(*slow, block=block, samples=200))[0] for block in (1, 20)]
    assert widths[1] > 1.3 * widths[0]


def test_blocks_are_consecutive_times():
    # with a period of one block every block holds the same values, and so does every resample
    cycles = np.tile(RNG.normal(size=(3, 4, 20)), (1, 10, 1))
    counts = compare(wasserstein(cycles[0], cycles[1]), wasserstein(cycles[0], cycles[2]))
    np.testing.assert_array_equal(interval(*cycles, block=4, samples=50), [counts.better - counts.worse] * 2)
    assert np.ptp(interval(*cycles, block=1, samples=50)) > 0


def test_few_times_tell_nothing():
    few = RNG.normal(size=(3, 8, 2))
    assert np.isnan(interval(*few, block=3)).all()
    assert np.isfinite(interval(*few, block=2, samples=20)).all()
