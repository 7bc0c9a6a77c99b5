"""The made-up archive of another source, beside closed forms."""

import numpy as np
import pytest

from experiments.climate import archive


def test_wide_cells_are_means_of_what_is_there():
    axis = 10 + 0.1 * np.arange(45)
    centres, matrix = archive.wide_cells(axis, 20, np.ones(45))
    assert matrix.shape == (3, 45)
    np.testing.assert_allclose(matrix.sum(1), 1)
    # seven of the first twenty cells lie outside: 10 - 0.7 to 11.2
    np.testing.assert_array_equal(np.flatnonzero(matrix[0]), np.arange(13))
    np.testing.assert_allclose(np.diff(centres), 2.0)
    np.testing.assert_allclose(matrix[1] @ axis, centres[1])
    weighted = archive.wide_cells(axis, 20, axis)[1]
    assert weighted[1] @ axis > centres[1]


def test_the_archive_is_biased_and_too_variable_and_has_drizzle():
    rng = np.random.default_rng(0)
    months = np.arange(2400) % 12 + 1
    coarse = np.stack([280 + 10 * np.cos(months / 2) + rng.normal(0, 2, 2400), rng.gamma(0.5, 2, 2400)], -1)
    coarse = coarse[:, None, None]
    seen = archive.distorted(coarse, months, np.array([False, True]), rng)[:, 0, 0]
    assert (seen[:, 0] - coarse[:, 0, 0, 0]).mean() == pytest.approx(1.2 * 2, abs=0.2)
    july = months == 7
    assert seen[july, 0].std() / coarse[july, 0, 0, 0].std() == pytest.approx(np.hypot(1.25, 0.3), rel=0.1)
    assert seen[:, 1].min() > 0.2 * coarse[..., 1].mean()
    wet = coarse[:, 0, 0, 1] > 5
    assert (seen[wet, 1] / coarse[wet, 0, 0, 1]).mean() == pytest.approx(1.3, rel=0.05)
