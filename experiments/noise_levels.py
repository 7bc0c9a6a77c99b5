"""Error of a noise network between the levels that it was trained at, by the fastest sinusoid of its embedding.

    python -m experiments.noise_levels [--steps 4000]      under 2 minutes

Trains the part of a U-Net that sees the noise level (sinusoidal embedding, two layers) at the 1000 levels of the
discrete cosine schedule, to the gains of the optimal v prediction for Gaussian modes. Prints the root mean square
error at the trained levels and at the angles that DPM-Solver++ visits.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from downscale_jax.diffusion.discrete import DiscreteSchedule
from downscale_jax.diffusion.samplers import Solver
from downscale_jax.models.blocks import sinusoidal_embedding
from downscale_jax.models.dpdm import step_embedding
from experiments.command_line import Parser, at_least, run_program

VARIANCES = np.array([0.01, 0.1, 0.3, 1.0, 4.0], 'f4')
EVALUATIONS = (10, 33, 100)  # of the sampler
BATCH = 64


class Errors(NamedTuple):
    """Root mean square errors of the gains, which are of order 1."""

    trained: float  # at the trained levels
    sampled: float  # at the angles of the sampler


class NoiseNetwork(nn.Module):
    """Noise levels [B] -> gains [B, modes]; `turns` None: the integer step, as published for DPDM."""

    turns: float | None

    @nn.compact
    def __call__(self, level: jax.Array) -> jax.Array:
        x = step_embedding(level, 64) if self.turns is None else sinusoidal_embedding(level, 64, self.turns)
        return nn.Dense(len(VARIANCES))(nn.silu(nn.Dense(128)(nn.silu(nn.Dense(128)(x)))))


def gains(gamma: jax.Array) -> jax.Array:
    """[B] -> [B, modes]: what the optimal v prediction multiplies z by, for modes of VARIANCES."""
    cos, sin, variances = jnp.cos(gamma)[:, None], jnp.sin(gamma)[:, None], jnp.asarray(VARIANCES)[None]
    return cos * sin * (1 - variances) / (variances * cos**2 + sin**2)


def errors(turns: float | None, steps: int, seed: int = 0) -> Errors:
    """Those of a network after `steps` steps of AdamW."""
    schedule = DiscreteSchedule(shown='step' if turns is None else 'angle')
    network, rule = NoiseNetwork(turns), optax.adamw(optax.cosine_decay_schedule(1e-3, steps), b2=0.99)
    init_key, time_key = jax.random.split(jax.random.key(seed))

    def predicted(params, gamma):
        return network.apply(params, schedule.level(gamma))

    def step(carry, index):
        params, state = carry
        gamma = schedule.gamma(jax.random.uniform(jax.random.fold_in(time_key, index), (BATCH,)))
        grads = jax.grad(lambda p: jnp.square(predicted(p, gamma) - gains(gamma)).mean())(params)
        updates, state = rule.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    params = network.init(init_key, jnp.zeros(1))
    (params, _), _ = jax.jit(lambda start: jax.lax.scan(step, start, jnp.arange(steps)))((params, rule.init(params)))

    def error(gamma):
        return float(jnp.sqrt(jnp.square(predicted(params, gamma) - gains(gamma)).mean()))

    noisiest, cleanest = schedule.ends
    trained = schedule.angles[(schedule.angles >= cleanest) & (schedule.angles <= noisiest)]
    sampled = [Solver('dpm_solver', count, 'half_log_snr', 0.0).gammas(schedule) for count in EVALUATIONS]
    return Errors(error(jnp.asarray(trained, 'float32')), error(jnp.concatenate(sampled)))


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--steps', type=at_least(1), default=4000)
    steps = parser.parse_args().steps
    print(f'{"fastest sinusoid":24}{"trained levels":>16}{"sampler":>10}')
    for turns in (1000.0, 300.0, 100.0, 30.0, None):
        name = 'integer step' if turns is None else f'{turns:g} turns'
        found = errors(turns, steps)
        print(f'{name:24}{found.trained:16.4f}{found.sampled:10.4f}', flush=True)


if __name__ == '__main__':
    run_program(main)
