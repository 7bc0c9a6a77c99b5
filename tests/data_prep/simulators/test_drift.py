"""The drift's rates against those of known flows."""

import numpy as np

from data_prep.simulators.drift import deformation


def test_deformation_of_known_flows():
    y, x = np.mgrid[:20, :20] * 4.0
    faces = np.arange(21)[:, None] * 4.0 * np.ones(20)
    inner = (slice(2, -2), slice(2, -2))
    for u, v, divergence, shear in (
        (0.03 * x, 0.01 * (faces - 2), 0.04, 0.02),  # stretching
        (0.05 * (y + 2), 0 * faces, 0.0, 0.05),  # simple shear
        (-0.05 * (y + 2), 0.05 * (np.arange(20) * 4.0 + 2) + 0 * faces, 0.0, 0.0),  # rotation
    ):
        found = deformation(u, v, 4.0)
        np.testing.assert_allclose(found[0][inner], divergence, atol=1e-12)
        np.testing.assert_allclose(found[1][inner], shear, atol=1e-12)
