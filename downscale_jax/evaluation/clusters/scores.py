"""Scores of clusters against labels, with intervals over groups of images."""

from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_samples

from downscale_jax.evaluation.results import Estimate, read_definitions
from downscale_jax.evaluation.statistics.bootstrap import Sums, estimates, ratio
from downscale_jax.evaluation.statistics.contingency import contingency

DEFINITIONS = read_definitions(Path(__file__).with_name('scores.toml'))
STARTS = 10  # of k-means


def clusters(codes: np.ndarray, count: int, seed: int) -> np.ndarray:
    """[N] cluster of each code [N, L] by k-means."""
    return KMeans(count, n_init=STARTS, random_state=seed).fit_predict(codes)


def matched(cluster: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """Clusters [N] renamed to the classes with which they share most images, each class once (Hungarian method)."""
    rows, columns = linear_sum_assignment(-contingency(cluster, label, classes))
    names = np.empty(classes, int)
    names[rows] = columns
    return names[cluster]


def scores(codes: np.ndarray, cluster: np.ndarray, label: np.ndarray, group: np.ndarray) -> dict[str, Estimate]:
    """{score: [3]} of codes [N, L] and their clusters [N], with intervals over resampled groups."""
    classes = int(label.max()) + 1
    silhouette = silhouette_samples(codes, label)
    groups = [
        {
            'table': contingency(cluster[mine], label[mine], classes),  # rows are clusters
            'silhouette': silhouette[mine].sum(),
            'count': mine.sum(),
        }
        for mine in (group == number for number in np.unique(group))
    ]
    return estimates(groups, summary, block=1)


def summary(total: Sums) -> dict[str, np.ndarray]:
    """Scores from sums with any leading axes."""
    table, count = np.asarray(total['table']), np.asarray(total['count'])

    def pairs(x: np.ndarray) -> np.ndarray:
        return x * (x - 1) / 2

    rows, columns = (pairs(table.sum(axis)).sum(-1) for axis in (-1, -2))
    expected = rows * columns / pairs(count)
    return {
        'purity': ratio(table.max(-1).sum(-1), count),
        'adjusted_rand': ratio(pairs(table).sum((-2, -1)) - expected, (rows + columns) / 2 - expected),
        'silhouette': ratio(total['silhouette'], count),
    }
