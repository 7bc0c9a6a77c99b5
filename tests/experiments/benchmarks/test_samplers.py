import re

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.diffusion.samplers import Solver
from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.models.unet import UNet
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.distilled import Distilled
from downscale_jax.tasks.first_guess import FirstGuess, Params
from downscale_jax.tasks.one_pass import OnePass
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.optimizer import Phase
from experiments.benchmarks import samplers

SIZE, MEMBERS = 32, 3
NETWORK = UNet(1, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=2, tail=8, time='blocks')
PLANE = np.zeros((1, 8, 8, 1), np.float32)


@pytest.fixture(scope='module')
def generator():
    task = Diffusion(NETWORK, (Phase('main', 1, 0.1),), CosineSchedule())
    return untrained(task, None, PLANE, np.tile(PLANE, 2), np.zeros(1))


@pytest.fixture(scope='module')
def one_pass():
    regression = Regression(NETWORK.clone(channels=2), (Phase('main', 1, 0.1),))
    task = OnePass(NETWORK, regression.phases, regression)
    guess = FirstGuess(drawn(regression, None, np.tile(PLANE, 2)), np.float32(0.5))
    return untrained(task, guess, PLANE, np.tile(PLANE, 4))


@pytest.fixture(scope='module')
def distilled():
    task = Distilled(NETWORK, (Phase('main', 1, 0.1),), CosineSchedule(), evaluations=3)
    return untrained(task, None, PLANE, np.tile(PLANE, 2), np.zeros(1))


def drawn(task, *inputs):
    shapes, rng = jax.eval_shape(task.network.init, jax.random.key(0), *inputs), np.random.default_rng(0)
    return jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)


def untrained(task, guess, *inputs):
    transform = RefinementTransform('sit', 'm', ('sit',), ('m',), True, ((-np.inf, np.inf),), (1.0,), (0.5,), 0.0, 0.3)
    settings = GenerationSettings(Partition(SIZE, 4, MEMBERS), Sampling('ddim', 1, 't', 0.0))
    return FieldGenerator(task, Params(drawn(task, *inputs), guess), transform, settings)


@pytest.fixture(scope='module')
def day():
    """(coarse field, known cells, data set, statics) of one time."""
    stamp = np.array(['2020-03-01T12'], 'datetime64[ns]')
    coarse = np.random.default_rng(1).normal(1, 0.5, (SIZE, SIZE, 1)).astype('f4')
    known = np.ones((SIZE, SIZE), bool)
    known[:9, :5] = False
    axes = {axis: (axis, 4e3 * np.arange(SIZE), {'units': 'm'}) for axis in 'yx'}
    dataset = xr.Dataset({'sit': (('time', 'y', 'x'), coarse[None, ..., 0], {'units': 'm'})}, {'time': stamp, **axes})
    return coarse, known, dataset, xr.Dataset({'mask': (('y', 'x'), known)}, axes)


def compiled(generator, day):
    """Members [M, H, W] as the ensemble draws them."""
    _, _, dataset, statics = day
    inputs = open_inputs(dataset, generator.transform, statics)
    return in_memory(Ensemble(generator, inputs, statics, MEMBERS, samplers.SEED))['sit'].values[:, 0]


@pytest.mark.parametrize(('name', 'steps'), [('DDIM', 1), ('DDIM, eta 0.5', 3), ('Heun', 5), ('DPM-Solver++(2M)', 4)])
def test_loops_in_python_draw_what_compiled_programs_draw(generator, day, name, steps):
    coarse, known, dataset, _ = day
    sampler, spacing, eta = samplers.SAMPLERS[name]
    expected = compiled(generator.with_sampling(sampler=sampler, steps=steps, spacing=spacing, eta=eta), day)
    solve = samplers.solver_of(generator, MEMBERS, SIZE)
    found = solve(coarse, known, int(encode_times(dataset['time'].values)[0]), Solver(sampler, steps, spacing, eta))
    np.testing.assert_allclose(found[:, known], expected[:, known], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name', ['one_pass', 'distilled'])
def test_own_draws_are_what_compiled_programs_draw(name, day, request):
    generator = request.getfixturevalue(name)
    coarse, known, dataset, _ = day
    found = samplers.own_draw(generator, MEMBERS, SIZE)(coarse, known, int(encode_times(dataset['time'].values)[0]))
    np.testing.assert_allclose(found[:, known], compiled(generator, day)[:, known], rtol=1e-3, atol=1e-4)


def test_work_units_are_timed_in_turn(generator, distilled):
    first, second = samplers.speeds({'ddim': generator, 'distilled': distilled}, MEMBERS, SIZE)
    assert first.startswith('a work unit by ddim: ')
    assert first.endswith('1.00 and 1.00 times as fast as the first')
    seconds, cores, faster, of_cores = map(float, re.findall(r'[0-9.]+(?:e-[0-9]+)?', second))
    assert min(seconds, cores, faster, of_cores) > 0
