from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from scipy.special import softmax

from downscale_jax.models.dpdm import Attention, Block, DpdmUNet, step_embedding, upsample

KEY = jax.random.key(0, impl='unsafe_rbg')  # compiles faster than the default
SMALL = {'inner': 4, 'multipliers': (1, 2), 'attention': (1,), 'groups': 2}


def inputs(height=8, width=8, channels=2, batch=1):
    rng = np.random.default_rng(0)
    x, condition = (rng.normal(size=(batch, height, width, c)).astype('f4') for c in (1, channels))
    return x, condition, rng.random(batch).astype('f4')


def shapes(network, x=1, condition=3, size=(128, 128)):
    """Shapes of the parameters and of the output, nothing computed."""
    args = [jax.ShapeDtypeStruct((2, *size, c), 'float32') for c in (x or 1, condition)]
    args = (*args, jax.ShapeDtypeStruct((2,), 'float32')) if x else (None, args[1])
    output, params = jax.eval_shape(network.init_with_output, KEY, *args)  # traced once for both
    return params['params'], output.shape


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def random_params(network, *args, seed=0):
    """Biases too are random, unlike at the start."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return (rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))).astype(leaf.dtype)

    return jax.tree.map(draw, jax.eval_shape(network.init, KEY, *args))


class TestSizes:
    def test_published_count(self):
        params, output = shapes(DpdmUNet(channels=1))
        assert output == (2, 128, 128, 1)
        assert count(params) == 11_105_409

    @pytest.mark.parametrize('attention', [(), (3,), (1, 2), (1, 2, 3)])
    def test_the_count_tells_where_attention_is(self, attention):
        assert count(shapes(DpdmUNet(channels=1, attention=attention))[0]) != 11_105_409

    def test_attention_by_level(self):
        params, _ = shapes(DpdmUNet(channels=1))
        seeing = {name for name, block in params.items() if 'attention' in block}
        levels = {f'{way}{level}_block0' for way in ('down', 'up') for level in (2, 3)}
        assert seeing == levels | {'up2_block1', 'up3_block1', 'middle_block0'}
        assert set(params['down3_block0']['attention']['qkv']) == {'kernel'}
        assert set(params['down3_block0']['attention']['out']) == {'kernel', 'bias'}

    def test_only_the_ends_know_of_the_channels(self):
        one, many = shapes(DpdmUNet(channels=1))[0], shapes(DpdmUNet(channels=3), 3, 5)[0]
        assert count(many) - count(one) == 9 * 64 * 4 + (9 * 64 + 1) * 2

    @pytest.mark.parametrize(('multipliers', 'stride'), [((1,), 1), ((1, 1), 2), ((1, 1, 2, 4), 8)])
    def test_any_size_that_the_stride_divides(self, multipliers, stride):
        network = DpdmUNet(channels=2, inner=32, multipliers=multipliers)
        assert network.stride == stride
        params = shapes(network, 2)[0]
        for size in ((stride, stride), (stride, 3 * stride), (5 * stride, 2 * stride)):
            found, output = shapes(network, 2, size=size)
            assert output == (2, *size, 2)
            assert found == params

    def test_a_regression_knows_no_noise(self):
        network = DpdmUNet(channels=2)
        params, output = shapes(network, None)
        assert output == (2, 128, 128, 2)
        widths = [64, 64, 128, 256, 256, 256, 256, 256, 128, 128, 64, 64, 64, 64]  # of the blocks
        steering = (64 + 1) * 256 + (256 + 1) * 64 + sum((64 + 1) * width for width in widths)
        assert count(shapes(network)[0]) - count(params) == steering + 9 * 64


class TestParts:
    def test_upsample_is_bicubic_with_clamped_edges(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 5, 2))

        def matrix(cells):
            """Keys' kernel, a = -0.75, at the centres of cells half as large."""
            places, a = (np.arange(2 * cells) + 0.5) / 2 - 0.5, -0.75
            weights = np.zeros((2 * cells, cells))
            for row, place in enumerate(places):
                for cell in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
                    d = abs(place - cell)
                    near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
                    weights[row, np.clip(cell, 0, cells - 1)] += near if d <= 1 else far
            return weights

        expected = np.einsum('yh,xw,bhwc->byxc', matrix(3), matrix(5), x)
        with jax.enable_x64(True):
            np.testing.assert_allclose(upsample(jnp.asarray(x)), expected, rtol=1e-12, atol=1e-12)
        assert upsample(jnp.ones((1, 1, 2, 1), jnp.bfloat16)).dtype == jnp.bfloat16

    def test_step_embedding(self):
        found = step_embedding(jnp.array([0.0, 999.0]), 64)
        waves = 999 / 10_000 ** (np.arange(32) / 32)
        np.testing.assert_array_equal(found[0], np.repeat([0.0, 1.0], 32))
        np.testing.assert_allclose(found[1], np.concatenate([np.sin(waves), np.cos(waves)]), atol=1e-4)

    def test_dropout_drops_whole_channels(self):
        block = Block(8, groups=2, dropout=0.5, attention=False, dtype=jnp.float32)
        x = np.random.default_rng(1).normal(size=(3, 4, 4, 8)).astype('f4')
        params = random_params(block, x)
        dropouts = {'capture_intermediates': lambda m, _: isinstance(m, nn.Dropout)}
        _, kept = jax.jit(partial(block.apply, train=True, rngs={'dropout': KEY}, **dropouts))(params, x)
        (dropped,) = jax.tree.leaves(kept)
        zero = (np.asarray(dropped) == 0).reshape(3, 16, 8)
        np.testing.assert_array_equal(zero.all(1), zero.any(1))
        assert 0 < zero.mean() < 1

    def test_attention_is_a_softmax(self):
        x = np.random.default_rng(1).normal(size=(2, 3, 5, 8)).astype('f4')
        network = Attention(groups=4, dtype=jnp.float32)
        params = random_params(network, x)
        found = jax.jit(network.apply)(params, x)
        p = jax.tree.map(np.float64, params['params'])
        grouped = x.reshape(2, 15, 4, 2).astype('f8')
        centred = grouped - grouped.mean((1, 3), keepdims=True)
        normed = (centred / np.sqrt((centred**2).mean((1, 3), keepdims=True) + 1e-5)).reshape(2, 15, 8)
        normed = normed * p['norm']['scale'] + p['norm']['bias']
        q, k, v = np.split(normed @ p['qkv']['kernel'][0, 0], 3, -1)
        seen = softmax(q @ k.swapaxes(1, 2) / np.sqrt(8), -1) @ v
        expected = x + (seen @ p['out']['kernel'][0, 0] + p['out']['bias']).reshape(x.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def test_dropout_stands_before_the_second_convolution(self):
        x = np.random.default_rng(1).normal(size=(1, 4, 4, 4)).astype('f4')
        block = Block(4, groups=2, dropout=1.0, attention=False, dtype=jnp.float32)  # nothing is left
        params = random_params(block, x)
        found = jax.jit(partial(block.apply, train=True, rngs={'dropout': KEY}))(params, x)
        np.testing.assert_allclose(found, x + params['params']['conv1']['bias'], rtol=1e-6)

    def test_kaiming_start(self):
        network = DpdmUNet(channels=1, attention=(0,), multipliers=(1,))
        params = jax.jit(network.init)(KEY, *inputs(2, 2, 3))['params']
        block = params['down0_block0']
        kernels = {
            'stem': (params['stem'], 9 * 4),
            'conv': (block['conv1'], 9 * 64),
            'qkv': (block['attention']['qkv'], 64),
            'noise': (block['noise'], 64),
            'out': (params['out_conv'], 9 * 64),
        }
        for layer, fan_in in kernels.values():
            np.testing.assert_allclose(np.var(layer['kernel']), 2 / fan_in, rtol=0.25)
            assert not np.any(layer.get('bias', 0))


class TestValues:
    def test_every_input_matters_and_examples_are_alone(self):
        network = DpdmUNet(channels=1, **SMALL)
        args = inputs(batch=2)
        params = random_params(network, *args)
        apply = jax.jit(network.apply)
        found = apply(params, *args)
        for i, arg in enumerate(args):
            changed = list(args)
            changed[i] = np.concatenate([arg[:1], 0.5 * arg[1:] + 0.1])
            other = apply(params, *changed)
            np.testing.assert_allclose(other[0], found[0], rtol=1e-5, atol=1e-6)
            assert np.abs(other[1] - found[1]).max() > 1e-3

    def test_dropout_only_in_training(self):
        network = DpdmUNet(channels=1, **SMALL)
        args = inputs(batch=2)
        params = random_params(network, *args)
        found = jax.jit(network.apply)(params, *args)
        np.testing.assert_array_equal(jax.jit(network.apply)(params, *args, rngs={'dropout': KEY}), found)
        train = jax.jit(lambda key: network.apply(params, *args, True, rngs={'dropout': key}))
        one, other = (np.asarray(train(jax.random.key(i))) for i in (1, 2))
        assert np.abs(one - found).max() > 1e-3
        assert np.abs(one - other).max() > 1e-3
        np.testing.assert_array_equal(train(jax.random.key(1)), one)
        with pytest.raises(Exception, match='dropout'):
            jax.eval_shape(partial(network.apply, train=True), params, *args)
        without = network.clone(dropout=0.0)
        apply = jax.jit(partial(without.apply, train=True))
        np.testing.assert_array_equal(apply(params, *args), found)

    def test_a_key_for_each_row(self):
        # what makes training the same on any number of devices: rows mapped, each with its own key
        network = DpdmUNet(channels=1, **SMALL)
        args = inputs(batch=2)
        params = random_params(network, *args)
        keys = jax.random.split(jax.random.key(0), 2)

        @jax.jit
        def alone(x, condition, noise, key):
            rows = (row[None] for row in (x, condition, noise))
            return network.apply(params, *rows, True, rngs={'dropout': key})[0]

        found = jax.jit(jax.vmap(alone))(*args, keys)
        for i in range(2):
            np.testing.assert_allclose(found[i], alone(*(a[i] for a in args), keys[i]), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize('regression', [False, True])
    def test_finite_gradients_reach_all_parameters(self, regression):
        network = DpdmUNet(channels=1, **SMALL)
        x, condition, noise = inputs(batch=2)
        args = (None, condition, None) if regression else (x, condition, noise)
        params = random_params(network, *args)

        @jax.jit
        @jax.grad
        def gradient(params):
            return jnp.square(network.apply(params, *args, True, rngs={'dropout': KEY})).mean()

        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params)):
            assert np.isfinite(leaf).all(), path
            assert np.any(leaf), path

    def test_bfloat16(self):
        args = inputs(batch=2)
        plain = DpdmUNet(channels=1, **SMALL)
        half = plain.clone(dtype=jnp.bfloat16)
        assert {leaf.dtype for leaf in jax.tree.leaves(shapes(half)[0])} == {jnp.dtype('float32')}
        params = random_params(plain, *args)
        expected, found = (jax.jit(network.apply)(params, *args) for network in (plain, half))
        assert found.dtype == jnp.float32
        # eight bits of mantissa through two dozen layers
        assert 1e-4 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
