"""Rows in portions of one shape."""

import numpy as np
import pytest

from downscale_jax.runtime.portions import PORTION, in_portions


@pytest.mark.parametrize('count', [1, PORTION, 2 * PORTION + 3])
def test_every_row_is_seen_once_in_portions_of_one_shape(count):
    shapes = set()

    def double(x):
        shapes.add(x.shape)
        return 2 * x

    rows = np.arange(3 * count).reshape(count, 3)
    np.testing.assert_array_equal(in_portions(double, rows), 2 * rows)
    assert shapes == {(PORTION, 3)}
