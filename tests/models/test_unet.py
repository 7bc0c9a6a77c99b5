import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.models.blocks import depth_to_space, downsample, pixel_norm, space_to_depth, upsample
from downscale_jax.models.unet import UNet

CONFIGS = Path(__file__).parents[2] / 'configs'
# Threefry, the default, takes XLA half a minute to compile into the many draws of an initialisation.
KEY = jax.random.key(0, impl='unsafe_rbg')
SMALL = {'widths': (4, 6), 'bottleneck': 8, 'blocks': 1, 'embedding': 4}
PUBLISHED = {'widths': (32, 64, 96, 128), 'bottleneck': 160, 'blocks': 2, 'embedding': 64, 'stem': 1, 'time': 'input'}


def inputs(size=16, channels=2, batch=1):
    rng = np.random.default_rng(0)
    x, condition = (rng.normal(size=(batch, size, size, c)).astype('f4') for c in (1, channels))
    return x, condition, rng.random(batch).astype('f4')


def shapes(network, condition_channels=4):
    """Shapes of the parameters and of the output, nothing computed."""
    size = network.stride
    args = [jax.ShapeDtypeStruct(s, 'float32') for s in ((2, size, size, 1), (2, size, size, condition_channels), (2,))]
    output, params = jax.eval_shape(network.init_with_output, KEY, *args)  # traced once for both
    return params, output


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def random_params(network, *args, seed=0):
    """Parameters without the zeros of the start, drawn on the host: nothing is compiled."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan_in = max(1, np.prod(leaf.shape[:-1]))
        return (rng.normal(size=leaf.shape) / np.sqrt(fan_in)).astype(leaf.dtype)

    return jax.tree.map(draw, jax.eval_shape(network.init, KEY, *args))


class TestBlocks:
    def test_space_to_depth(self):
        x = np.arange(16.0).reshape(1, 4, 4, 1)
        found = space_to_depth(x, 2)
        np.testing.assert_array_equal(found[0, 0, 0], [0, 1, 4, 5])
        np.testing.assert_array_equal(found[0, 1, 0], [8, 9, 12, 13])

    @pytest.mark.parametrize('factor', [1, 2, 4])
    def test_depth_to_space_inverts(self, factor):
        x = np.random.default_rng(0).normal(size=(2, 8, 12, 3)).astype('f4')
        deep = space_to_depth(x, factor)
        assert deep.shape == (2, 8 // factor, 12 // factor, 3 * factor**2)
        np.testing.assert_array_equal(depth_to_space(deep, factor), x)

    def test_pixel_norm(self):
        x = np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype('f4')
        found = np.asarray(pixel_norm(x))
        np.testing.assert_allclose(np.square(found).mean(-1), 1, rtol=1e-4)
        np.testing.assert_allclose(found, pixel_norm(10 * x), rtol=1e-4)
        np.testing.assert_array_equal(pixel_norm(x[:, 1:2, 2:3]), found[:, 1:2, 2:3])  # a pixel knows itself alone
        np.testing.assert_array_equal(pixel_norm(np.zeros((1, 1, 1, 3), 'f4')), np.zeros((1, 1, 1, 3)))
        assert pixel_norm(jnp.ones((1, 1, 1, 3), jnp.bfloat16)).dtype == jnp.bfloat16

    def test_resampling(self):
        ramp = np.tile(np.arange(8.0, dtype='f4'), (8, 1))[None, :, :, None]
        np.testing.assert_allclose(downsample(ramp)[0, 0, :, 0], [0.5, 2.5, 4.5, 6.5])
        # centres stay where they are: up and down again is the same inside
        np.testing.assert_allclose(upsample(downsample(ramp))[0, 1:-1, 1:-1, 0], ramp[0, 1:-1, 1:-1, 0], rtol=1e-6)

    @pytest.mark.parametrize('shape', [(2, 3, 4, 2), (1, 1, 5, 1), (1, 8, 1, 3)])
    def test_upsample_is_bilinear(self, shape):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=shape), rng.normal(size=(shape[0], 2 * shape[1], 2 * shape[2], shape[3]))
        with jax.enable_x64(True):

            def resize(x):
                return jax.image.resize(x, y.shape, 'bilinear')

            np.testing.assert_allclose(upsample(jnp.asarray(x)), resize(jnp.asarray(x)), rtol=1e-12, atol=1e-12)
            (found,), (expected,) = (jax.vjp(f, jnp.asarray(x))[1](jnp.asarray(y)) for f in (upsample, resize))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(np.vdot(upsample(jnp.asarray(x)), y), np.vdot(x, found), rtol=1e-12)

    def test_upsample_keeps_the_type(self):
        x = jnp.ones((1, 2, 2, 1), jnp.bfloat16)
        assert upsample(x).dtype == jnp.bfloat16
        assert jax.grad(lambda x: upsample(x).sum())(x).dtype == jnp.bfloat16
        np.testing.assert_array_equal(jax.vmap(upsample)(x[None])[0], upsample(x))


class TestSizes:
    def test_published_count(self):
        params, _ = shapes(UNet(channels=1, **PUBLISHED))
        assert count(params) == 3_849_665

    @pytest.mark.parametrize('variant', ['', 'smoke', 'paper'])
    def test_config_builds(self, variant):
        config = runpy.run_path(str(CONFIGS / 'diffusion_sit.py'))['get_config'](variant)
        network = UNet(channels=1, **config.model)
        channels = len(config.data.inputs) + 1 + config.diffusion.first_guess
        params, output = shapes(network, channels)
        assert output.shape == (2, network.stride, network.stride, 1)
        assert config.data.patch % network.stride == 0
        assert config.sampling.tile % network.stride == 0
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype('float32')}

    @pytest.mark.parametrize(
        ('options', 'stride'), [({}, 4), ({'stem': 4}, 16), ({'widths': (4,)}, 2), ({'widths': (4, 4, 4)}, 8)]
    )
    def test_stride(self, options, stride):
        network = UNet(channels=3, **{**SMALL, **options})
        assert network.stride == stride
        assert shapes(network)[1].shape == (2, stride, stride, 3)

    def test_noise_level_steers(self):
        # FiLM in every block has parameters, and a regression has no time at all
        network = UNet(channels=1, **SMALL, time='blocks')
        steered = count(shapes(network)[0])
        condition = jax.ShapeDtypeStruct((1, 4, 4, 5), 'float32')
        plain = count(jax.eval_shape(network.init, KEY, None, condition))
        widths = [4, 6, 8, 6, 4]
        assert steered - plain == (4 * 8 + 8) + sum((8 + 1) * 2 * width for width in widths)


class TestValues:
    @pytest.mark.parametrize('options', [{}, {'stem': 2, 'tail': 2}])
    def test_zero_at_the_start(self, options):
        network = UNet(channels=1, widths=(2,), bottleneck=2, blocks=1, embedding=2, **options)
        args = inputs()
        found = jax.jit(lambda key: network.apply(network.init(key, *args), *args))(KEY)
        np.testing.assert_array_equal(found, np.zeros((1, 16, 16, 1)))

    @pytest.mark.parametrize('options', [{}, {'stem': 2, 'tail': 4, 'time': 'blocks'}])
    def test_every_input_matters(self, options):
        network = UNet(channels=1, **SMALL, **options)
        args = inputs(batch=2)
        params = random_params(network, *args)
        apply = jax.jit(network.apply)
        found = apply(params, *args)
        for i, arg in enumerate(args):
            changed = list(args)
            changed[i] = np.concatenate([arg[:1], arg[1:] + 0.1])
            other = apply(params, *changed)
            np.testing.assert_allclose(other[0], found[0], rtol=1e-5, atol=1e-6)  # examples are alone
            assert np.abs(other[1] - found[1]).max() > 1e-3

    def test_shift_by_the_stride(self):
        network = UNet(channels=1, widths=(4,), bottleneck=4, blocks=1, embedding=4, stem=2, tail=4, time='blocks')
        assert network.stride == 4
        x, condition, level = inputs(size=96)
        params = random_params(network, x, condition, level)
        apply = jax.jit(network.apply)
        found = apply(params, x, condition, level)
        shifted = apply(params, *(np.roll(a, (4, 8), (1, 2)) for a in (x, condition)), level)
        inner = np.s_[:, 40:-40, 40:-40]
        np.testing.assert_allclose(shifted[inner], np.roll(found, (4, 8), (1, 2))[inner], rtol=1e-5, atol=1e-6)
        assert np.std(found[inner]) > 1e-2

    def test_bfloat16(self):
        args = inputs()
        plain = UNet(channels=1, widths=(4,), bottleneck=8, blocks=1, embedding=4, stem=2, tail=4, time='blocks')
        half = plain.clone(dtype=jnp.bfloat16)
        params, output = shapes(half, 2)
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype('float32')}
        assert output.dtype == jnp.float32
        params = random_params(plain, *args)
        expected, found = (np.asarray(jax.jit(n.apply)(params, *args)) for n in (plain, half))
        # eight bits of mantissa through a dozen layers
        assert 1e-5 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
