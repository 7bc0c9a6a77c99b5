"""Gaussian data with a variance s a cell: the best denoiser, and where it leads, are known in closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.diffusion.samplers import SAMPLERS, ddim, dpm_solver
from downscale_jax.diffusion.schedule import CosineSchedule

VARIANCES = np.array([0.05, 0.3, 1.0, 4.0])  # one a channel


def normals(*shape):
    return np.random.default_rng(0).normal(size=shape)


def power(gamma):
    """Variance of z."""
    return VARIANCES * jnp.cos(gamma) ** 2 + jnp.sin(gamma) ** 2


def denoise(z, gamma):
    assert gamma.shape == ()
    return (jnp.cos(gamma) * VARIANCES / power(gamma) * z).astype(z.dtype)


def exact(noise, schedule):
    """z at t = 0 on the probability flow that starts from z = noise at t = 1, where z / sqrt(power) stays the same."""
    return noise * jnp.sqrt(power(schedule.gamma(0.0)) / power(schedule.gamma(1.0)))


@pytest.mark.parametrize('rates', [(0.9995, 0.01), (0.95, 0.02)])
@pytest.mark.parametrize(('sampler', 'order'), [(ddim, 1), (dpm_solver, 2)])
def test_order(sampler, order, rates):
    schedule = CosineSchedule(rates)
    with jax.enable_x64(True):
        noise = jnp.asarray(normals(1, 4, 4, 4))
        assert noise.dtype == jnp.float64
        start = schedule.gamma(0.0)
        errors = []
        for intervals in (200, 400, 800):
            x0 = sampler(denoise, noise, schedule, intervals + 1)
            z = x0 * power(start) / (jnp.cos(start) * VARIANCES)  # before the last denoising, which is exact
            errors.append(np.abs(z / exact(noise, schedule) - 1).max((0, 1, 2)))
    ratios = np.divide(errors[:-1], errors[1:])
    np.testing.assert_allclose(ratios, 2**order, rtol=0.1)
    assert (errors[-1] < 0.05).all()


def test_few_steps():
    # ten evaluations: amplitudes that the second order keeps and the first loses
    noise = normals(1, 8, 8, 4).astype('f4')
    kept = {
        name: np.abs(sampler(denoise, noise, CosineSchedule(), 10)).sum((0, 1, 2)) / np.abs(noise).sum((0, 1, 2))
        for name, sampler in SAMPLERS.items()
    }
    np.testing.assert_allclose(kept['dpm_solver'] / VARIANCES**0.5, 1, atol=0.04)
    step = np.diff(CosineSchedule().gamma(np.array([1.0, 0.0])))[0] / 9
    np.testing.assert_allclose(kept['ddim'][2], np.cos(step) ** 9 * np.cos(CosineSchedule().gamma(0.0)), rtol=1e-3)


def test_variance_of_samples():
    # the last denoising keeps s / (s + tan^2) of the variance s
    schedule = CosineSchedule((0.95, 0.02))
    noise = normals(16, 32, 32, 4).astype('f4')
    sample = np.asarray(ddim(denoise, noise, schedule, 400))
    assert sample.dtype == np.float32
    tangent = np.tan(schedule.gamma(0.0)) ** 2
    expected = VARIANCES * VARIANCES / (VARIANCES + tangent)
    np.testing.assert_allclose(sample.var((0, 1, 2)), expected, rtol=0.04)  # of 16384 values, and 400 steps


def test_one_step_is_one_denoising():
    schedule = CosineSchedule()
    noise = normals(2, 3, 3, 4).astype('f4')
    expected = denoise(noise, schedule.gamma(jnp.ones(())))
    np.testing.assert_allclose(ddim(denoise, noise, schedule, 1), expected, rtol=1e-4)


def test_known_answer_is_kept():
    # a network that knows the field leads every noise to it
    field = np.linspace(-2, 2, 9, dtype='f4').reshape(1, 3, 3, 1)
    noise = normals(5, 3, 3, 1).astype('f4')
    found = ddim(lambda z, gamma: jnp.broadcast_to(field, z.shape), noise, CosineSchedule(), 7)
    np.testing.assert_array_equal(found, np.broadcast_to(field, found.shape))


def test_evaluations():
    angles = []

    def count(z, gamma):
        jax.debug.callback(lambda g: angles.append(float(g)), gamma)
        return denoise(z, gamma)

    schedule = CosineSchedule()
    ddim(count, jnp.ones((1, 2, 2, 4)), schedule, 6)
    jax.effects_barrier()
    np.testing.assert_allclose(sorted(angles), schedule.gamma(jnp.linspace(0, 1, 6)), rtol=1e-6)


def test_members_are_alone():
    noise = normals(3, 4, 4, 4).astype('f4')
    whole = ddim(denoise, noise, CosineSchedule(), 5)
    np.testing.assert_allclose(ddim(denoise, noise[1:2], CosineSchedule(), 5), whole[1:2], rtol=1e-6)
