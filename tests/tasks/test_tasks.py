"""Tasks on tiny networks, stepped as the loop steps them: inside `parallel.sharded`, here on one device."""

import itertools
from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

from downscale_jax.diffusion.samplers import Solver
from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.runtime import parallel
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import FirstGuess, Params
from downscale_jax.tasks.one_pass import MemberNoise, OnePass
from downscale_jax.tasks.regression import SMALLEST_ERROR, Regression
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import Phase, create

NETWORK = UNet(channels=1, widths=(6,), bottleneck=6, blocks=1, embedding=4, stem=2, tail=4, time='blocks')
PHASE = Phase('main', steps=150, learning_rate=1e-2)
REGRESSION = Regression(NETWORK.clone(channels=2), (PHASE,))
DIFFUSION = Diffusion(NETWORK, (PHASE,), CosineSchedule())
TWO_STAGES = replace(DIFFUSION, regression=REGRESSION)
NAMES = ['regression', 'diffusion', 'two stages', 'one pass']
ONE_PASS = OnePass(NETWORK, (PHASE,), REGRESSION)
SIZE, SCALE = 8, np.float32(0.5)


def example(valid=0.9, batch=8):
    """A target that follows from the condition, but for noise of a tenth; a share of `valid` cells."""
    rng = np.random.default_rng(0)
    mask = rng.random((batch, SIZE, SIZE, 1)) < valid
    condition = rng.normal(size=(batch, SIZE, SIZE, 2)).astype('f4')
    target = np.tanh(condition[..., :1]) + 0.1 * rng.normal(size=mask.shape)
    return {
        'target': np.where(mask, target, 0).astype('f4'),
        'condition': np.concatenate([np.where(mask, condition, 0), mask], -1).astype('f4'),
        'mask': mask,
    }


def draw(shapes, seed=0):
    """Random values in place of `init`, whose compilation takes longer than all that is tested here."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda s: (rng.normal(size=s.shape) / max(1, np.prod(s.shape[:-1])) ** 0.5).astype(s.dtype), shapes
    )


@cache
def guess():
    return FirstGuess(draw(jax.eval_shape(REGRESSION.init, jax.random.key(0), example()).params, seed=1), SCALE)


def begin(task, phase=PHASE):
    """A state at step 0; `out_conv` is zero as at the start of training."""
    handed = (guess(),) if task is not REGRESSION and getattr(task, 'regression', None) else ()
    params = draw(jax.eval_shape(task.init, jax.random.key(0), example(), *handed).params)
    params['params']['out_conv'] = jax.tree.map(np.zeros_like, params['params']['out_conv'])
    return parallel.replicate(states.create(params, create(phase), frozen=handed[0] if handed else None))


@cache  # a compilation takes seconds
def stepping(task, phase=PHASE):
    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS

    def step(state, batch, key):
        return task.train_step(state, batch, key, phase)

    return parallel.sharded(step, (whole, rows, whole), (whole, whole), donate=(0,))


def shown_of(task, batch):
    return jax.jit(lambda guess, c: task.condition(guess, c))(guess() if task.regression else None, batch['condition'])


@pytest.mark.parametrize('task', [REGRESSION, DIFFUSION, TWO_STAGES, ONE_PASS], ids=NAMES)
def test_overfits_one_batch(task):
    batch, key = parallel.split_rows(example()), jax.random.key(1)  # one key: the noise, too, can be learnt
    state, step, losses = begin(task), stepping(task), []
    for _ in range(PHASE.steps):
        state, metrics = step(state, batch, key)
        losses.append(metrics['loss'])
    losses = np.array(jax.device_get(losses))
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0] / 4
    assert state.step == PHASE.steps
    # the running average has left the start, and is evaluated example by example
    rows = parallel.SHARDED_ROWS
    evaluate = parallel.sharded(task.eval_step, (parallel.REPLICATED, rows, parallel.REPLICATED), rows)
    found = np.asarray(evaluate(state, batch, key)['loss'])
    assert found.shape == (8,)
    assert found.mean() < losses[0] / 4


def test_microbatches_change_nothing():
    # SGD without clipping: the change of the parameters is the gradient
    phase = Phase('main', steps=10, learning_rate=0.1, clip=0.0, optimizer='sgd')
    batch, key = parallel.split_rows(example(valid=0.5)), jax.random.key(1)
    start = jax.device_get(begin(DIFFUSION, phase).params)
    found = []
    for accumulate in (1, 4):
        step = stepping(replace(DIFFUSION, accumulate=accumulate), phase)
        state, metrics = step(begin(DIFFUSION, phase), batch, key)
        found.append(jax.device_get((state.params, metrics)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *found)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), found[0][0], start)
    assert moved['params']['out_conv']['kernel'] > 1e-3


@pytest.mark.parametrize('task', [REGRESSION, DIFFUSION, ONE_PASS], ids=[NAMES[0], *NAMES[2:]])
def test_hardly_any_valid_cell(task):
    batch = example(valid=0.02)
    batch['mask'][0] = False  # and one example without any
    batch['target'] = np.where(batch['mask'], batch['target'], 0)
    state, metrics = stepping(task)(begin(task), parallel.split_rows(batch), jax.random.key(1))
    for leaf in jax.tree.leaves(jax.device_get((state.params, metrics))):
        assert np.isfinite(leaf).all()


def test_the_loss_knows_nothing_outside_the_mask():
    batch = example(valid=0.5)
    broken = {**batch, 'target': np.where(batch['mask'], batch['target'], np.nan)}
    losses = jax.jit(REGRESSION.losses)
    np.testing.assert_array_equal(losses(guess().params, broken)[0], losses(guess().params, batch)[0])


@pytest.mark.parametrize('task', [DIFFUSION, TWO_STAGES], ids=['diffusion', 'two stages'])
def test_denoise(task):
    batch = example()
    shown, mean, error = shown_of(task, batch)
    assert shown.shape == (8, SIZE, SIZE, 5 if task.regression else 3)
    assert mean.shape == error.shape == (8, SIZE, SIZE, 1)
    params = Params(begin(task).params, guess() if task.regression else None)
    z = np.random.default_rng(1).normal(size=(8, SIZE, SIZE, 1)).astype('f4')
    gamma = np.linspace(0.1, 1.5, 8, dtype='f4')
    # the network of the start says v = 0, so that x0 = cos(gamma) z
    found = jax.jit(task.denoise)(params, z, gamma, shown)
    np.testing.assert_allclose(found, np.cos(gamma)[:, None, None, None] * z, rtol=1e-5, atol=1e-6)


def test_first_guess():
    batch = example()
    shown, mean, error = shown_of(TWO_STAGES, batch)
    np.testing.assert_array_equal(shown[..., :3], batch['condition'])
    np.testing.assert_array_equal(shown[..., 3:4], mean)
    np.testing.assert_allclose(error, SCALE * shown[..., 4:], rtol=1e-6)
    alone = jax.jit(REGRESSION.distribution)(guess().params, batch['condition'])[0]
    np.testing.assert_allclose(mean, alone, rtol=1e-5, atol=1e-6)
    assert np.std(mean) > 0.1
    assert np.min(error) >= SCALE * SMALLEST_ERROR
    # what training asks for and what sampling gives back are inverse: target = mean + error * residual
    rows = parallel.sharded(
        TWO_STAGES.rows, (parallel.REPLICATED, parallel.SHARDED_ROWS, parallel.REPLICATED), parallel.SHARDED_ROWS
    )
    residual = rows(guess(), batch, jax.random.key(0))['residual']
    decoded = mean + error * residual
    mask = batch['mask']
    np.testing.assert_allclose(np.asarray(decoded)[mask], batch['target'][mask], atol=1e-6)
    assert (np.asarray(residual)[~mask] == 0).all()


def whole(network, *fields):
    """`apply` of a domain that is one tile."""
    return network(*fields)


def test_a_sample_of_the_regression_is_its_mean():
    condition = example()['condition'][:1]
    assert not REGRESSION.draws
    sample = jax.jit(lambda c: REGRESSION.sample(guess().params, c, None, None, whole, None))(condition)
    np.testing.assert_array_equal(sample, jax.jit(REGRESSION.distribution)(guess().params, condition)[0])
    assert sample.shape == (1, SIZE, SIZE, 1)


@pytest.mark.parametrize('task', [DIFFUSION, TWO_STAGES], ids=['diffusion', 'two stages'])
def test_a_sample_of_the_diffusion(task):
    batch, applied = example(), []
    condition, valid = batch['condition'][:1], batch['mask'][0]
    draws = np.random.default_rng(2).normal(size=(6, 3, SIZE, SIZE, 1)).astype('f4')
    params = Params(begin(task).params, guess() if task.regression else None)
    shown, mean, error = shown_of(task, {'condition': condition})
    assert task.draws

    def apply(network, *fields):
        applied.append([field.shape for field in fields])
        return network(*fields)

    def sample(name, steps):
        solver = Solver(name, steps, 't', 0.0)
        run = jax.jit(lambda c, draws: task.sample(params, c, valid, lambda i: draws[i], apply, solver))
        return np.asarray(run(condition, draws)), np.asarray(solver.gammas(task.schedule), 'f8')

    # the network of the start says v = 0, so that x0 = cos(gamma) z: members are known; where nothing is valid x0 = 0
    found, gammas = sample('ddim', 1)
    expected = mean + error * np.where(valid, np.cos(gammas[0]) * draws[0], 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # what is the same for all members is computed once, for one, and never repeated over the whole domain
    assert applied[0] == [(1, SIZE, SIZE, 3)]
    assert all(shapes == [(3, SIZE, SIZE, 1), (1, *shown.shape[1:])] for shapes in applied[1:])
    found, gammas = sample('ddim', 6)
    z = draws[0].astype('f8')
    for here, there in itertools.pairwise(gammas):
        x0 = np.where(valid, np.cos(here) * z, 0)
        z = np.cos(there) * x0 + np.sin(there) / np.sin(here) * (z - np.cos(here) * x0)
    expected = mean + error * np.where(valid, np.cos(gammas[-1]) * z, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # a stochastic sampler takes all draws
    assert np.abs(sample('ddpm', 6)[0] - found)[:, valid].min() > 0


@pytest.mark.parametrize('form', ['field', 'vector', 'both'])
def test_a_sample_in_one_pass(form):
    """The network runs over the domain twice: once for the first guess, once for the members; the solver is ignored."""
    task = replace(ONE_PASS, noise=form)
    batch, applied = example(), []
    condition, valid = batch['condition'][:1], batch['mask'][0]
    noises = np.random.default_rng(2).normal(size=(2, 3, SIZE, SIZE, 1)).astype('f4')
    params = Params(draw(jax.eval_shape(task.init, jax.random.key(0), batch, guess()).params, seed=3), guess())
    shown, mean, error = jax.jit(task.condition)(params.guess, condition)

    def apply(network, *fields):
        applied.append([field.shape for field in fields])
        return network(*fields)

    sample = jax.jit(lambda c, noises: task.sample(params, c, valid, lambda i: noises[i], apply, None))
    found = np.asarray(sample(condition, noises))
    assert applied == [[(1, SIZE, SIZE, 3)], [(3, SIZE, SIZE, 1), (1, SIZE, SIZE, 5)]]
    field = noises[0] if form != 'vector' else None
    vector = noises[1, :, :, :4, 0].reshape(3, 32) if form != 'field' else None
    members = jax.jit(NETWORK.apply)(params.unet, field, np.repeat(shown, 3, 0), vector)
    np.testing.assert_allclose(found, mean + error * np.where(valid, members, 0), rtol=1e-4, atol=1e-5)
    assert np.ptp(found, 0)[valid].min() > 0
    np.testing.assert_array_equal(np.ptp(found, 0)[~valid], 0)


@pytest.mark.parametrize(
    ('form', 'shapes'),
    [
        ('field', [(8, 2, SIZE, SIZE, 1)]),
        ('vector', [(8, 2, 32)]),
        ('both', [(8, 2, SIZE, SIZE, 1), (8, 2, 32)]),
    ],
)
def test_members_in_training_have_noise_of_their_own(form, shapes):
    rows = parallel.sharded(
        replace(ONE_PASS, noise=form).rows,
        (parallel.REPLICATED, parallel.SHARDED_ROWS, parallel.REPLICATED),
        parallel.SHARDED_ROWS,
    )
    found = rows(guess(), example(), jax.random.key(0))
    noise = [found[kind] for kind in ('field', 'vector') if kind in found]
    assert [x.shape for x in noise] == shapes
    values = np.concatenate([np.ravel(x) for x in noise])
    assert len(np.unique(values)) == values.size


def test_dropout_in_one_pass():
    """Every row has a key of its own, and its members different masks."""
    network = DpdmUNet(1, inner=32, multipliers=(1,), blocks=1, attention=(), dropout=0.5)
    task = replace(ONE_PASS, network=network)
    params = draw(jax.eval_shape(task.init, jax.random.key(0), example(), guess()).params)
    noise, shown = np.ones((2, 2, SIZE, SIZE, 1), 'f4'), np.ones((2, 1, SIZE, SIZE, 5), 'f4')
    members = MemberNoise(noise, None)
    generate = jax.jit(jax.vmap(lambda noise, shown, key: task.generate(params, noise, shown, key)))
    found = np.asarray(generate(members, shown, jax.random.split(jax.random.key(0), 2))).reshape(4, -1)
    assert len(np.unique(found, axis=0)) == 4
    rows = {'field': noise, 'shown': shown[:, 0], 'residual': noise[:, 0], 'mask': noise[:, 0] > 0}
    keys = jax.random.split(jax.random.key(0), 2)
    assert jax.eval_shape(task.losses, params, {**rows, 'dropout': keys})[0].shape == (2,)


def test_the_size_of_the_error_is_learnt_and_the_mean_does_not_see_it():
    # errors of 0.3 left of the middle column and 1.2 right of it, told apart by the condition
    rng = np.random.default_rng(0)
    side = np.broadcast_to(np.where(np.arange(SIZE) < SIZE // 2, -1.0, 1.0)[:, None], (64, SIZE, SIZE, 1))
    size = np.where(side < 0, 0.3, 1.2)
    batch = {
        'target': (size * rng.normal(size=side.shape)).astype('f4'),
        'condition': np.concatenate([side, 0 * side, np.ones_like(side)], -1).astype('f4'),
        'mask': np.ones(side.shape, bool),
    }
    state, step = begin(REGRESSION), stepping(REGRESSION)
    rows = parallel.split_rows(batch)
    for _ in range(PHASE.steps):
        state, metrics = step(state, rows, jax.random.key(0))
    mean, found = jax.jit(REGRESSION.distribution)(state.params, batch['condition'])
    made = np.sqrt(np.square(batch['target'] - mean).reshape(64, SIZE, 2, SIZE // 2).mean((0, 1, 3)))
    np.testing.assert_allclose(np.asarray(found).reshape(64, SIZE, 2, -1).mean((0, 1, 3)), made, rtol=0.1)
    np.testing.assert_allclose(metrics['calibration'], 1, atol=0.1)
    # the likelihood reaches the mean's output by no way: without it, its gradient is the same
    params, bias = guess().params, lambda grads: grads['params']['out_conv']['bias'].reshape(-1, 2)[:, 0]
    whole = jax.jit(jax.grad(lambda p: REGRESSION.losses(p, batch)[0].mean()))(params)
    alone = jax.jit(jax.grad(lambda p: REGRESSION.losses(p, batch)[1]['loss'].mean()))(params)
    np.testing.assert_allclose(bias(whole), bias(alone), rtol=1e-4, atol=1e-6)


def test_noise_levels_are_spread_evenly():
    batch = example()
    rows = parallel.sharded(
        DIFFUSION.rows, (parallel.REPLICATED, parallel.SHARDED_ROWS, parallel.REPLICATED), parallel.SHARDED_ROWS
    )
    found = rows(None, batch, jax.random.key(0))
    step = np.ptp(DIFFUSION.schedule.ends) / 8
    np.testing.assert_allclose(np.diff(np.sort(found['gamma'])), step, rtol=1e-4)
    assert found['noise'].shape == batch['target'].shape
    other = rows(None, batch, jax.random.key(1))
    assert not np.isclose(found['noise'], other['noise']).any()
    np.testing.assert_array_equal(found['residual'], batch['target'])  # without a guess the target itself
