"""Discrete noise levels, and samplers at these angles on Gaussian data, whose denoiser is known in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.diffusion.discrete import DiscreteSchedule
from downscale_jax.diffusion.samplers import SAMPLERS, Solver

BETAS = ('cosine', 'linear')
VARIANCES = np.array([0.01, 0.1, 0.3, 1.0, 4.0])


def half_log_snr(gamma):
    return -np.log(np.tan(gamma))


@partial(jax.jit, static_argnums=0)
def samples(sampler, gammas):
    """Of independent Gaussian modes over VARIANCES, from a unit noise for each."""

    def denoise(z, gamma):
        return jnp.cos(gamma) * VARIANCES / (VARIANCES * jnp.cos(gamma) ** 2 + jnp.sin(gamma) ** 2) * z

    return SAMPLERS[sampler](denoise, lambda _: jnp.ones(len(VARIANCES)), gammas)


def spread(solver, schedule):
    """Variance of samples over VARIANCES, exact: a sample is linear in its noise."""
    with jax.enable_x64(True):
        return np.asarray(samples(solver.sampler, solver.gammas(schedule))) ** 2 / VARIANCES


class TestTables:
    @pytest.mark.parametrize('k', [1, 2, 250, 500, 999])
    def test_cosine_in_closed_form(self, k):
        # no beta is clipped but the last: the product telescopes
        angle = (np.array([k, 0]) / 1000 + 0.008) / 1.008 * np.pi / 2
        expected = np.divide(*np.cos(angle)) ** 2
        np.testing.assert_allclose(DiscreteSchedule().alpha_bars[k - 1], expected, rtol=1e-9)

    def test_the_last_cosine_beta_is_clipped(self):
        found = DiscreteSchedule().alpha_bars
        np.testing.assert_allclose(found[-1] / found[-2], 1e-3, rtol=1e-12)
        np.testing.assert_allclose(np.sqrt(found[-1]), 4.93e-5, rtol=1e-3)

    def test_linear_in_closed_form(self):
        found = DiscreteSchedule(betas='linear').alpha_bars
        step = (0.02 - 1e-4) / 999
        np.testing.assert_allclose(found[:2], [0.9999, 0.9999 * (0.9999 - step)], rtol=1e-12)
        # sum of -ln(1 - beta) = sum of beta + beta^2/2 + beta^3/3 + ...
        beta = 1e-4 + step * np.arange(1000)
        powers = sum((beta**n).sum() / n for n in range(1, 9))
        np.testing.assert_allclose(found[-1], np.exp(-powers), rtol=1e-9)
        np.testing.assert_allclose(found[-1], 4.036e-5, rtol=1e-3)

    @pytest.mark.parametrize('betas', BETAS)
    @pytest.mark.parametrize('steps', [50, 1000, 4000])
    def test_angles_grow(self, betas, steps):
        schedule = DiscreteSchedule(steps, betas)
        assert schedule.angles.shape == (steps,)
        assert schedule.angles.dtype == np.float64
        assert (np.diff(schedule.angles.astype('f4')) > 0).all()
        assert 0 < schedule.angles[0] <= schedule.angles[-1] < np.pi / 2
        np.testing.assert_allclose(np.cos(schedule.angles) ** 2, schedule.alpha_bars, rtol=1e-9)

    def test_fewer_linear_steps_add_as_much_noise(self):
        few, many = (DiscreteSchedule(steps, 'linear').angles[-1] for steps in (100, 1000))
        np.testing.assert_allclose(few, many, atol=3e-3)
        assert few > DiscreteSchedule(1000, 'linear').angles[900]


@pytest.mark.parametrize('betas', BETAS)
class TestTimes:
    def test_ends(self, betas):
        schedule = DiscreteSchedule(betas=betas)
        found = schedule.gamma(np.array([0.0, 1.0], 'f4'))
        np.testing.assert_array_equal(found, schedule.angles[[0, -1]].astype('f4'))

    @pytest.mark.parametrize('steps', [50, 77, 1000])
    def test_every_angle_has_an_equal_share_of_times(self, betas, steps):
        schedule = DiscreteSchedule(steps, betas)
        t = (np.arange(8 * steps, dtype='f4') + 0.5) / (8 * steps)
        found, counts = np.unique(jax.jit(schedule.gamma)(t), return_counts=True)
        np.testing.assert_array_equal(found, schedule.angles.astype('f4'))
        np.testing.assert_array_equal(counts, np.full(steps, 8))

    def test_any_shape_and_type(self, betas):
        schedule = DiscreteSchedule(betas=betas)
        assert schedule.gamma(jnp.zeros(())).shape == ()
        assert schedule.gamma(jnp.zeros((2, 3), 'f4')).shape == (2, 3)
        with jax.enable_x64(True):
            assert schedule.gamma(jnp.zeros(2, 'f4')).dtype == jnp.float32
            np.testing.assert_array_equal(schedule.gamma(jnp.ones(1)), schedule.angles[-1:])


@pytest.mark.parametrize('betas', BETAS)
def test_steps_that_a_network_is_shown(betas):
    schedule = DiscreteSchedule(betas=betas, shown='step')
    np.testing.assert_array_equal(schedule.level(schedule.angles.astype('f4')), np.arange(1000))
    between = 0.75 * schedule.angles[400] + 0.25 * schedule.angles[401]
    np.testing.assert_allclose(schedule.level(np.array([between], 'f4')), [400.25], atol=1e-3)
    np.testing.assert_allclose(DiscreteSchedule().level(np.array([np.pi / 4], 'f4')), [0.5])


@pytest.mark.parametrize('betas', BETAS)
def test_samplers_omit_the_outermost_levels(betas):
    schedule = DiscreteSchedule(betas=betas)
    noisiest, cleanest = schedule.ends
    assert schedule.angles[0] <= cleanest < noisiest <= schedule.angles[-1]
    assert np.tan(cleanest) == pytest.approx(0.01, rel=1e-4)
    assert np.cos(noisiest) == pytest.approx(0.01, rel=1e-4)


class TestSampling:
    """Ratio of each variance that samples keep; tolerances slightly above the measured errors."""

    @pytest.mark.parametrize('betas', BETAS)
    @pytest.mark.parametrize(
        ('sampler', 'spacing', 'steps', 'error'),
        [
            ('dpm_solver', 'half_log_snr', 20, 0.065),
            ('dpm_solver', 'half_log_snr', 50, 0.015),
            ('dpm_solver', 'half_log_snr', 200, 0.002),
            ('dpm_solver', 'karras', 200, 0.01),
            ('dpm_solver', 't', 1000, 0.002),
            ('ddim', 'half_log_snr', 1000, 0.01),
            ('ddim', 'karras', 1000, 0.02),
            ('ddim', 't', 1000, 0.015),
        ],
    )
    def test_variance_is_reached(self, betas, sampler, spacing, steps, error):
        schedule = DiscreteSchedule(betas=betas)
        found = spread(Solver(sampler, steps, spacing, 0.0), schedule)
        kept = VARIANCES / (VARIANCES + np.tan(schedule.ends[1]) ** 2)  # by the last denoising
        np.testing.assert_allclose(found, kept, rtol=error)

    @pytest.mark.parametrize('betas', BETAS)
    def test_ten_evaluations_are_enough(self, betas):
        schedule = DiscreteSchedule(betas=betas)
        found = spread(Solver('dpm_solver', 10, 'half_log_snr', 0.0), schedule)
        np.testing.assert_allclose(found, 1, atol=0.085)
        evenly = Solver('dpm_solver', 10, 't', 0.0)
        assert np.abs(spread(evenly, schedule) - 1).max() > 0.5
