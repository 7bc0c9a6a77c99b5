from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from downscale_jax.downscale.noise import BLOCK, LATTICE_POINTS, TimeKernel, field, time_kernel, uint32_halves

DAY = 86400
SAME = np.ones(1, np.float32)


@partial(jax.jit, static_argnames=('shape', 'channels'))
def drawn(seed, member, kernel, step, shape, channels):
    return field(seed, member, kernel, step, shape, channels)


def draw(seed=1, member=2, keys=((3, 4),), weights=SAME, step=0, shape=(80, 150), channels=1):
    kernel = TimeKernel(np.asarray(keys, np.uint32), weights)
    return np.asarray(drawn(np.uint32(seed), np.uint32(member), kernel, step, shape, channels))


def at(seconds, hours, **rest):
    return draw(**time_kernel(seconds, hours)._asdict(), **rest)


def correlation(one, other):
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


@pytest.mark.parametrize('hours', [0.0, 36.0])
def test_noise_belongs_to_the_place_not_to_the_size_of_the_domain(hours):
    whole = at(DAY, hours)
    for shape in ((80, 100), (BLOCK, BLOCK), (7, 9)):
        # sums over keys may be contracted to fused multiply-adds in one program and not in another
        tolerance = 1e-6 if hours else 0
        np.testing.assert_allclose(at(DAY, hours, shape=shape), whole[: shape[0], : shape[1]], rtol=0, atol=tolerance)


@pytest.mark.parametrize('change', [{'seed': 9}, {'member': 3}, {'keys': [(0, 4)]}, {'keys': [(3, 5)]}, {'step': 1}])
def test_noise_is_another_for_another(change):
    one, other = draw(), draw(**change)
    # 12 000 values: a correlation of 0.05 would be more than five standard deviations
    assert abs(correlation(one, other)) < 0.05
    np.testing.assert_array_equal(draw(), one)


def test_nothing_is_interchangeable():
    for one, other in (
        ({'seed': 1, 'member': 2}, {'seed': 2, 'member': 1}),
        ({'keys': [(3, 4)]}, {'keys': [(4, 3)]}),
        ({'member': 1, 'step': 2}, {'member': 2, 'step': 1}),
    ):
        assert abs(correlation(draw(**one), draw(**other))) < 0.05


@pytest.mark.parametrize('hours', [0.0, 36.0])
def test_noise_is_standard_normal_and_white(hours):
    values = at(10**9, hours, shape=(256, 256), channels=2)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.015
    assert abs(values.std() - 1) < 0.01
    assert abs((values**4).mean() - 3) < 0.1
    blocks = values[..., 0].reshape(4, 64, 4, 64).transpose(0, 2, 1, 3).reshape(16, -1)
    matrix = np.corrcoef(np.concatenate([blocks, values[..., 1].reshape(16, -1)]))
    assert np.abs(matrix - np.eye(32)).max() < 0.08
    assert abs((values[1:] * values[:-1]).mean()) < 0.015
    assert abs((values[:, 1:] * values[:, :-1]).mean()) < 0.015


def test_members_under_vmap_have_the_bits_they_have_alone():
    # a work unit draws its members at once
    @jax.jit
    def unit(members, kernel):
        return jax.vmap(lambda m: field(np.uint32(1), m, kernel, 0, (80, 150), 1))(members)

    members = np.asarray(unit(jnp.arange(3, dtype=jnp.uint32), time_kernel(DAY, 36.0)))
    for member, values in enumerate(members):
        np.testing.assert_array_equal(values, at(DAY, 36.0, member=member))


def test_halves_by_hand():
    numbers = np.array([5, 2**32 + 7, -1, -(2**32)])
    top = 2**32 - 1
    np.testing.assert_array_equal(uint32_halves(numbers), [[0, 5], [1, 7], [top, top], [top, 0]])


def test_without_correlation_a_stamp_is_its_own_key():
    keys, weights = time_kernel(-3 * DAY, 0.0)
    np.testing.assert_array_equal(keys, uint32_halves(np.array([-3 * DAY])))
    np.testing.assert_array_equal(weights, [1.0])
    np.testing.assert_array_equal(at(DAY, 0.0), draw(keys=[(0, DAY)]))


def lattice(seconds, hours):
    """{point of the lattice: weight}."""
    keys, weights = time_kernel(seconds, hours)
    assert (keys.shape, keys.dtype, weights.dtype) == ((LATTICE_POINTS, 2), np.uint32, np.float32)
    numbers = (keys.astype(np.uint64) @ np.array([2**32, 1], np.uint64)).astype(np.int64)
    assert (np.diff(numbers) == 1).all()
    return dict(zip(numbers.tolist(), weights.astype('f8').tolist(), strict=True))


STAMPS = [0, 1, 12345, 18 * 3600, 10**9 + 77, -1, -100 * 365 * DAY - 4321]


@pytest.mark.parametrize('hours', [6.0, 36.0, 500.0])
@pytest.mark.parametrize('seconds', STAMPS)
def test_correlation_in_closed_form(seconds, hours):
    # independent noise on the lattice: the correlation is the sum of products of weights on shared ones
    here = lattice(seconds, hours)
    assert sum(w**2 for w in here.values()) == pytest.approx(1, abs=1e-6)
    spacing = 1800 * hours
    assert min(here) * spacing <= seconds - 3 * spacing
    assert max(here) * spacing >= seconds + 3 * spacing
    for lag in (0, 1 / 7, 1 / 2, 1, 1.5, 2, 3, 20):
        there = lattice(seconds + round(3600 * hours * lag), hours)
        found = sum(weight * there.get(point, 0.0) for point, weight in here.items())
        assert found == pytest.approx(np.exp(-(lag**2)), abs=1e-3), lag


@pytest.mark.parametrize('seconds', [0, 10**9 + 77, -(10**9)])
def test_correlation_of_the_fields(seconds):
    hours, shape = 48.0, (192, 192)  # 36 864 values: a correlation's standard deviation is 0.005
    here = at(seconds, hours, shape=shape)
    for lag in (0.25, 1.0, 3.0):
        there = at(seconds + int(3600 * hours * lag), hours, shape=shape)
        assert there.std() == pytest.approx(1, abs=0.02)
        assert correlation(here, there) == pytest.approx(np.exp(-(lag**2)), abs=0.025)
    # the kernel knows nothing of members and draws
    for other in ({'member': 3}, {'step': 1}, {'seed': 2}):
        assert abs(correlation(here, at(seconds, hours, shape=shape, **other))) < 0.025


def test_a_series_is_smooth_from_point_to_point():
    # every 3 hours under a correlation of 24: no jump where the contributing lattice points change
    series = np.stack([at(step * 10800, 24.0, shape=(64, 64)) for step in range(17)])
    steps = np.sqrt(np.square(np.diff(series, axis=0)).mean((1, 2)))
    np.testing.assert_allclose(steps, np.sqrt(2 * (1 - np.exp(-((1 / 8) ** 2)))), rtol=0.1)
