"""Distances between members against closed forms."""

import numpy as np
import pytest

from downscale_jax.evaluation.clouds import distances
from downscale_jax.evaluation.statistics.energy import between, separation


def test_distances_are_root_mean_squares():
    codes = np.random.default_rng(0).normal(size=(4, 3, 5))
    found = between(codes)
    assert found[1, 2] == pytest.approx(np.sqrt(np.square(codes[1] - codes[2]).mean()))
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-6)


def test_rank_correlation_of_a_metric_with_itself_and_with_noise():
    values = np.random.default_rng(0).normal(size=(20, 2))
    parameters = distances.of_parameters(values)
    np.testing.assert_allclose(distances.rank_correlation(parameters**3, parameters), 1)
    assert np.isnan(distances.spearman(parameters, parameters, np.array([0, 0, 1, 1])))  # a single pair, four times
    noise = np.random.default_rng(1).random((20, 20))
    value, low, high = distances.rank_correlation(noise + noise.T, parameters)
    assert low < value < high
    assert abs(value) < 0.3


def test_roughness_is_one_for_random_times_and_small_for_curves():
    rng = np.random.default_rng(0)
    assert distances.roughness(rng.normal(size=(200, 10, 4)))[0] == pytest.approx(1, abs=0.05)
    line = np.arange(10.0)[None, :, None] * np.ones((6, 1, 1))
    # steps of 1; the mean squared difference of any two of n equidistant times is n (n + 1) / 6
    assert distances.roughness(line)[0] == pytest.approx(6 / 110)


def test_separation():
    label = np.repeat([0, 1], [20, 15])
    together = between(np.random.default_rng(0).normal(size=(35, 1, 3)))
    assert separation(together, label, 200, 0).p_value > 0.05
    apart = between(np.random.default_rng(0).normal(size=(35, 1, 3)) + 9.0 * label[:, None, None])
    found = separation(apart, label, 200, 0)
    assert found.p_value == pytest.approx(1 / 201)
    assert found.share > 0.8


def test_explained_variance_is_that_of_pooled_images():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(6, 2, 30, 3)) * np.array([1.0, 2.0, 3.0])
    found = distances.explained(truth, np.broadcast_to(truth.mean((0, 1, 2)), truth.shape))
    np.testing.assert_allclose(found['all'], 0, atol=1e-12)
    half = distances.explained(truth, truth * [1, 0, 1])
    assert half['channel'][0][0] == 1
    assert half['channel'][1][0] == pytest.approx(0, abs=0.02)
