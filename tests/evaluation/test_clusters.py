"""Scores of clusters against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from downscale_jax.evaluation.clusters import figures, scores


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    label, group = np.repeat([0, 1, 2], 40), np.arange(120) // 4
    codes = rng.normal(size=(120, 2)) + 1.5 * label[:, None]
    cluster = scores.clusters(codes, 3, 0)
    found = scores.scores(codes, cluster, label, group)
    assert found['adjusted_rand'][0] == pytest.approx(adjusted_rand_score(label, cluster))
    assert found['silhouette'][0] == pytest.approx(silhouette_score(codes, label))
    purity = sum(np.bincount(label[cluster == k]).max() for k in range(3)) / 120
    value, low, high = found['purity']
    assert value == pytest.approx(purity)
    assert low < value < high


def test_clusters_take_the_names_that_fit_best():
    label = np.array([0, 0, 1, 1, 2, 2, 2])
    cluster = np.array([2, 2, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(scores.matched(cluster, label, 3), [0, 0, 1, 1, 2, 2, 1])


def test_the_plane_keeps_two_latents_and_the_neighbours_of_more():
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1, 2], 12)
    codes = rng.normal(size=(36, 5)) + 20 * np.eye(3, 5)[group]
    np.testing.assert_array_equal(figures.plane(codes[:, :2], 0), codes[:, :2])
    assert silhouette_score(figures.plane(codes, 0), group) > 0.5


def test_the_grid_of_the_manifold_covers_the_codes():
    codes = np.stack(np.meshgrid(np.linspace(-1, 1, 50), np.linspace(2, 4, 50)), -1).reshape(-1, 2)
    grid = figures.grid(codes)
    assert grid[0, 0, 1] > grid[-1, 0, 1]  # the first row is on top
    np.testing.assert_allclose(grid[-1, 0], np.quantile(codes, 0.02, axis=0))
