"""Contingency tables by hand."""

import numpy as np

from downscale_jax.evaluation.statistics.contingency import contingency


def test_contingency():
    found = contingency(np.array([0, 0, 2, 2, 2]), np.array([1, 1, 0, 2, 2]), 3)
    np.testing.assert_array_equal(found, [[0, 2, 0], [0, 0, 0], [1, 0, 2]])
    np.testing.assert_array_equal(contingency(np.zeros(0, int), np.zeros(0, int), 2), np.zeros((2, 2)))
