"""Connected features against scikit-image and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.structure.features import day_sums, features, summarise, thresholds


def test_against_scikit_image():
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(60, 80)), 1.5)
    beyond = field > 1.3 * field.std()
    found = features(beyond)
    expected = measure.regionprops(measure.label(beyond, connectivity=2))
    assert len(expected) > 10
    np.testing.assert_array_equal(found.area, [one.area for one in expected])
    # scikit-image takes cells for points
    moments = np.array([one.inertia_tensor_eigvals for one in expected]) + 1 / 12
    np.testing.assert_allclose(found.elongation, np.sqrt(moments[:, 0] / moments[:, 1]), rtol=1e-6)


def test_by_hand():
    """A line of 9 cells: second moments (81 - 1)/12 + 1/12 and 1/12, so that it is 9 times as long as wide."""
    anomalies = np.zeros((2, 20, 20))
    anomalies[:, 3, 5:14] = 2.0
    anomalies[1, 10:12, 10:12] = 2.0
    anomalies[0, 15, 15] = -3.0
    sums = day_sums(anomalies, (-1.0, 1.0))
    np.testing.assert_array_equal(sums['number'], [0.5, 1.5])
    np.testing.assert_array_equal(sums['area'], [0.5, 11])
    found = summarise(sums)
    np.testing.assert_allclose(found['area'], [1, (9 * 9 + 2) / 11 - 0 + (16 / 2 - 2) / 11])
    np.testing.assert_allclose(found['elongation'], [1, (9 * 9 + 2) / 11])


def test_thresholds_leave_a_twentieth_on_either_side():
    anomaly = np.arange(1000.0).reshape(20, 50)
    anomaly[0, :10] = np.nan
    low, high = thresholds(anomaly)
    assert np.sum(anomaly < low) == pytest.approx(0.05 * 990, abs=1)
    assert np.sum(anomaly > high) == pytest.approx(0.05 * 990, abs=1)
    assert np.isnan(thresholds(np.full((3, 3), np.nan))).all()


def test_nothing_beyond():
    found = summarise(day_sums(np.zeros((1, 5, 5)), (-1.0, 1.0)))
    np.testing.assert_array_equal(found['number'], 0)
    assert np.isnan(found['area']).all()


def test_the_number_is_that_of_one_time():
    anomalies = np.zeros((1, 20, 20))
    anomalies[0, 3, 5:14] = anomalies[0, 10, 5:14] = 2.0
    one, empty = day_sums(anomalies, (-1.0, 1.0)), day_sums(np.full((1, 20, 20), np.nan), (np.nan, np.nan))
    for times in ([one], [one] * 3, [one, empty]):
        np.testing.assert_array_equal(summarise(total(times))['number'], [0, 2])
