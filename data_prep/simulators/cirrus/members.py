"""Members of an ensemble of idealised cirrus: perturbed parameters and random numbers of each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from data_prep.simulators.cirrus.air import WAVES

PARAMETERS = ('log10_nuclei', 'ascent')
RANGES = ((3.0, 5.0), (0.02, 0.2))  # of log10 of nuclei per kg of air; of the ascent in m s-1


class Members(NamedTuple):
    """Of M members."""

    nuclei: jax.Array  # [M] ice nuclei per kg of air
    ascent: jax.Array  # [M] m s-1
    phases: jax.Array  # [M, waves] of the eddies
    key: jax.Array  # of the initial perturbations


def draw(seed: int, count: int) -> tuple[np.ndarray, Members]:
    """Parameters [M, 2], evenly spread over their ranges (Latin hypercube), and the members."""
    rng = np.random.default_rng(seed)
    low, high = np.array(RANGES).T
    places = np.stack([(rng.permutation(count) + rng.random(count)) / count for _ in RANGES], -1)
    parameters = low + (high - low) * places
    phases = rng.uniform(0, 2 * np.pi, (count, len(WAVES)))
    members = Members(
        jnp.asarray(10 ** parameters[:, 0], jnp.float32),
        jnp.asarray(parameters[:, 1], jnp.float32),
        jnp.asarray(phases, jnp.float32),
        jax.random.key(seed),
    )
    return parameters, members
