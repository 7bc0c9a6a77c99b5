"""Labelled images of splits."""

from types import SimpleNamespace

import numpy as np

from downscale_jax.evaluation.images import read


def test_evenly_spread_images_of_every_split():
    records = [{'image': np.full((2, 3, 1), i), 'label': i % 2, 'group': i // 2, 'seconds': 0} for i in range(9)]
    splits = {'train': records[:5], 'test': records[5:]}
    prepared = SimpleNamespace(split=splits.get)
    found = read(prepared, ('train', 'test'), 3)
    assert found['image'].shape == (6, 2, 3, 1)
    np.testing.assert_array_equal(found['image'][:, 0, 0, 0], [0, 2, 4, 5, 7, 8])
    np.testing.assert_array_equal(found['group'], [0, 1, 2, 2, 3, 4])
    assert set(found) == {'image', 'label', 'group', 'seconds'}
    np.testing.assert_array_equal(read(prepared, ('test',))['label'], [1, 0, 1, 0])
