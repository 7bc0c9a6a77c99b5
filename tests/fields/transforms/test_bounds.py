"""Bounds: one pair per variable, checked."""

import numpy as np
import pytest

from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.runtime.errors import UserError


def test_one_pair_per_variable():
    found = limits(((0.0, float('inf')), (-1.0, 1.0)), ('a', 'b'))
    np.testing.assert_array_equal(found, np.array([[0, -1], [np.inf, 1]], 'f4'))
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    'bounds',
    [
        (0.0, 1.0),
        ((0.0, 1.0),),
        ((0.0, 1.0),) * 3,
        ((1.0, 0.0), (0.0, 1.0)),
        ((float('nan'), 1.0),) * 2,
        ((0.0,), (0.0, 1.0)),
        (),
    ],
)
def test_any_other_form_is_refused(bounds):
    with pytest.raises(UserError, match=r"data\.bounds=.*one pair \(lower, upper\).*\('a', 'b'\)"):
        limits(bounds, ('a', 'b'))
