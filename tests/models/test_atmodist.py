import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.models.atmodist import Decoder, Encoder, Inpainter, Siamese, Tail, magnify_centre, part

KEY = jax.random.key(0)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(tree):
    return jax.tree.map(lambda leaf: leaf.shape, tree)


def published(classes):
    patch = jax.ShapeDtypeStruct((1, 160, 160, 2), 'float32')
    return jax.eval_shape(Siamese(Encoder(), Tail(classes)).init, KEY, patch, patch)


def stages(encoder, *shape):
    maps, variables = jax.eval_shape(encoder.init_with_output, KEY, jax.ShapeDtypeStruct(shape, 'float32'))
    return variables, [m.shape[1:] for m in maps]


def test_published_encoder():
    encoder = part(published(23), 'encoder')
    assert count(encoder['params']) == 2_271_920
    assert count(encoder['batch_stats']) == 5_792
    assert count(encoder) == 2_277_712


@pytest.mark.parametrize(('classes', 'total'), [(23, 2_747_856), (15, 2_738_640), (31, 2_757_072)])
def test_published_totals(classes, total):
    variables = published(classes)
    assert count(variables) == total
    assert count(part(variables, 'tail')['batch_stats']) == 512
    assert count(part(published(23), 'tail')) == 470_144


def test_published_layers():
    params = published(23)['params']
    encoder, tail = params['encoder'], params['tail']
    assert encoder['stem_conv']['kernel'].shape == (8, 8, 2, 16)
    assert [name for name in encoder if 'projection' in encoder[name]] == [f'stage{s}_block0' for s in (2, 3, 4)]
    # a bias in the stem and in the tail's convolutions; none in blocks, projections and the classes
    paths = [path for path in flax.traverse_util.flatten_dict(params) if path[-1] == 'bias' and 'norm' not in path[-2]]
    assert sorted(paths) == [
        ('encoder', 'stem_conv', 'bias'),
        ('tail', 'conv0', 'bias'),
        ('tail', 'conv1', 'bias'),
    ]
    assert tail['classes']['kernel'].shape == (1152, 23)


@pytest.mark.parametrize(
    ('side', 'expected'),
    [(160, [40, 20, 10, 5]), (32, [8, 4, 2, 1]), (96, [24, 12, 6, 3]), (100, [25, 13, 7, 4])],
)
def test_stages(side, expected):
    _, found = stages(Encoder(), 1, side, side, 3)
    assert found == [(n, n, width) for n, width in zip(expected, (16, 32, 64, 128), strict=True)]


def test_smaller_encoder():
    encoder = Encoder(widths=(4, 6), blocks=2, stem=4, pool=False)
    variables, found = stages(encoder, 1, 32, 40, 1)
    assert found == [(16, 20, 4), (8, 10, 6)]
    assert variables['params']['stem_conv']['kernel'].shape == (4, 4, 1, 4)
    assert sum('block' in name for name in variables['params']) == 4


@pytest.mark.parametrize(('side', 'flat'), [(32, 128), (64, 128), (160, 1152), (100, 512)])
def test_the_tail_follows_the_patch(side, flat):
    patch = jax.ShapeDtypeStruct((2, side, side, 2), 'float32')
    network = Siamese(Encoder(blocks=1), Tail(5))
    variables, logits = jax.eval_shape(lambda x: (v := network.init(KEY, x, x), network.apply(v, x, x)), patch)
    assert variables['params']['tail']['classes']['kernel'].shape == (flat, 5)
    assert logits.shape == (2, 5)


def test_bfloat16_keeps_parameters_and_statistics():
    network = Siamese(Encoder((4, 8), 1, dtype=jnp.bfloat16), Tail(3, 4, dtype=jnp.bfloat16))
    patch = np.random.default_rng(0).normal(size=(2, 32, 32, 2)).astype('f4')
    variables = jax.jit(network.init)(jax.random.key(0, impl='unsafe_rbg'), patch, patch)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
    maps = jax.eval_shape(network.encoder.apply, part(variables, 'encoder'), patch)
    assert {m.dtype for m in maps} == {jnp.dtype('bfloat16')}
    plain = Siamese(Encoder((4, 8), 1), Tail(3, 4))
    expected, found = (np.asarray(jax.jit(n.apply)(variables, patch, patch)) for n in (plain, network))
    assert found.dtype == np.float32
    assert 1e-6 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


def test_kernels_start_he_normal():
    params = jax.jit(Encoder(blocks=1).init)(jax.random.key(0, impl='unsafe_rbg'), jnp.zeros((1, 32, 32, 2)))['params']
    kernel = params['stage4_block0']['conv1']['kernel']
    assert kernel.shape == (3, 3, 128, 128)
    np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 128)), rtol=0.02)


@pytest.mark.parametrize('side', [32, 36, 100, 160])
def test_the_decoder_gives_the_centre(side):
    network = Inpainter(Encoder(blocks=1), Decoder(channels=2))
    patch = jax.ShapeDtypeStruct((1, side, side, 2), 'float32')
    size = (side // 4, side // 4)
    found = jax.eval_shape(lambda x: network.apply(network.init(KEY, x, size), x, size), patch)
    assert found.shape == (1, *size, 2)


def test_magnified_centre():
    # a ramp of 16 cells, 0.5 .. 15.5: the middle quarter runs from 6 to 10; two and eight cells there
    ramp = jnp.broadcast_to((jnp.arange(16) + 0.5)[:, None], (16, 16))[None, :, :, None]
    np.testing.assert_allclose(magnify_centre(ramp, [2, 2])[0, :, 0, 0], [7, 9], rtol=1e-5)
    np.testing.assert_allclose(magnify_centre(ramp, [8, 4])[0, :, 0, 0], 6.25 + 0.5 * np.arange(8), rtol=1e-5)
    np.testing.assert_allclose(magnify_centre(ramp.swapaxes(1, 2), [2, 8])[0, 0, :, 0], 6.25 + 0.5 * np.arange(8))
