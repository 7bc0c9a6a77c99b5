"""Ensemble of idealised cirrus as images: two perturbed parameters, a bulk and a Lagrangian scheme."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from data_prep.image_sets import Example, ImageSet
from data_prep.simulators.cirrus import bulk, particles
from data_prep.simulators.cirrus.air import CELLS, STEP
from data_prep.simulators.cirrus.members import PARAMETERS, Members, draw

CHANNELS = ('ice_mass', 'ice_number', 'ice_density')
UNITS = ('mg kg-1', 'g-1', 'kg m-3')
SCHEMES = ('bulk', 'particles')
EVERY = 30  # steps between two images
PORTION = 10  # members simulated at once


def simulate(seed: int, members: int, lagrangian: int, times: int) -> ImageSet:
    """`members` members with the bulk scheme and `lagrangian` with particles, at `times` times, every 10 minutes.

    Rows run upwards. Values are the perturbed parameters. The label is the scheme.
    """
    parts = [draw_parts(seed, members), draw_parts(seed + 1, lagrangian)]

    @cache  # members of one portion belong to different splits
    def portion(scheme: int, number: int) -> np.ndarray:
        return np.asarray(run(SCHEMES[scheme], parts[scheme][1][number], times))

    def examples(groups: Sequence[int]) -> Iterator[Example]:
        for group in groups:
            scheme = int(group >= members)
            member = group - members * scheme
            values = tuple(map(float, parts[scheme][0][member]))
            for time, image in enumerate(portion(scheme, member // PORTION)[member % PORTION], 1):
                yield Example(image, values, group, round(time * EVERY * STEP))

    labels = np.repeat(np.arange(len(SCHEMES)), (members, lagrangian))
    return ImageSet(
        CHANNELS, UNITS, PARAMETERS, SCHEMES, labels, (CELLS, CELLS), examples, ('log1p', 'log1p', 'standard')
    )


def draw_parts(seed: int, count: int) -> tuple[np.ndarray, list[Members]]:
    """Parameters [M, 2], and members in portions."""
    parameters, drawn = draw(seed, count)
    starts = range(0, count, PORTION)

    def portion(start: int) -> Members:
        some = slice(start, start + PORTION)
        key = jax.random.fold_in(drawn.key, start)
        return Members(drawn.nuclei[some], drawn.ascent[some], drawn.phases[some], key)

    return parameters, [portion(start) for start in starts]


def run(scheme: str, members: Members, times: int) -> jax.Array:
    """[M, times, z, x, 3] fields of members, float32."""
    return _runs[scheme](members, times)


def _run_bulk(members: Members, times: int) -> jax.Array:
    return _series(bulk.start(members), bulk.advance, lambda cloud, _: bulk.fields(cloud), members, times)


def _run_particles(members: Members, times: int) -> jax.Array:
    return _series(particles.start(members), particles.advance, particles.fields, members, times)


def _series(state: Any, advance: Any, fields: Any, members: Members, times: int) -> jax.Array:
    def step(state, number):
        return advance(state, members, number * STEP), None

    def interval(state, number):
        state, _ = jax.lax.scan(step, state, number * EVERY + jnp.arange(EVERY, dtype=jnp.float32))
        return state, fields(state, members)

    _, series = jax.lax.scan(interval, state, jnp.arange(times, dtype=jnp.float32))
    return jnp.moveaxis(series, 0, 1)


_runs = {
    'bulk': jax.jit(_run_bulk, static_argnums=1),
    'particles': jax.jit(_run_particles, static_argnums=1),
}
