import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from downscale_jax.models.blocks import space_to_depth
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork, Upsampling, icnr

KEY = jax.random.key(0, impl='unsafe_rbg')  # compiles faster than the default
PHIRE = {'kernel': 3, 'activation': 'relu', 'padding': 'REFLECT'}
SMALL = {'width': 3, 'blocks': 2, 'kernel': 5}


def count(params):
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def shapes(network, *shape):
    """Shapes of the parameters and of the output, nothing computed."""
    x = jax.ShapeDtypeStruct(shape, 'float32')
    output, params = jax.eval_shape(network.init_with_output, KEY, x)  # traced once for both
    return params['params'], output.shape


def random_params(network, *shape, seed=0):
    """Biases and sub-pixel kernels too are random, unlike at the start."""
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return (rng.normal(size=leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))).astype('f4')

    return {'params': jax.tree.map(draw, shapes(network, *shape)[0])}


def normal(*shape):
    return np.random.default_rng(1).normal(size=shape).astype('f4')


class TestSizes:
    @pytest.mark.parametrize(('options', 'total'), [({}, 1_534_850), (PHIRE, 1_516_418)])
    def test_published_generators(self, options, total):
        params, output = shapes(GeneratorNetwork(channels=2, **options), 1, 24, 24, 2)
        assert output == (1, 96, 96, 2)
        assert count(params) == total
        assert params['upsampling1']['conv']['kernel'].shape == (3, 3, 64, 256)

    def test_published_discriminator(self):
        params, output = shapes(Discriminator(), 7, 96, 96, 2)
        assert output == (7,)
        assert count(params) == 10_611_201
        assert params['dense']['kernel'].shape == (6 * 6 * 256, 1024)

    @pytest.mark.parametrize('network', [GeneratorNetwork(channels=2), Discriminator()])
    def test_a_bias_in_every_layer(self, network):
        paths = set(flax.traverse_util.flatten_dict(shapes(network, 1, 96, 96, 2)[0]))
        assert {path[:-1] for path in paths if path[-1] == 'bias'} == {path[:-1] for path in paths}

    @pytest.mark.parametrize('factors', [(2,), (5,), (2, 5), (2, 2, 2), (3, 1), ()])
    @pytest.mark.parametrize('options', [{}, PHIRE])
    def test_factors(self, factors, options):
        params, output = shapes(GeneratorNetwork(3, factors, **{**SMALL, **options}), 2, 7, 11, 4)
        scale = np.prod(factors, dtype=int)
        assert output == (2, 7 * scale, 11 * scale, 3)
        widths = [params[f'upsampling{i}']['conv']['kernel'].shape for i in range(len(factors))]
        assert widths == [(3, 3, 3, 3 * f**2) for f in factors]

    def test_discriminator_rounds_up(self):
        params, output = shapes(Discriminator((4, 6), 5), 3, 9, 6, 1)
        assert output == (3,)
        assert params['dense']['kernel'].shape == (3 * 2 * 6, 5)


class TestStart:
    @pytest.mark.parametrize('factor', [2, 3, 5])
    @pytest.mark.parametrize('padding', ['SAME', 'REFLECT'])
    def test_upsampling_repeats_cells(self, factor, padding):
        x = normal(2, 5, 4, 3)
        stage = Upsampling(factor, 'leaky_relu', padding, 'zero', jnp.float32)
        found, params = jax.device_get(jax.jit(stage.init_with_output)(KEY, x))
        assert found.shape == (2, 5 * factor, 4 * factor, 3)
        # constant on blocks, up to the edge; what is constant is a convolution of the coarse map
        layer = params['params']['conv']
        one = {'kernel': layer['kernel'][..., :3], 'bias': layer['bias'][:3]}
        edge = {'SAME': 'constant', 'REFLECT': 'mirror'}[padding]
        coarse = np.stack([leaky_relu(convolve(m, one, edge)) for m in x])
        np.testing.assert_allclose(found, coarse.repeat(factor, 1).repeat(factor, 2), rtol=1e-5, atol=1e-6)
        blocks = np.asarray(space_to_depth(found, factor)).reshape(2, 5, 4, factor**2, 3)
        np.testing.assert_allclose(blocks, np.broadcast_to(blocks[..., :1, :], blocks.shape), rtol=1e-6, atol=1e-7)
        assert coarse.std() > 0.1

    @pytest.mark.parametrize('biases', ['zero', 'xavier'])
    def test_start_of_biases(self, biases):
        network = GeneratorNetwork(2, (2,), width=64, blocks=1, biases=biases, **PHIRE)
        params = jax.jit(network.init)(KEY, normal(1, 4, 4, 2))['params']
        layers = [params['in_conv'], params['block0']['conv1'], params['upsampling0']['conv']]
        for layer in layers:
            bias, limit = np.asarray(layer['bias']), np.sqrt(3 / len(layer['bias'])) * (biases == 'xavier')
            assert np.abs(bias).max() <= limit
            np.testing.assert_allclose(np.std(bias), limit / np.sqrt(3), rtol=0.3)

    def test_icnr_has_the_spread_of_the_small_kernel(self):
        kernel = icnr(5)(KEY, (3, 3, 64, 25 * 64))
        np.testing.assert_array_equal(kernel.reshape(3, 3, 64, 25, 64), kernel[:, :, :, None, :64].repeat(25, 3))
        np.testing.assert_allclose(kernel.std(), np.sqrt(2 / (9 * 64 + 9 * 64)), rtol=0.02)

    def test_every_parameter_learns(self):
        x, fine = normal(2, 5, 6, 2), normal(2, 10, 12, 2)
        generator, discriminator = GeneratorNetwork(2, (2,), **SMALL), Discriminator((3, 4), 5)

        @jax.jit
        def gradients(key):
            g, d = generator.init(key, x), discriminator.init(key, fine)

            def losses(g, d):
                generated = generator.apply(g, x)
                return jnp.square(generated - fine).mean() + jax.nn.softplus(-discriminator.apply(d, generated)).mean()

            return jax.grad(losses, (0, 1))(g, d)

        for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(KEY)):
            assert np.isfinite(leaf).all(), path
            assert np.abs(leaf).max() > 0, path


def leaky_relu(x):
    return np.where(x > 0, x, 0.2 * x)


def convolve(x, layer, edge):
    """[H, W, Cx] -> [H, W, C]."""
    kernel, bias = (np.asarray(layer[name], 'f8') for name in ('kernel', 'bias'))
    maps = [
        sum(correlate(x[..., i].astype('f8'), kernel[:, :, i, o], mode=edge) for i in range(x.shape[-1]))
        for o in range(len(bias))
    ]
    return np.stack(maps, -1) + bias


def generate(params, x, factors, blocks, activation, edge):
    """The generator once more, on one example, by scipy."""
    x = skip = activation(convolve(x, params['in_conv'], edge))
    for i in range(blocks):
        block = params[f'block{i}']
        x = x + convolve(activation(convolve(x, block['conv0'], edge)), block['conv1'], edge)
    x = convolve(x, params['skip_conv'], edge) + skip
    for i, f in enumerate(factors):
        deep = activation(convolve(x, params[f'upsampling{i}']['conv'], edge))
        h, w, c = x.shape
        x = np.empty((f * h, f * w, c))
        for row in range(f):
            for column in range(f):
                start = (row * f + column) * c
                x[row::f, column::f] = deep[..., start : start + c]
    return convolve(x, params['out_conv'], edge)


class TestValues:
    @pytest.mark.parametrize('factors', [(2,), (2, 3)])
    @pytest.mark.parametrize(
        ('options', 'activation', 'edge'),
        [({}, leaky_relu, 'constant'), (PHIRE, lambda x: np.maximum(x, 0), 'mirror')],
    )
    def test_generator_against_scipy(self, factors, options, activation, edge):
        network = GeneratorNetwork(2, factors, **{**SMALL, **options})
        x = normal(2, 5, 7, 2)
        params = random_params(network, *x.shape)
        found = jax.jit(network.apply)(params, x)
        expected = np.stack([generate(params['params'], m, factors, 2, activation, edge) for m in x])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 0.1

    def test_discriminator_against_scipy(self):
        network = Discriminator((3, 4), 5)
        x = normal(2, 8, 7, 2)
        params = random_params(network, *x.shape)
        expected = []
        for m in x:
            for i, p in enumerate(f'conv{i}' for i in range(4)):
                m = leaky_relu(convolve(m, params['params'][p], 'constant'))
                if i % 2:  # the first cell of an odd side is a centre, that of an even side is not
                    m = m[1 - m.shape[0] % 2 :: 2, 1 - m.shape[1] % 2 :: 2]
            dense, logit = (params['params'][name] for name in ('dense', 'logit'))
            m = leaky_relu(m.ravel() @ dense['kernel'] + dense['bias'])
            expected.append((m @ logit['kernel'] + logit['bias'])[0])
        np.testing.assert_allclose(jax.jit(network.apply)(params, x), expected, rtol=1e-4)

    def test_reach(self):
        # coarse cells: 1 (first) + 2 x 1 (block) + 1 (skip) + 1 (upsampling); fine cells: 1 (last)
        network = GeneratorNetwork(1, (3,), width=3, blocks=1, kernel=3)
        x = np.zeros((2, 24, 25, 1), 'f4')
        params = random_params(network, *x.shape)
        apply = jax.jit(network.apply)
        changed = x.copy()
        changed[0, 12, 11] = 5
        rows, columns = np.nonzero(np.abs(apply(params, changed) - apply(params, x))[0, ..., 0])
        assert (rows.min(), rows.max()) == (3 * (12 - 5) - 1, 3 * (12 + 5) + 2 + 1)
        assert (columns.min(), columns.max()) == (3 * (11 - 5) - 1, 3 * (11 + 5) + 2 + 1)
        np.testing.assert_array_equal(apply(params, changed)[1], apply(params, x)[1])  # examples are alone

    @pytest.mark.parametrize('padding', ['SAME', 'REFLECT'])
    def test_a_full_field_is_as_its_patches(self, padding):
        network = GeneratorNetwork(2, (2, 2), width=3, blocks=1, kernel=3, padding=padding)
        field = normal(1, 37, 29, 2)
        patch = field[:, 9:33, 4:28]
        params = random_params(network, *patch.shape)
        apply = jax.jit(network.apply)
        whole, found = apply(params, field), apply(params, patch)
        assert whole.shape == (1, 148, 116, 2)
        # the reach is 5 coarse cells, one of half their size and a fine one: 20 + 2 + 1 fine cells
        inner = found[:, 23:-23, 23:-23]
        np.testing.assert_allclose(inner, whole[:, 36 + 23 : 132 - 23, 16 + 23 : 112 - 23], rtol=1e-5, atol=1e-6)
        assert np.abs(found - whole[:, 36:132, 16:112]).max() > 1e-2
        assert inner.std() > 1e-2

    @pytest.mark.parametrize('options', [{}, PHIRE])
    def test_tiny_maps(self, options):
        network = GeneratorNetwork(1, (2,), **{**SMALL, **options})
        x = normal(1, 1, 3, 1)
        found = jax.jit(network.apply)(random_params(network, *x.shape), x)
        assert found.shape == (1, 2, 6, 1)
        assert np.isfinite(found).all()

    @pytest.mark.parametrize('network', [GeneratorNetwork(2, (2,), **SMALL), Discriminator((3, 4), 5)])
    def test_bfloat16(self, network):
        x = normal(2, 8, 8, 2)
        params = random_params(network, *x.shape)
        half = network.clone(dtype=jnp.bfloat16)
        start = jax.eval_shape(half.init, KEY, x)
        assert {leaf.dtype for leaf in jax.tree.leaves(start)} == {jnp.dtype('float32')}
        expected, found = (np.asarray(jax.jit(n.apply)(params, x)) for n in (network, half))
        assert found.dtype == np.float32
        assert 1e-5 < np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
