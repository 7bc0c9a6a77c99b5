"""Members of a split as series of images, whatever the order of the records."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.clouds.ensemble import read
from downscale_jax.runtime.errors import UserError


def prepared(times):
    """Records of {member: its times in minutes}, the last first; an image shows 10 * member + time."""
    records = [
        {'image': np.full((2, 3, 1), 10 * group + time), 'values': np.array([group, 7], np.float32),
         'label': group % 2, 'group': group, 'seconds': 60 * time}
        for group, minutes in times.items() for time in minutes
    ]  # fmt: skip
    return SimpleNamespace(split=lambda split: records[::-1])


def test_series_of_members():
    found = read(prepared({3: (0, 5), 4: (0, 5), 8: (0, 5)}), 'test')
    assert found.images.shape == (3, 2, 2, 3, 1)
    np.testing.assert_array_equal(found.images[..., 0, 0, 0], [[30, 35], [40, 45], [80, 85]])
    np.testing.assert_array_equal(found.values, [[3, 7], [4, 7], [8, 7]])
    np.testing.assert_array_equal(found.label, [1, 0, 0])
    np.testing.assert_array_equal(found.minutes, [0, 5])


@pytest.mark.parametrize('times', [{0: (0, 5), 1: (0,), 2: (0, 5, 9)}, {0: (0, 5), 1: (0, 9)}], ids=['number', 'times'])
def test_times_that_differ(times):
    with pytest.raises(UserError, match=r"split 'train' have images at different times.*split_by='group'"):
        read(prepared(times), 'train')
