"""Distillation against a diffusion whose flow is known in closed form: Gaussian fields."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.runtime import parallel
from downscale_jax.tasks.distilled import Distilled
from downscale_jax.tasks.first_guess import Params
from downscale_jax.training.optimizer import Phase

STD, SIZE, ROWS = 0.5, 4, 8


class Gaussian(nn.Module):
    """The optimal v prediction of independent values of mean 0 and standard deviation `scale`, which is learnt."""

    channels: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, z, condition, level):
        scale = self.param('scale', nn.initializers.constant(STD), ())
        gamma = (level * jnp.pi / 2)[:, None, None, None]
        variance = jnp.square(jnp.cos(gamma) * scale) + jnp.square(jnp.sin(gamma))
        clean = jnp.cos(gamma) * jnp.square(scale) / variance * z
        return (jnp.cos(gamma) * z - clean) / jnp.sin(gamma)


def example():
    shape = (ROWS, SIZE, SIZE, 1)
    mask = np.random.default_rng(1).random(shape) < 0.8
    target = np.where(mask, STD * np.random.default_rng(0).normal(size=shape), 0).astype('f4')
    return {'target': target, 'condition': mask.astype('f4'), 'mask': mask}


def task(evaluations, teacher_evaluations):
    phases = (Phase('main', 5, 1e-2),)
    return Distilled(
        Gaussian(), phases, CosineSchedule(), evaluations=evaluations, teacher_evaluations=teacher_evaluations
    )


def rows_of(distilled):
    rows = parallel.sharded(
        distilled.rows, (parallel.REPLICATED, parallel.SHARDED_ROWS, parallel.REPLICATED), parallel.SHARDED_ROWS
    )
    return jax.device_get(rows(Params({'params': {'scale': np.float32(STD)}}, None), example(), jax.random.key(0)))


@pytest.mark.parametrize('evaluations', [1, 2, 4])
def test_targets_lie_on_the_flow(evaluations):
    """Along the flow a Gaussian value keeps its quantile: z / sqrt(cos^2 s^2 + sin^2) is constant."""
    distilled = task(evaluations, 256)
    rows, mask = rows_of(distilled), example()['mask']
    gamma = rows['gamma'].astype('f8')[:, None, None, None]
    starts = np.asarray(distilled.solver.gammas(distilled.schedule), 'f8')
    assert starts.shape == (evaluations,)
    following = np.append(starts[1:], distilled.schedule.ends[1])
    end = following[np.abs(starts - gamma).argmin(-1)][..., None]
    assert len(np.unique(end)) == evaluations

    def size(gamma):
        return np.sqrt(np.square(np.cos(gamma) * STD) + np.square(np.sin(gamma)))

    z = np.cos(gamma) * rows['residual'] + np.sin(gamma) * rows['noise']
    reached = np.cos(end) * rows['residual'] + np.sin(end) * rows['noise']
    np.testing.assert_allclose(reached[mask], (z * size(end) / size(gamma))[mask], rtol=0.02, atol=2e-3)
    assert (rows['residual'][~mask] == 0).all()


def test_the_student_starts_as_its_teacher_and_leaves_it():
    distilled = task(2, 64)
    teacher = Params({'params': {'scale': np.float32(STD)}}, None)
    state = parallel.replicate(distilled.begin(teacher))
    whole, shared = parallel.REPLICATED, parallel.SHARDED_ROWS

    def step(state, batch, key):
        return distilled.train_step(state, batch, key, distilled.phases[0])

    train = parallel.sharded(step, (whole, shared, whole), (whole, whole), donate=(0,))
    batch = parallel.split_rows(example())
    state, metrics = train(state, batch, jax.random.key(0))
    # the optimal denoiser does not take the flow's long steps: two evaluations of it fall short
    assert metrics['loss'] > 1e-3
    assert state.params['params']['scale'] != STD
    kept = distilled.inference_params(jax.device_get(state))
    assert kept.guess is None
    np.testing.assert_array_equal(state.frozen.unet['params']['scale'], STD)
