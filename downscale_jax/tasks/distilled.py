"""Distillation of a diffusion to a few evaluations of the network (docs/systems/distilled.md).

The student starts as a copy of the trained diffusion, its teacher, and learns to do in one evaluation what the teacher
does in several: its step of DDIM from one of its noise levels to the next has to end where the teacher's solution of
the probability-flow equation ends. This is the progressive distillation of Salimans and Ho (2022,
https://arxiv.org/abs/2202.00512) in a single round, with DPM-Solver++(2M) as the teacher's solver.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import jax.numpy as jnp

from downscale_jax.diffusion.samplers import SPACINGS, Noise, Solver, dpm_solver_steps
from downscale_jax.diffusion.schedule import expand, noisy
from downscale_jax.runtime import parallel
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.first_guess import Params
from downscale_jax.tasks.regression import Batch
from downscale_jax.training import state as states
from downscale_jax.training.optimizer import create
from downscale_jax.training.state import State


@dataclass(frozen=True)
class Distilled(Diffusion):
    """Learns to do in few evaluations what a trained diffusion does in many. Its state holds the parameters of the
    teacher, frozen."""

    evaluations: int = 4  # per member
    teacher_evaluations: int = 16  # per member, rounded up to a multiple of `evaluations`

    @cached_property
    def solver(self) -> Solver:
        """The only sampler that the student is trained for: the last step ends at the clean field."""
        return Solver('ddim', self.evaluations, 't_open', 0.0)

    def begin(self, teacher: Params) -> State:
        """The state at step 0: the teacher itself."""
        return states.create(teacher.unet, create(self.phases[0]), frozen=teacher)

    def inference_params(self, state: State) -> Params:
        return Params(state.ema_params, state.frozen.guess)

    def rows(self, frozen: Params, batch: Batch, key: jax.Array) -> Batch:
        """As of a diffusion, with the clean field that takes the student to where the teacher arrives in place of the
        residual, and with the noise that belongs to it."""
        mask, given = batch['mask'], self.conditioned_batch(frozen.guess, batch)
        residual = given.residual(batch)
        step_key, noise_key = jax.random.split(key)
        starts = self.solver.gammas(self.schedule)
        step = jnp.floor(self.evaluations * parallel.row_uniforms(step_key, len(residual))).astype(int)
        gamma, end = starts[step], jnp.append(starts[1:], self.schedule.ends[1])[step]
        z = noisy(residual, parallel.row_normals(noise_key, residual.shape), gamma)

        def denoise(z, gamma):
            return jnp.where(mask, self.denoise(frozen, z, gamma.reshape(-1), given.shown), 0)

        count = -(-self.teacher_evaluations // self.evaluations)
        gamma4, end4 = expand(gamma, z), expand(end, z)
        visited = SPACINGS['half_log_snr'].angles(jnp.stack([gamma4, end4]), count + 1)
        reached = dpm_solver_steps(denoise, lambda i: z, z, visited)
        # z' = cos(gamma') x0 + sin(gamma') eps with eps = (z - cos(gamma) x0) / sin(gamma), solved for x0
        clean = (jnp.sin(gamma4) * reached - jnp.sin(end4) * z) / jnp.sin(gamma4 - end4)
        clean = jnp.where(mask, clean, 0)
        eps = (z - jnp.cos(gamma4) * clean) / jnp.sin(gamma4)
        return {'mask': mask, 'shown': given.shown, 'residual': clean, 'gamma': gamma, 'noise': eps}

    def sample(
        self, params: Params, condition: jax.Array, valid: jax.Array, noise: Noise, apply: Callable, solver: Solver
    ) -> jax.Array:
        """As of a diffusion, by the student's own steps: `solver` has no effect."""
        return super().sample(params, condition, valid, noise, apply, self.solver)
