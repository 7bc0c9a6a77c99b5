"""Networks against PyTorch and samplers against diffusers, by arrays stored by experiments/parity/make_fixtures.py."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.diffusion import samplers
from experiments.parity.networks import CASES, drawn
from experiments.parity.samplers import SAMPLERS, STEPS, gain, normals

FOLDER = Path(__file__).parent


@pytest.fixture(scope='module')
def stored():
    """{file: {case: what PyTorch or diffusers computed}}."""
    return {name: dict(np.load(FOLDER / f'{name}.npz')) for name in ('networks', 'samplers')}


@pytest.mark.parametrize('name', CASES)
def test_network(stored, name):
    variables, inputs = drawn(name)
    found = np.asarray(jax.jit(CASES[name].network.apply)(variables, *inputs))
    expected = stored['networks'][name]
    assert np.ptp(expected) > 0.05
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def sampled(name, angles):
    noise = jnp.asarray(normals())

    def denoise(z, gamma):
        # the gain at the angle that is visited
        gains = jnp.asarray(np.stack([gain(angle) for angle in angles]))
        return gains[jnp.argmin(jnp.abs(jnp.asarray(angles) - gamma))] * z

    return np.asarray(samplers.SAMPLERS[name](denoise, lambda i: noise[i], jnp.asarray(angles)))


@pytest.mark.parametrize('name', SAMPLERS)
def test_sampler(stored, name):
    angles, expected = stored['samplers']['angles'], stored['samplers'][name]
    assert angles.shape == (STEPS,)
    exact = 2e-6 if name.startswith('dpm') else 1e-9  # diffusers' DPM-Solver++ works in float32
    with jax.enable_x64(True):
        np.testing.assert_allclose(sampled(name, angles), expected, rtol=exact)
    np.testing.assert_allclose(sampled(name, angles), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.filterwarnings('ignore:__array__:DeprecationWarning')
def test_the_stored_arrays_are_those_of_pytorch(stored):
    pytest.importorskip('torch')
    pytest.importorskip('diffusers')
    from experiments.parity import make_fixtures

    made = make_fixtures.networks()
    for name, expected in stored['networks'].items():
        np.testing.assert_allclose(make_fixtures.output(name, made[name]), expected, rtol=1e-4, atol=1e-5)
    for name, expected in make_fixtures.samples().items():
        np.testing.assert_allclose(stored['samplers'][name], expected, rtol=1e-9)
