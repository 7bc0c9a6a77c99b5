import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.downscale.tiles import Tiling
from downscale_jax.runtime import parallel

# tiles of 24 cells, 8 shared, on a domain that is no multiple of the stride
TILING = Tiling((50, 71), stride=4, tile=24, overlap=8)


def field(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def mean3(x):
    """3 x 3 mean with zeros beyond the edges, as a convolution pads."""
    return jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'SAME') / 9


def test_origins_and_sizes_by_hand():
    assert TILING.padded == (52, 72)
    assert TILING.sizes == (24, 24)
    # 52 = 24 + 28: two steps of 16 at most, evenly 14, rounded to the stride; 72 = 24 + 3 x 16
    rows, columns = sorted({int(r) for r, _ in TILING.origins}), sorted({int(c) for _, c in TILING.origins})
    assert rows == [0, 16, 28]
    assert columns == [0, 16, 32, 48]


def test_tiles_are_no_larger_than_needed():
    """28 cells in two tiles that share 8 (no 24 each), 60 in four of 21 up to the stride; 23 and 24 in one."""
    assert Tiling((28, 60), stride=4, tile=24, overlap=8).sizes == (20, 24)
    assert Tiling((28, 60), stride=4, tile=24, overlap=7).sizes == (20, 24)
    assert Tiling((23, 24), stride=4, tile=24, overlap=8).sizes == (24, 24)
    side = Tiling((512, 2048), stride=16, tile=480, overlap=80)
    assert (side.counts, side.sizes) == ((2, 5), (304, 480))


@pytest.mark.parametrize('overlap', [0, 3, 4, 6, 8])
@pytest.mark.parametrize('shape', [(24, 25), (33, 47), (100, 61), (129, 128)])
def test_tiles_cover_the_domain_and_overlap_enough(shape, overlap):
    tiling = Tiling(shape, stride=4, tile=24, overlap=overlap)
    for axis in (0, 1):
        starts = np.unique(tiling.origins[:, axis])
        assert starts[0] == 0
        assert starts[-1] + tiling.sizes[axis] == tiling.padded[axis]
        assert (starts % 4 == 0).all()
        assert (np.diff(starts) <= tiling.sizes[axis] - overlap).all()


def test_identity_gives_the_field_back():
    x = field((2, *TILING.padded, 3))
    np.testing.assert_allclose(TILING.apply(lambda x: x, x), x, rtol=1e-6)


def test_a_local_network_gives_what_it_gives_without_tiles():
    x = field((2, *TILING.padded, 1))
    np.testing.assert_allclose(TILING.apply(mean3, x), mean3(x), atol=1e-6)


def test_constant_output_has_no_seam():
    x = field((1, *TILING.padded, 1))
    result = np.asarray(TILING.apply(jnp.ones_like, x))
    np.testing.assert_allclose(result, 1, rtol=1e-6)


def test_outputs_that_differ_from_tile_to_tile_are_blended_without_a_jump():
    # each tile says its own mean: the worst case, steps of size one between tiles without blending
    x = jnp.broadcast_to(jnp.arange(72.0)[None, None, :, None], (1, 52, 72, 1))
    result = np.asarray(TILING.apply(lambda x: jnp.broadcast_to(x.mean(), x.shape), x))[0, :, :, 0]
    assert np.ptp(result, 0).max() < 1e-4
    # 16 from tile to tile, handed over within the overlap of 8
    assert np.abs(np.diff(result[0])).max() < 16 / 3
    assert (np.diff(result[0]) >= -1e-5).all()


def test_several_fields_are_cut_alike():
    x, y = field((1, *TILING.padded, 2)), field((1, *TILING.padded, 1), seed=1)
    np.testing.assert_allclose(TILING.apply(lambda x, y: x[..., :1] * y, x, y), x[..., :1] * y, rtol=1e-5, atol=1e-6)


def test_a_single_tile_is_the_network_itself():
    tiling = Tiling((22, 24), stride=4, tile=24, overlap=8)
    x = field((2, *tiling.padded, 1))
    assert len(tiling.origins) == 1
    np.testing.assert_array_equal(tiling.apply(mean3, x), mean3(x))


@pytest.mark.parametrize('devices', [2, 5, 12, 16])
def test_devices_that_take_a_tile_each_blend_as_one(devices):
    """12 tiles, in rounds that are full or not; what is not finite stays where it is."""
    assert len(TILING.origins) == 12
    x, y = field((2, *TILING.padded, 1)).at[0, 3, 70].set(jnp.nan), field((1, *TILING.padded, 2), seed=1)

    def network(x, y):
        return jnp.concatenate([mean3(x), x * y], -1)

    def of_device(_):
        return TILING.apply(network, x, y, devices=devices)

    found = jax.vmap(of_device, axis_name=parallel.AXIS)(jnp.arange(devices))
    expected = TILING.apply(network, x, y)
    assert 0 < np.isnan(expected).sum() < 100
    np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape))


def test_pad_and_crop():
    x = field((2, 50, 71, 3))
    padded = TILING.pad(x)
    assert padded.shape == (2, 52, 72, 3)
    np.testing.assert_array_equal(padded[:, 50:], 0)
    np.testing.assert_array_equal(padded[:, :, 71:], 0)
    np.testing.assert_array_equal(TILING.crop(padded), x)
    np.testing.assert_array_equal(TILING.pad(jnp.ones((50, 71, 1), bool))[50:], False)


@pytest.mark.parametrize(('tile', 'overlap'), [(24, 9), (22, 4), (24, -1), (4, 0)])
def test_tiles_that_cannot_work(tile, overlap):
    with pytest.raises(ValueError, match=r'sampling\.tile=.*multiple of 4'):
        Tiling((50, 71), 4, tile, overlap)
