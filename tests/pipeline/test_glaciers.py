"""Patches of glaciers: their place, labels, masks and turns, and the split of folds."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.glaciers import GlacierPatches, Glaciers, scenes_of, split_of
from downscale_jax.runtime.errors import UserError

SHAPE = (24, 40)


class Fake:
    """Prepared scenes whose only band numbers the cells; the second scene is negative."""

    def __init__(self):
        band = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(*SHAPE, 1)
        cloud = np.zeros(SHAPE, np.float32)
        cloud[:, 20] = 1
        self.records = [{'bands': band, 'cloud': cloud}, {'bands': -band, 'cloud': cloud}]
        place = RasterGrid('EPSG:32632', 0.0, 0.0, 10.0, SHAPE).coordinates()
        slope = np.tile(5 * np.arange(SHAPE[1], dtype=np.float32), (SHAPE[0], 1))
        fields = {
            'elevation': (('y', 'x'), slope),
            'scene': (('date', 'glacier'), [[0, 1], [3, 3]]),
            'candidate': ('candidate', [0, 1, 2]),
            'hidden': (('candidate', 'glacier'), [[0.0, 0.6], [0.7, 0.1], [0.5, 1.0]]),
        }
        self.statics = xr.Dataset(fields, place)

    def transform_as(self, kind):
        zeros, ones = (0.0,) * 3, (1.0,) * 3
        names, units = ('red', 'elevation', 'slope'), ('1', 'm', '1')
        return SceneTransform(Standardisation(names, units, zeros, ones, zeros, ones, 0.0), ((1.0,),))

    def split(self, name):
        return self.records


@pytest.fixture
def glaciers():
    number = np.zeros(SHAPE, np.int32)
    number[10:14, 4:9], number[8:12, 28:36] = 1, 2
    outline = number > 0
    outline[20, 3] = True  # of a glacier too small to count
    owner = np.repeat(np.where(np.arange(40) < 19, 1, 2)[None], 24, 0)
    return Glaciers(outline, number, owner, np.array([20, 32.0]), np.array([0, 1]), np.array([[0, 1]]))


def patches(glaciers, chosen, size=8, jitter=0.0, lift=0.0):
    data = {'patch': size, 'patches_per_glacier': 3, 'jitter': jitter, 'lift': lift}
    return GlacierPatches(Fake(), glaciers, np.array(chosen), glaciers.scene, data, seed=0)


def test_patches_are_centred_on_the_glaciers_of_the_split(glaciers):
    source = patches(glaciers, [False, True])
    assert source.count == 3
    batch = source.batch(np.arange(40), np.arange(40) % 3)
    assert batch['image'].shape == (40, 8, 8, 3)
    band = -batch['image'][..., 0]  # the scene of the second glacier
    row, column = np.divmod(band, SHAPE[1])
    # the centre of an even patch is one of its four middle cells, whichever way it is turned
    middle = np.stack([row, column])[:, :, 3:5, 3:5]
    inside = (middle[0] >= 8) & (middle[0] < 12) & (middle[1] >= 28) & (middle[1] < 36)
    assert inside.any((1, 2)).all()
    assert len({tuple(map(int, x.ravel()[:2])) for x in band}) > 20
    number = glaciers.outline[row.astype(int), column.astype(int)]
    np.testing.assert_array_equal(batch['label'][..., 0], number)  # image and label are turned alike
    np.testing.assert_array_equal(batch['valid'][..., 0], (column >= 19) & (column != 20))
    np.testing.assert_allclose(batch['image'][..., 1], 5 * column)
    np.testing.assert_allclose(batch['image'][..., 2], 0.5)


def test_brightness_varies_from_patch_to_patch(glaciers):
    many = np.arange(300)
    plain, bright = (patches(glaciers, [False, True], jitter=j).batch(many, many % 3)['image'] for j in (0, 0.2))
    factor = np.log(bright[..., 0] / plain[..., 0])
    np.testing.assert_allclose(factor.std((1, 2)), 0, atol=1e-5)
    assert factor[:, 0, 0].std() == pytest.approx(0.2 * np.sqrt(10) / 3, rel=0.15)
    np.testing.assert_array_equal(bright[..., 1:], plain[..., 1:])


def test_elevation_is_lifted_as_a_whole(glaciers):
    many = np.arange(300)
    plain, lifted = (patches(glaciers, [False, True], lift=x).batch(many, many % 3)['image'] for x in (0, 200.0))
    height = (lifted - plain)[..., 1]
    np.testing.assert_allclose(height.std((1, 2)), 0, atol=1e-3)
    assert height[:, 0, 0].std() == pytest.approx(200, rel=0.1)
    np.testing.assert_array_equal(lifted[..., ::2], plain[..., ::2])


def test_patches_are_a_pure_function(glaciers):
    one, other = patches(glaciers, [True, True]), patches(glaciers, [True, True])
    epochs, indices = np.array([0, 5, 2]), np.array([3, 1, 0])
    first, second = one.batch(epochs, indices), other.batch(epochs[::-1], indices[::-1])
    for name in first:
        np.testing.assert_array_equal(first[name], second[name][::-1])


def test_a_patch_that_does_not_fit(glaciers):
    with pytest.raises(UserError, match=r'data\.patch=32 does not fit the scenes of 24 x 40 cells'):
        patches(glaciers, [True, True], 32)


def test_training_sees_all_scenes_that_show_half_of_a_glacier():
    assert scenes_of(Fake(), 'train').tolist() == [[0, 1], [0, 1], [2, 1]]
    assert scenes_of(Fake(), 'validation').tolist() == [[0, 1]]


def test_patches_come_from_all_scenes_of_a_glacier(glaciers):
    data = {'patch': 8, 'patches_per_glacier': 3, 'jitter': 0.0, 'lift': 0.0}
    source = GlacierPatches(Fake(), glaciers, np.array([True, False]), np.array([[0, 1], [1, 1]]), data, seed=0)
    bands = source.batch(np.arange(40), np.zeros(40, int))['image'][..., 0]
    assert 10 < (bands.max((1, 2)) > 0).sum() < 30  # the second scene is negative


@pytest.mark.parametrize('count', [2, 3, 5])
def test_splits_share_no_glacier(count):
    fold = np.arange(40) * count // 40
    for test in range(count):
        train, validation, tested = (split_of(fold, test, count, s) for s in ('train', 'validation', 'test'))
        np.testing.assert_array_equal(train.astype(int) + validation + tested, 1)
        assert train.any()
        assert validation.any()
        np.testing.assert_array_equal(tested, fold == test)
