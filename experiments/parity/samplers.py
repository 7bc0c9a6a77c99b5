"""Gaussian modes with a known denoiser, and the samplers that are compared on them."""

import numpy as np

from downscale_jax.diffusion.discrete import DiscreteSchedule

VARIANCES = np.array([0.001, 0.1, 0.7, 1.0, 20.0])
STEPS = 20  # evaluations, at every fiftieth trained level
SCHEDULE = DiscreteSchedule()
SAMPLERS = ('ddim', 'ddpm', 'heun', 'dpm_solver', 'dpm_solver_sde')


def gain(gamma):
    """What the denoiser multiplies z by: x0 of modes of VARIANCES at an angle."""
    return np.cos(gamma) * VARIANCES / (VARIANCES * np.cos(gamma) ** 2 + np.sin(gamma) ** 2)


def normals() -> np.ndarray:
    """The start and the fresh noise of every step, [STEPS, modes]."""
    return np.random.default_rng(0).normal(size=(STEPS, len(VARIANCES)))
