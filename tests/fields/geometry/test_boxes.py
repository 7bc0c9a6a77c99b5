"""Sums over boxes beside sums over slices; box filters are tested in test_grid.py."""

import numpy as np
import pytest

from downscale_jax.fields.geometry.boxes import box_sums, largest


@pytest.mark.parametrize('size', [1, 3, 5, (2, 4)])
def test_sums_of_slices(size):
    values = np.random.default_rng(0).normal(size=(2, 5, 7)).astype('f4')
    rows, columns = (size, size) if isinstance(size, int) else size
    found = box_sums(values, size)
    assert found.shape == (2, 6 - rows, 8 - columns)
    assert found.dtype == np.float64
    for i, j in np.ndindex(found.shape[1:]):
        expected = values[:, i : i + rows, j : j + columns].sum((1, 2), dtype='f8')
        np.testing.assert_allclose(found[:, i, j], expected, atol=1e-12)


def test_counts_are_exact_integers():
    found = box_sums(np.eye(4, dtype=bool), 2)
    np.testing.assert_array_equal(found, [[2, 1, 0], [1, 2, 1], [0, 1, 2]])
    assert found.dtype == np.int64


def test_no_box_fits():
    assert box_sums(np.ones((3, 9)), 4).shape == (0, 6)
    assert box_sums(np.ones((9, 3)), 4).size == 0


def test_the_largest_sum():
    sums = np.array([[1, 2, 7], [3, 7, 0]])
    assert largest(sums) == (0, 2)
    assert largest(-sums) == (1, 2)
