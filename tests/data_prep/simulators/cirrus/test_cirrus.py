"""Idealised cirrus: transport, water budget, growth and the two schemes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_prep.simulators.cirrus import bulk, ensemble, particles
from data_prep.simulators.cirrus.air import CELLS, DZ, STEP, Flow, advect, flow, initial_vapour, over_ice, saturation
from data_prep.simulators.cirrus.growth import SMALLEST, SOLID, activated, fall_speed, radius
from data_prep.simulators.cirrus.members import RANGES, draw

jit = jax.jit


@pytest.fixture(scope='module')
def members():
    return draw(0, 2)[1]


def test_saturation_over_ice_at_the_triple_point():
    assert over_ice(np.array(273.16)) == pytest.approx(611.66, abs=0.01)


def test_advection_at_courant_number_one_is_a_shift():
    field = jnp.asarray(np.random.default_rng(0).random((1, CELLS, CELLS)), jnp.float32)
    still = jnp.zeros_like(field)
    np.testing.assert_allclose(jit(advect)(field, Flow(still + 1, still)), jnp.roll(field, 1, -1), atol=1e-6)
    np.testing.assert_allclose(jit(advect)(field, Flow(still - 1, still)), jnp.roll(field, -1, -1), atol=1e-6)


def test_advection_keeps_mass_and_sign_and_fall_leaves_at_the_bottom(members):
    field = jnp.asarray(np.random.default_rng(0).random((2, CELLS, CELLS)), jnp.float32)
    wind = flow(members.ascent, members.phases, jnp.float32(500.0))
    moved = jit(advect)(field, wind)
    np.testing.assert_allclose(moved.sum((1, 2)), field.sum((1, 2)), rtol=1e-5)
    assert float(moved.min()) > -1e-6
    still = Flow(jnp.zeros_like(field), jnp.zeros_like(field))
    fallen = jit(advect)(field, still, jnp.full_like(field, 0.25))
    lost = field.sum((1, 2)) - fallen.sum((1, 2))
    assert 0 < float(lost.min()) < float(field[:, 0].sum(-1).max())


def test_the_flow_has_no_divergence_but_that_of_the_ascent(members):
    calm = flow(0 * members.ascent, members.phases, jnp.float32(0.0))
    # wind through faces, in cells per step: what enters a cell leaves it
    across = jnp.roll(calm.u, -1, -1) - calm.u
    upper = jnp.concatenate([calm.w[:, 1:], jnp.zeros_like(calm.w[:, :1])], 1)
    divergence = (across + upper - calm.w)[:, 1:-1]
    assert float(jnp.abs(divergence).max()) < 0.02 * float(jnp.abs(calm.w).max())


def test_radius_and_fall_speed():
    mass = SOLID * 4 / 3 * np.pi * 1e-5**3
    assert float(radius(jnp.float32(mass), jnp.float32(SOLID))) == pytest.approx(1e-5, rel=1e-5)
    assert float(fall_speed(jnp.float32(8 * mass), jnp.float32(SOLID))) == pytest.approx(
        2 * float(fall_speed(jnp.float32(mass), jnp.float32(SOLID))), rel=1e-5
    )
    np.testing.assert_allclose(activated(jnp.array([0.9, 1.15, 2.0])), [0, 0.5, 1], atol=1e-6)


def test_bulk_keeps_water_until_it_falls_out(members):
    state = bulk.start(members)
    water = (state.vapour + state.mass).sum((1, 2))
    advance = jit(bulk.advance)
    for number in range(20):
        state = advance(state, members, jnp.float32(number * STEP))
    assert float(state.mass.max()) > 1e-6
    assert float(state.mass[:, 0].max()) == 0  # nothing has reached the bottom
    np.testing.assert_allclose((state.vapour + state.mass).sum((1, 2)), water, rtol=2e-5)
    assert float(state.number.min()) >= 0
    image = np.asarray(bulk.fields(state))
    assert ((image[..., 2] == 0) | ((image[..., 2] >= 100) & (image[..., 2] <= SOLID))).all()


def test_particles_exchange_water_with_their_cells(members):
    state = particles.start(members)
    advance = jit(particles.advance)

    def water(state):
        weight = members.nuclei[:, None] / particles.PER_CELL
        return state.vapour.sum((1, 2)) + (weight * state.mass).sum(1)

    before = water(state)
    for number in range(20):
        state = advance(state, members, jnp.float32(number * STEP))
    assert float((state.mass > 0).mean()) > 0.01
    np.testing.assert_allclose(water(state), before, rtol=2e-5)
    assert float(state.mass.min()) >= 0
    assert (np.asarray(particles.fields(state, members)) >= 0).all()


def test_a_crystal_without_wind_or_fall_takes_what_exceeds_saturation(members):
    """Deposition relaxes vapour to saturation, from above and from below."""
    saturated = jnp.asarray(saturation, jnp.float32)[None, :, None]
    vapour = 1.2 * saturated * jnp.ones((2, CELLS, CELLS))
    many = jnp.full_like(vapour, 1e8)  # per kg: at balance within a step
    mass = many * 1e-12
    cloud = bulk.Cloud(vapour, mass, many, mass / SOLID)
    still = members._replace(ascent=0 * members.ascent)
    after = bulk.advance(cloud, still, jnp.float32(0.0))
    inner = slice(4, -4)
    excess = after.vapour[:, inner] / saturated[:, inner] - 1
    assert float(jnp.abs(excess).max()) < 0.05
    assert float(initial_vapour(members.key, 2).min()) > 0
    assert SMALLEST < 1e-11 < DZ


def test_an_ensemble_as_images():
    found = ensemble.simulate(0, 3, 3, 2)
    examples = list(found.examples(range(6)))
    assert [example.group for example in examples] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [example.seconds for example in examples[:2]] == [600, 1200]
    np.testing.assert_array_equal(found.group_labels, [0, 0, 0, 1, 1, 1])
    low, high = np.array(RANGES).T
    values = np.array([example.values for example in examples])
    assert ((values >= low) & (values <= high)).all()
    assert all(np.isfinite(example.image).all() and example.image[..., 0].max() > 0 for example in examples)
