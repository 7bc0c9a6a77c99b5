"""Choice of scenes by cloud over each glacier."""

import numpy as np
import pytest

from downscale_jax.fields.rasters.choice import choose
from downscale_jax.fields.rasters.region import Scene
from downscale_jax.runtime.errors import UserError

GLACIER = np.repeat([[1, 1, 0, 2, 2, 2]], 4, 0)


def scene(day, cloudy, missing=()):
    """A scene with cloud in some columns and without data in others."""
    image, cloud = np.ones((4, 6, 2), np.float32), np.zeros((4, 6), np.float32)
    cloud[:, list(cloudy)] = 0.9
    image[:, list(missing)] = np.nan
    return Scene(day, np.datetime64(day), lambda: image, lambda: cloud)


SCENES = [
    scene('2015-08-01', [0, 1]),
    scene('2015-08-10', [3, 4]),
    scene('2015-08-20', [], missing=[5]),
    scene('2015-01-01', []),  # clear, but far away
]


def test_each_glacier_has_its_clearest_scene():
    choice = choose(SCENES, GLACIER, np.datetime64('2015-08-10'), 15, 5)
    assert choice.scene[1] == 0
    assert choice.scene[0] in (1, 2)
    np.testing.assert_allclose(choice.clouded, 0)
    assert choice.candidates.tolist() == [2, 0, 1]
    np.testing.assert_allclose(choice.hidden, [[0, 1 / 3], [1, 0], [0, 2 / 3]])


def test_only_the_least_cloudy_scenes_are_candidates():
    choice = choose(SCENES, GLACIER, np.datetime64('2015-08-10'), 15, 1)
    assert choice.scene.tolist() == [2, 2]
    np.testing.assert_allclose(choice.clouded, choice.hidden[0])


def test_no_scene_near_the_date():
    with pytest.raises(UserError, match=r'no scene within 15 days of 2019-08-10: found 2015-08-01.*data\.days'):
        choose(SCENES, GLACIER, np.datetime64('2019-08-10'), 15, 5)
