"""One reader for the transforms of all kinds of prepared data, also those of earlier versions."""

import json

import pytest

from downscale_jax.fields.transforms.block_means import BlockMeans, condition_layout
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.fields.transforms.kinds import TRANSFORMS, read_transform
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError

FREE = (-float('inf'), float('inf'))
VALUES = Standardisation(('a', 'b'), ('K', 'm'), (0.0, 1.0), (2.0, 3.0), (0.0, 0.0), (1.0, 1.0), (0.2, 0.0))
EXAMPLES = {
    'images': ImageTransform(VALUES, VALUES, ('sphere', 'rosette')),
    'lag_pairs': VALUES,
    'scenes': SceneTransform(VALUES, ((1.0, 0.5), (0.0, 2.0))),
    'refinement': RefinementTransform(
        'sit', 'm', ('sic', 'sit'), ('1', 'm'), True, ((0.0, 9.0),), (0.5, 1.0), (1.0, 2.0), 0.0, 0.3
    ),
    'block_means': BlockMeans(
        VALUES, 4, 'physical', True, (FREE, (0.0, 1.0)), (0.4, 0.6), ('cubic', 'linear'), ('season', 'land'),
        (0.0, 0.0, 0.3), (1.0, 1.0, 0.5), ('offset_a', 'offset_b', 'scale_a', 'scale_b'),
    ),
    'pairs': PairTransform(VALUES, VALUES, (1, None), (FREE, (0.0, 1.0)), ('land',), (0.3,), (0.5,)),
}  # fmt: skip


@pytest.mark.parametrize('kind', TRANSFORMS)
def test_there_and_back(kind):
    stored = json.loads(json.dumps(EXAMPLES[kind].to_json()))
    assert read_transform(kind, stored) == EXAMPLES[kind]


def test_a_single_pair_of_bounds_of_version_0_1():
    for bounds in ([0.0, 9.0], [[0.0, 9.0]]):
        stored = {**EXAMPLES['block_means'].to_json(), 'bounds': bounds}
        assert read_transform('block_means', stored).bounds == ((0.0, 9.0), (0.0, 9.0))
    stored = {**EXAMPLES['refinement'].to_json(), 'bounds': [0.0, 9.0]}
    assert read_transform('refinement', stored) == EXAMPLES['refinement']


def test_unknown_kind():
    with pytest.raises(UserError, match=r"of kind 'block_mean'.*'block_means'"):
        read_transform('block_mean', {})


def test_layouts_by_hand():
    lifted = EXAMPLES['block_means'].lifted
    assert lifted.repeated == slice(0, 2)
    assert lifted.interpolated == slice(2, 4)
    assert lifted.context == slice(4, 7)  # the season has two planes
    assert (lifted.offset, lifted.scale) == (slice(7, 9), slice(9, 11))
    assert (lifted.block_offset, lifted.block_scale) == (slice(11, 13), slice(13, 15))
    assert lifted.channels == 15
    shown = condition_layout(2, ('season', 'land'))
    assert shown == (slice(0, 2), slice(2, 4), slice(4, 7), slice(7, 8))
    assert shown.channels == 8
