"""Gaussian data, correlated between cells, with a mean that follows a condition: denoiser and samples in closed form.

Along each principal axis of the covariance, with variance s, z at an angle has variance P = s alpha^2 + sigma^2. Of two
angles a (noisy) and b, z_b - alpha_b m = A (z_a - alpha_a m) + noise of variance P_b - A^2 P_a, where
A = sqrt(P_b/P_a) on the probability flow, (alpha_a/alpha_b) P_b/P_a by the reverse SDE, and where a part eta^2 of its
noise is drawn, the product of their powers 1 - eta^2 and eta^2. The last denoising multiplies by alpha_b s/P_b.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.diffusion.samplers import SAMPLERS, SPACINGS, Solver, ddim, ddpm, dpm_solver, heun
from downscale_jax.diffusion.schedule import CosineSchedule

SHAPE, CELLS = (2, 2, 1), 4
# copied where programs use them: JAX remembers the type of a NumPy array that a compiled program holds, so that one
# compiled in float64 would impose it on others in float32
VARIANCES = np.array([0.05, 0.3, 1.0, 4.0])
AXES = np.linalg.qr(np.random.default_rng(1).normal(size=(CELLS, CELLS)))[0]
CONDITIONS = np.array([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 1.0, -1.0]])
EFFECT = np.random.default_rng(2).normal(size=(CELLS, CELLS))  # of the condition on the mean
STOCHASTIC = {
    'ddim': (partial(ddim, eta=0.5), 0.5),
    'ddpm': (ddpm, 1.0),
    'dpm_solver_sde': (SAMPLERS['dpm_solver_sde'], 1.0),
}


def normals(*shape):
    return np.random.default_rng(0).normal(size=shape)


def along(factors):
    """The matrix that multiplies the principal axes by these factors."""
    axes = AXES.astype(factors.dtype)
    return (axes * factors[None]) @ axes.T


def power(gamma, variances=VARIANCES):
    return variances * jnp.cos(gamma) ** 2 + jnp.sin(gamma) ** 2


def denoiser(conditions=0.0):
    """The conditional expectation of the field, for rows under `conditions` [B, CELLS]."""

    def denoise(z, gamma):
        assert gamma.shape == ()
        mean = (conditions @ EFFECT.T if np.ndim(conditions) else 0.0) * jnp.ones(())
        variances = VARIANCES.astype(z.dtype)
        gain = along(jnp.cos(gamma) * variances / power(gamma, variances))
        rest = z.reshape(-1, CELLS) - jnp.cos(gamma) * mean
        return (mean + rest @ gain).reshape(z.shape).astype(z.dtype)

    return denoise


def exact(gammas, eta=0.0):
    """(mean of samples under each of CONDITIONS, response to the start, covariance of samples)."""
    a, b = float(gammas[0]), float(gammas[-1])
    before, after = np.asarray(power(a)), np.asarray(power(b))
    kept = np.sqrt(after / before) ** (1 - eta**2) * (np.cos(a) / np.cos(b) * after / before) ** eta**2
    gain = np.cos(b) * VARIANCES / after
    means = CONDITIONS @ EFFECT.T @ along(1 - gain * kept * np.cos(a))
    return means, along(gain * kept), along(gain**2 * (after - kept**2 * before + kept**2))


@partial(jax.jit, static_argnums=(0, 1))
def samples(sampler, draws, gammas):
    """Samples [.., CELLS] from unit noises in each of `draws` one at a time, then without noise under CONDITIONS."""
    units = np.concatenate([np.tile(np.eye(CELLS), (draws, 1)), np.zeros((2, CELLS))]).reshape(-1, *SHAPE)
    draw = np.append(np.repeat(np.arange(draws), CELLS), [-1, -1])[:, None, None, None]
    conditions = np.zeros((len(units), CELLS))
    conditions[-2:] = CONDITIONS

    def noise(i):
        return jnp.where(jnp.asarray(draw) == i, jnp.asarray(units), 0.0)

    return sampler(denoiser(jnp.asarray(conditions)), noise, gammas).reshape(-1, CELLS)


def found(sampler, gammas, stochastic=False):
    """The same from a sampler, exact since it is linear in noise and condition."""
    result = np.asarray(samples(sampler, len(gammas) if stochastic else 1, gammas))
    responses = result[:-2]
    return result[-2:], responses[:CELLS], responses.T @ responses


def errors(sampler, spacing, rates, intervals, eta=0.0):
    """Largest errors of (means, response to the start, covariance) for each number of intervals."""
    rows = []
    with jax.enable_x64(True):
        for count in intervals:
            gammas = Solver('ddim', count + 1, spacing, 0.0).gammas(CosineSchedule(rates))
            assert gammas.dtype == jnp.float64
            pairs = zip(found(sampler, gammas, eta > 0), exact(gammas, eta), strict=True)
            rows.append([np.abs(one - other).max() for one, other in pairs])
    return np.array(rows)


@pytest.mark.parametrize(('rates', 'spacing'), [*[((0.9995, 0.01), s) for s in SPACINGS], ((0.95, 0.02), 't')])
@pytest.mark.parametrize(('sampler', 'order'), [(ddim, 1), (heun, 2), (dpm_solver, 2)])
def test_deterministic_samplers_follow_the_flow_at_their_order(sampler, order, rates, spacing):
    coarser, finer = errors(sampler, spacing, rates, (400, 800))
    np.testing.assert_allclose(coarser / finer, 2**order, rtol=0.06)
    assert (finer < (0.03, 2e-4)[order - 1]).all()


@pytest.mark.parametrize('spacing', SPACINGS)
@pytest.mark.parametrize(('name', 'order'), [('ddim', 1), ('ddpm', 1), ('dpm_solver_sde', 2)])
def test_stochastic_samplers_reach_the_covariance_at_their_order(name, order, spacing):
    sampler, eta = STOCHASTIC[name]
    coarser, finer = errors(sampler, spacing, (0.9995, 0.01), (200, 400), eta)
    np.testing.assert_allclose(coarser[2] / finer[2], 2**order, rtol=0.06)
    assert finer[2] < (0.1, 2e-3)[order - 1]
    if eta == 1:  # the expectation of x0 stays the same along the reverse SDE: its mean has no error for any step
        assert (np.stack([coarser, finer])[:, :2] < 1e-12).all()
    else:
        assert (coarser[:2] / finer[:2] > 1.8).all()


def test_ddpm_draws_from_the_posterior():
    # Ho et al. 2020, eq. 7, of one step between two angles; the last denoising is left out
    here, there = 1.1, 0.4
    alpha_bar, alpha_bar_before = np.cos(here) ** 2, np.cos(there) ** 2
    alpha = alpha_bar / alpha_bar_before
    beta = 1 - alpha
    z, x0, fresh = normals(3, 5, *SHAPE)
    mean = np.sqrt(alpha_bar_before) * beta / (1 - alpha_bar) * x0
    mean += np.sqrt(alpha) * (1 - alpha_bar_before) / (1 - alpha_bar) * z
    beta_tilde = (1 - alpha_bar_before) / (1 - alpha_bar) * beta
    with jax.enable_x64(True):

        def one_step(sampler):
            gammas = jnp.array([here, there])
            return sampler(
                lambda z, gamma: jnp.where(gamma == there, z, x0), lambda i: jnp.asarray([z, fresh])[i], gammas
            )

        np.testing.assert_allclose(one_step(ddpm), mean + np.sqrt(beta_tilde) * fresh, rtol=1e-12)
        # the first step of the SDE solver is the same one, that of the ODE solver is DDIM's
        np.testing.assert_allclose(one_step(SAMPLERS['dpm_solver_sde']), one_step(ddpm), rtol=1e-12)
        np.testing.assert_allclose(one_step(dpm_solver), one_step(ddim), rtol=1e-12)


@pytest.mark.parametrize('spacing', ['t', 'half_log_snr', 'karras'])
def test_the_fresh_share_does_not_cancel_in_float32(spacing):
    gammas = Solver('ddpm', 1000, spacing, 0.0).gammas(CosineSchedule())

    def fresh(gammas, dtype):
        """Fresh noise of each step: what a unit of it leaves in z, from z = 0 with x0 = 0."""
        gammas = jnp.asarray(gammas, dtype)

        def one(here, there):
            def denoise(z, gamma):
                return jnp.where(gamma == there, z, 0)

            return ddpm(denoise, lambda i: jnp.asarray(i, dtype), jnp.stack([here, there]))

        return np.asarray(jax.vmap(one)(gammas[:-1], gammas[1:]))

    found = fresh(gammas, jnp.float32)
    with jax.enable_x64(True):
        exact = fresh(np.asarray(gammas, 'f8'), jnp.float64)
    np.testing.assert_allclose(found, exact, rtol=2e-5)


def test_ten_evaluations():
    # amplitudes that second order keeps and first order loses
    schedule = CosineSchedule()
    kept = {}
    for name in ('ddim', 'dpm_solver'):
        gammas = Solver(name, 10, 'half_log_snr' if name == 'dpm_solver' else 't', 0.0).gammas(schedule)
        kept[name] = np.diag(AXES.T @ found(SAMPLERS[name], gammas)[1] @ AXES)
    np.testing.assert_allclose(kept['dpm_solver'] / VARIANCES**0.5, 1, atol=0.04)
    step = np.diff(schedule.gamma(np.array([1.0, 0.0])))[0] / 9
    np.testing.assert_allclose(kept['ddim'][2], np.cos(step) ** 9 * np.cos(schedule.gamma(0.0)), rtol=1e-3)


@pytest.mark.parametrize('name', SAMPLERS)
def test_samples_in_single_precision(name):
    # with random noise: the last denoising keeps s / (s + tan^2) of the variance s
    schedule, key = CosineSchedule((0.95, 0.02)), jax.random.key(0)

    def noise(i):
        return jax.random.normal(jax.random.fold_in(key, i), (20_000, *SHAPE))

    sample = np.asarray(Solver(name, 200, 'half_log_snr', 0.0).solve(denoiser(), noise, schedule))
    assert sample.dtype == np.float32
    expected = along(VARIANCES**2 / (VARIANCES + np.tan(schedule.gamma(0.0)) ** 2))
    # five standard deviations of sampling error for the largest entry, and the error of 200 evaluations
    np.testing.assert_allclose(np.cov(sample.reshape(-1, CELLS).T), expected, atol=0.05 * expected.max() + 0.05)


@pytest.mark.parametrize('name', SAMPLERS)
def test_known_answer_is_kept(name):
    # a network that knows the field leads every noise field to it
    field = np.linspace(-2, 2, 9, dtype='f4').reshape(1, 3, 3, 1)
    noise = normals(5, 3, 3, 1).astype('f4')
    solver = Solver(name, 7, 't', 0.0)
    found = solver.solve(
        lambda z, gamma: jnp.broadcast_to(field, z.shape), lambda i: jnp.asarray(noise), CosineSchedule()
    )
    np.testing.assert_array_equal(found, np.broadcast_to(field, found.shape))


@pytest.mark.parametrize('name', SAMPLERS)
def test_members_are_independent(name):
    noise = normals(6, 3, *SHAPE).astype('f4')
    solver = Solver(name, 6, 't', 0.0)
    whole = solver.solve(denoiser(), lambda i: jnp.asarray(noise)[i], CosineSchedule())
    one = solver.solve(denoiser(), lambda i: jnp.asarray(noise[:, 1:2])[i], CosineSchedule())
    np.testing.assert_allclose(one, whole[1:2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'steps'), [*((name, steps) for name in SAMPLERS for steps in (1, 5)), ('heun', 2), ('heun', 6)]
)
def test_evaluations_and_draws(name, steps):
    solver, schedule = Solver(name, steps, 'half_log_snr', 0.0), CosineSchedule()
    angles, draws = [], []

    def denoise(z, gamma):
        jax.debug.callback(lambda g: angles.append(float(g)), gamma)
        return denoiser()(z, gamma)

    def noise(i):
        jax.debug.callback(lambda i: draws.append(int(i)), i)
        return jnp.ones((1, *SHAPE))

    found = solver.solve(denoise, noise, schedule)
    jax.effects_barrier()
    gammas = np.asarray(solver.gammas(schedule))
    # Heun evaluates at both ends of every interval, and at the last angle once more
    visited = np.repeat(gammas, 2)[1:] if name == 'heun' else gammas
    assert len(angles) == (steps - (steps % 2 == 0) if name == 'heun' else steps)
    np.testing.assert_allclose(sorted(angles), sorted(visited), rtol=1e-6)
    assert sorted(draws) == list(range(steps if name in ('ddpm', 'dpm_solver_sde') else 1))
    if steps == 1:
        np.testing.assert_allclose(found, denoiser()(jnp.ones((1, *SHAPE)), schedule.gamma(jnp.ones(()))), rtol=1e-4)


@pytest.mark.parametrize('rates', [(0.9995, 0.01), (0.95, 0.02)])
@pytest.mark.parametrize('spacing', SPACINGS)
def test_angles(spacing, rates):
    for steps in (2, 10, 1000):
        gammas = np.asarray(Solver('ddim', steps, spacing, 0.0).gammas(CosineSchedule(rates)))
        assert gammas.shape == (steps,)
        assert (np.diff(gammas) < 0).all()
        cleanest, noisiest = np.arccos(rates)
        if spacing == 't_open':
            cleanest += (noisiest - cleanest) / steps
        np.testing.assert_allclose(gammas[[-1, 0]], [cleanest, noisiest], rtol=2e-6, atol=2e-7)
    tangent = np.tan(gammas.astype('f8'))
    scale = {'t': gammas, 't_open': gammas, 'half_log_snr': np.log(tangent), 'karras': tangent ** (1 / 7)}[spacing]
    np.testing.assert_allclose(scale, np.linspace(scale[0], scale[-1], 1000), atol=2e-5 * np.ptp(scale))


def test_one_angle_is_the_noisiest():
    for spacing in SPACINGS:
        np.testing.assert_allclose(
            Solver('ddim', 1, spacing, 0.0).gammas(CosineSchedule()), [np.arccos(0.01)], rtol=2e-6
        )


def test_the_solver_passes_eta_on():
    noise = normals(5, 3, *SHAPE).astype('f4')
    draw = lambda i: jnp.asarray(noise)[i]  # noqa: E731
    for eta, sampler in ((0.0, ddim), (0.5, STOCHASTIC['ddim'][0]), (1.0, ddpm)):
        solver = Solver('ddim', 5, 't', eta)
        expected = sampler(denoiser(), draw, solver.gammas(CosineSchedule()))
        np.testing.assert_array_equal(solver.solve(denoiser(), draw, CosineSchedule()), expected)
