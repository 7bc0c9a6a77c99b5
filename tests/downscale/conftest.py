"""The transform, untrained generators, grid and coarse fields that the tests of downscaling share."""

from dataclasses import replace

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.models.unet import UNet
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import FirstGuess, Params
from downscale_jax.tasks.one_pass import VECTOR, OnePass
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.optimizer import Phase

H, W, TIMES = 30, 38, 3


@pytest.fixture(scope='session')
def transform() -> RefinementTransform:
    """Anomalies of thickness from thickness and concentration, in bounds that clip some of what is generated."""
    return RefinementTransform(
        target='sit',
        units='m',
        inputs=('sit', 'sic'),
        input_units=('m', '1'),
        anomaly=True,
        bounds=((0.0, 2.4),),
        input_mean=(1.5, 0.8),
        input_std=(0.5, 0.1),
        target_mean=0.0,
        target_std=0.3,
    )


def drawn(task, *inputs):
    """Parameters of an untrained network whose output is not zero."""
    shapes = jax.eval_shape(task.network.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)


@pytest.fixture(scope='session')
def generators(transform) -> dict[str, FieldGenerator]:
    phases = (Phase('main', 1, 0.1),)
    network = UNet(1, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=2, tail=8, time='blocks')
    regression = Regression(network.clone(channels=2), phases)
    diffusion = Diffusion(network, phases, CosineSchedule(), regression=regression)
    plane = np.zeros((1, 8, 8, 1), np.float32)
    condition, shown = np.tile(plane, 3), np.tile(plane, 5)
    guess = drawn(regression, None, condition)
    params = Params(drawn(diffusion, plane, shown, np.zeros(1)), FirstGuess(guess, np.float32(0.5)))
    one_pass = OnePass(network, phases, regression, noise='both')
    of_one_pass = params._replace(unet=drawn(one_pass, plane, shown, np.zeros((1, VECTOR), np.float32)))
    settings = GenerationSettings(Partition(tile=24, overlap=8, members=2), Sampling('ddim', 2, 't', 0.0))
    correlated = replace(settings, sampling=Sampling('dpm_solver_sde', 3, 't', 0.0, correlation_hours=36.0))
    return {
        'diffusion': FieldGenerator(diffusion, params, transform, settings),
        'correlated': FieldGenerator(diffusion, params, transform, correlated),
        'one_pass': FieldGenerator(one_pass, of_one_pass, transform, settings),
        'regression': FieldGenerator(regression, guess, transform, settings),
    }


@pytest.fixture(scope='session', params=['diffusion', 'correlated', 'one_pass'])
def generator(generators, request):
    """Deterministic with independent noise at each time, stochastic with noise that lasts 36 hours, and one pass."""
    return generators[request.param]


@pytest.fixture(scope='session')
def statics():
    mask = np.ones((H, W), np.int8)
    mask[:8, :10] = 0
    axes = {name: (name, 4e3 * np.arange(n), {'units': 'm'}) for name, n in (('y', H), ('x', W))}
    return xr.Dataset({'mask': (('y', 'x'), mask)}, axes)


@pytest.fixture(scope='session')
def coarse():
    """On a grid of 25 km that extends beyond the fine one."""
    rng = np.random.default_rng(1)
    axes = {name: (name, 25e3 * np.arange(n) - 12e3, {'units': 'm'}) for name, n in (('y', 7), ('x', 8))}
    return xr.Dataset(
        {
            'sit': (('time', 'y', 'x'), 1.5 + 0.5 * rng.normal(size=(TIMES, 7, 8)).astype(np.float32), {'units': 'm'}),
            'sic': (('time', 'y', 'x'), 0.8 + 0.1 * rng.normal(size=(TIMES, 7, 8)).astype(np.float32), {'units': '1'}),
        },
        {'time': np.array(['2020-01-01', '2020-01-02T12', '2020-03-01'], 'datetime64[ns]'), **axes},
    )
