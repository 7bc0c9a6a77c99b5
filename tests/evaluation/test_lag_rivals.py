"""Rivals: what can be expected of no knowledge, and a classifier whose answer is known."""

import numpy as np
import pytest

from downscale_jax.evaluation.lags import rivals as lag_rivals
from downscale_jax.evaluation.lags import scores as lag_scores

RNG = np.random.default_rng(0)


def test_chance_is_what_random_answers_reach():
    lag = np.array([0, 3, 6])
    found = lag_rivals.chance(lag, 7)
    np.testing.assert_allclose(found['accuracy'], 1 / 7)
    np.testing.assert_allclose(found['top3'], 3 / 7)
    np.testing.assert_allclose(found['cross_entropy'], np.log(7))
    np.testing.assert_allclose(found['lag_error'], [21 / 7, 12 / 7, 21 / 7])
    drawn = np.array([lag_scores.told(RNG.dirichlet(np.ones(7), 3), lag)['lag_error'] for _ in range(20_000)]).mean(0)
    np.testing.assert_allclose(drawn, found['lag_error'], rtol=0.02)


@pytest.mark.parametrize(('classes', 'middle'), [(23, 11), (12, 5), (4, 1), (1, 0)])
def test_the_middle_lag(classes, middle):
    assert lag_rivals.middle(classes) == middle
    every = np.arange(classes)
    errors = [lag_rivals.constant(every, answer, classes)['lag_error'].mean() for answer in every]
    assert errors[middle] == min(errors)


def test_constant():
    found = lag_rivals.constant(np.arange(5), 1, 5)
    np.testing.assert_array_equal(found['accuracy'], [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found['top3'], [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(found['lag_error'], [1, 0, 1, 2, 3])
    assert 'cross_entropy' not in found
    np.testing.assert_array_equal(lag_rivals.constant(np.arange(5), 4, 5)['top3'], [0, 0, 1, 1, 1])
    np.testing.assert_array_equal(lag_rivals.constant(np.arange(2), 0, 2)['top3'], [1, 1])


def gaussian(count, classes=4):
    """One feature, normal around the class with deviation 1/2: its posterior is quadratic at most."""
    lag = RNG.integers(0, classes, count)
    return lag[:, None] + 0.5 * RNG.normal(size=(count, 1)), lag


def test_the_classifier_finds_the_posterior(monkeypatch):
    features, lag = gaussian(20_000)
    penalised = lag_rivals.fit(features, lag, 4)
    monkeypatch.setattr(lag_rivals, 'PENALTY', 1e-6)  # so sharp a posterior takes weights that a penalty shrinks
    found = lag_rivals.fit(features, lag, 4)
    x = np.linspace(-0.5, 3.5, 21)[:, None]
    density = np.exp(-0.5 * ((x - np.arange(4)) / 0.5) ** 2)
    np.testing.assert_allclose(found.probabilities(x), density / density.sum(1, keepdims=True), atol=0.03)
    scores = lag_scores.told(found.probabilities(features), lag)
    exact = np.exp(-0.5 * ((features - np.arange(4)) / 0.5) ** 2)
    best = lag_scores.told(exact / exact.sum(1, keepdims=True), lag)
    assert scores['cross_entropy'].mean() < best['cross_entropy'].mean() + 0.005
    scores = lag_scores.told(penalised.probabilities(features), lag)
    assert scores['cross_entropy'].mean() < best['cross_entropy'].mean() + 0.01


def test_the_minimum_is_reached():
    # features that follow each other closely, many classes, few pairs: the hardest to fit
    lag = RNG.integers(0, 12, 600)
    shared = np.log(1 - np.exp(-(lag + 1) / 4)) + 0.3 * RNG.normal(size=600)
    features = shared[:, None] * [1, 1, -1, -0.5] + 0.1 * RNG.normal(size=(600, 4))
    found = lag_rivals.fit(features, lag, 12)
    x = (features - found.mean) / found.std
    i, j = np.triu_indices(4)
    terms = np.concatenate([np.ones((600, 1)), x, x[:, i] * x[:, j]], 1)
    value, gradient = lag_rivals.objective(found.weights, terms, np.eye(12)[lag])
    assert np.abs(gradient).max() < 1.01 * lag_rivals.GRADIENT
    own = -np.log(found.probabilities(features)[np.arange(600), lag]).mean()
    assert value == pytest.approx(own + 1e-4 * np.square(found.weights[1:]).sum())
    start, slope = lag_rivals.objective(np.zeros_like(found.weights), terms, np.eye(12)[lag])
    assert start == pytest.approx(np.log(12))
    # the gradient is that of the value: nothing else tells that its zero is the minimum
    step = RNG.normal(size=slope.shape)
    ends = [lag_rivals.objective(found.weights + h * step, terms, np.eye(12)[lag]) for h in (0.1 - 1e-5, 0.1 + 1e-5)]
    middle = lag_rivals.objective(found.weights + 0.1 * step, terms, np.eye(12)[lag])[1]
    assert (ends[1][0] - ends[0][0]) / 2e-5 == pytest.approx((middle * step).sum(), rel=1e-5)


def test_products_of_features_are_used():
    features = RNG.normal(size=(4000, 2))
    lag = (features[:, 0] * features[:, 1] > 0).astype(int)  # no plane tells these
    found = lag_rivals.fit(features[:2000], lag[:2000], 2)
    assert lag_scores.told(found.probabilities(features[2000:]), lag[2000:])['accuracy'].mean() > 0.97


def test_features_without_information_give_the_frequencies():
    lag = np.repeat(np.arange(3), [100, 300, 600])
    found = lag_rivals.fit(np.ones((1000, 2)), lag, 3)  # constant: no division by zero
    np.testing.assert_allclose(found.probabilities(np.ones((1, 2))), [[0.1, 0.3, 0.6]], atol=1e-3)
