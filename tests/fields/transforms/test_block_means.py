"""Block means, the way back by cubic interpolation, and conservation: by hand, by projections, by jax.image."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.geometry.blocks import (
    block_mean,
    conserve,
    conserve_positive,
    cubic_matrix,
    interpolate,
    linear_matrix,
    repeat,
)
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.bounds import limits
from downscale_jax.fields.transforms.standardisation import Standardisation

RNG = np.random.default_rng(0)
INFINITY = float('inf')
BOTH = pytest.mark.parametrize('xp', [np, jnp], ids=['numpy', 'jax'])


def by_factor(*factors):
    """NumPy with all factors; JAX, for which every shape compiles a dozen programs, with the last."""
    cases = [*((np, factor) for factor in factors), (jnp, factors[-1])]
    return pytest.mark.parametrize(('xp', 'factor'), cases, ids=[f'{xp.__name__}-{factor}' for xp, factor in cases])


def normal(*shape):
    return RNG.normal(size=shape).astype('f4')


@BOTH
def test_block_mean_by_hand(xp):
    fine = np.arange(24, dtype='f4').reshape(4, 6)
    fine = xp.asarray(np.stack([fine, 1000 + fine], -1))
    found = block_mean(fine, 2)
    # the first block is 0, 1, 6, 7
    expected = np.array([[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])
    assert isinstance(found, np.ndarray) == (xp is np)
    np.testing.assert_array_equal(found, np.stack([expected, 1000 + expected], -1))


def test_block_mean_keeps_channels_and_leading_axes_apart():
    fine = normal(2, 3, 6, 9, 4)
    found = block_mean(fine, 3)
    assert found.shape == (2, 3, 2, 3, 4)
    for i, j, v in np.ndindex(2, 3, 4):
        for row, column in np.ndindex(2, 3):
            block = fine[i, j, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3, v]
            np.testing.assert_allclose(found[i, j, row, column, v], block.mean(), atol=1e-6)


@BOTH
def test_the_mean_is_of_the_cells_that_are_there_by_area(xp):
    fine, area = normal(4, 6, 2), RNG.uniform(1, 2, (4, 6, 1)).astype('f4')
    fine[3, 2, 0], area[0, 5] = np.nan, 0
    fine[:2, :2] = np.nan  # a whole block
    found = np.asarray(block_mean(xp.asarray(fine), 2, xp.asarray(area)))
    missing = np.zeros((2, 3, 2), bool)
    missing[0, 0] = True
    np.testing.assert_array_equal(np.isnan(found), missing)
    for row, column, v in zip(*np.nonzero(~missing), strict=True):
        part = (slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
        there = np.isfinite(fine[*part, v]) & (area[*part, 0] > 0)
        expected = np.average(fine[*part, v][there], weights=area[*part, 0][there])
        np.testing.assert_allclose(found[row, column, v], expected, rtol=1e-5, atol=1e-6)
    assert np.abs(found - block_mean(fine, 2))[~missing].max() > 1e-3  # area matters


@by_factor(2, 3, 5)
def test_repeat_has_the_field_as_its_block_mean(xp, factor):
    coarse = xp.asarray(normal(2, 3, 4, 2))
    fine = repeat(coarse, factor)
    assert fine.shape == (2, 3 * factor, 4 * factor, 2)
    np.testing.assert_array_equal(fine[:, ::factor, factor - 1 :: factor], coarse)
    np.testing.assert_allclose(block_mean(fine, factor), coarse, rtol=1e-6)


@pytest.mark.parametrize('factor', [2, 3, 4, 5])
def test_cubic_is_that_of_jax_in_the_interior(factor):
    coarse = normal(2, 7, 9, 3)
    found = interpolate(coarse, factor, periodic=False)
    expected = jax.image.resize(coarse, (2, 7 * factor, 9 * factor, 3), 'cubic')
    # jax shares out, beyond an edge, the weights of what is not there; here the edge is repeated
    edge = 2 * factor
    inner = np.s_[:, edge:-edge, edge:-edge]
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)
    assert found.dtype == np.float32


@pytest.mark.parametrize(('factor', 'periodic'), [(2, False), (4, True), (5, False)])
def test_cubic_weights(factor, periodic):
    matrix = cubic_matrix(6, factor, periodic)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-12)  # constants stay, at edges too
    assert (np.count_nonzero(matrix, axis=1) <= 4).all()
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-12)


def test_cubic_halfway_by_hand():
    # a fine cell a quarter of a coarse one beyond a centre: Keys' weights at 1.25, 0.25, 0.75, 1.75
    expected = np.array([-9, 111, 29, -3]) / 128
    np.testing.assert_allclose(cubic_matrix(6, 2, False)[5, 1:5], expected, atol=1e-12)


@by_factor(2, 4)
def test_cubic_keeps_a_slope_and_a_parabola_in_the_interior(xp, factor):
    def field(finer):
        y, x = ((np.arange(cells * finer) + 0.5) / finer for cells in (6, 8))
        y = y[:, None]
        return np.stack([0.5 * y - 0.25 * x + 3, 0.1 * y**2 - x * y / 8], -1).astype('f4')

    coarse, fine = field(1), field(factor)
    found = interpolate(xp.asarray(coarse), factor, periodic=False)
    assert found.shape == fine.shape
    edge = 2 * factor
    np.testing.assert_allclose(found[edge:-edge, edge:-edge], fine[edge:-edge, edge:-edge], rtol=1e-5, atol=1e-5)
    assert np.abs(found - fine).max() > 0.05  # repeated edges bend it


def test_a_periodic_field_goes_round():
    coarse = normal(5, 8, 2)
    rolled = interpolate(np.roll(coarse, 3, 1), 4, periodic=True)
    np.testing.assert_allclose(rolled, np.roll(interpolate(coarse, 4, periodic=True), 12, 1), atol=1e-6)
    # rows have an end: the poles are no neighbours of each other
    turned = interpolate(np.roll(coarse, 2, 0), 4, periodic=True)
    assert np.abs(turned - np.roll(interpolate(coarse, 4, periodic=True), 8, 0)).max() > 0.1
    assert (
        np.abs(interpolate(np.roll(coarse, 3, 1), 4, False) - np.roll(interpolate(coarse, 4, False), 12, 1)).max() > 0.1
    )


@by_factor(2, 4, 5)
def test_conserve_is_the_nearest_field_with_these_means(xp, factor):
    level = np.array([0, 280], 'f4')  # a temperature far from zero
    fine = xp.asarray(level + 10 * normal(2, 4 * factor, 3 * factor, 2))
    coarse = xp.asarray(level + 10 * normal(2, 4, 3, 2))
    found = conserve(fine, coarse, factor)
    np.testing.assert_allclose(block_mean(found, factor), coarse, atol=1e-5 * 10)
    np.testing.assert_allclose(conserve(found, coarse, factor), found, atol=1e-5 * 10)
    # what is changed is orthogonal to all that can be changed without leaving the means
    changed = np.asarray(found - fine, 'f8')
    free = normal(*fine.shape).astype('f8')
    free = free - repeat(block_mean(free, factor), factor)
    assert np.abs((changed * free).sum((1, 2))).max() < 1e-4 * np.linalg.norm(changed) * np.linalg.norm(free)
    assert np.square(changed + free).sum() > np.square(changed).sum()
    assert np.abs(changed).max() > 5


@by_factor(2, 5)
def test_conserve_positive(xp, factor):
    fine = 3 * normal(2, 4 * factor, 3 * factor, 2)  # half of it negative
    fine[0, :factor, :factor] = 0  # zero where the mean is not
    fine[0, factor : 2 * factor, :factor] = -np.abs(fine[0, factor : 2 * factor, :factor])  # and nowhere positive
    coarse = np.abs(normal(2, 4, 3, 2)) + np.float32(0.1)
    coarse[1, 0, 0] = coarse[1, 3, 2] = 0
    found = conserve_positive(xp.asarray(fine), xp.asarray(coarse), factor)
    assert isinstance(found, np.ndarray) == (xp is np)
    found = np.asarray(found)
    assert found.dtype == np.float32
    assert (found >= 0).all()
    np.testing.assert_allclose(block_mean(found, factor), coarse, rtol=1e-5)
    for block in np.s_[:factor, :factor], np.s_[factor : 2 * factor, :factor]:
        np.testing.assert_allclose(found[0][block], np.broadcast_to(found[0][block][0, 0], found[0][block].shape))
    assert (found[1, :factor, :factor] == 0).all()
    # elsewhere the shape of a block stays: ratios of its cells
    one, before = (field[1, factor : 2 * factor, factor : 2 * factor, 0] for field in (found, np.maximum(fine, 0)))
    np.testing.assert_allclose(one * before.mean(), before * one.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(conserve_positive(found, coarse, factor), found, rtol=1e-5)


def test_conserve_positive_leaves_what_is_right_already():
    fine = np.abs(normal(6, 6, 1))
    np.testing.assert_allclose(conserve_positive(fine, block_mean(fine, 3), 3), fine, rtol=1e-6)


VALUES = Standardisation(
    ('vorticity', 'divergence'), ('s-1', 's-1'), (2e-6, -1e-6), (5e-5, 3e-5), (3e-4, 9e-4), (0.16, 0.158)
)
SPEED = Standardisation(('speed', 'gust'), ('m s-1', 'm s-1'), (5.0, 8.0), (3.0, 4.0), (0.0, 0.0), (1.0, 1.0), 0.0)


def nothing(fine):
    """No context."""
    return np.zeros((*fine.shape[:-1], 0), 'f4')


AREA = (1 + np.arange(8 * 12, dtype='f4') % 5).reshape(8, 12, 1)


def transform(**changes):
    common = {
        'values': VALUES,
        'factor': 4,
        'mean': 'network',
        'anomaly': False,
        'bounds': ((-INFINITY, INFINITY),) * 2,
    }
    return BlockMeans(**{**common, 'target_std': (1.0, 1.0), **changes})


def vortices(*lead):
    """Heavy tails, in s-1."""
    return (RNG.standard_t(3, (*lead, 8, 12, 2)) * [5e-5, 3e-5]).astype('f4')


def test_coarsen_by_hand():
    fine = vortices()
    ones = np.ones((8, 12, 1), 'f4')
    network = transform().coarsen(fine, AREA)  # as published: by number
    expected = VALUES.decode(block_mean(VALUES.encode(fine), 4))
    np.testing.assert_allclose(network, expected, rtol=1e-6)
    physical = transform(mean='physical').coarsen(fine, ones)
    np.testing.assert_allclose(physical[1, 2], fine[4:, 8:].mean((0, 1)), rtol=1e-5, atol=1e-10)
    assert np.abs(physical - network).max() > 1e-6  # the transform is not linear
    # a z-score is: both means are the same
    speeds = 5 + np.abs(normal(8, 12, 2))
    both = [transform(values=SPEED, mean=mean).coarsen(speeds, ones) for mean in ('network', 'physical')]
    np.testing.assert_allclose(*both, rtol=1e-6)


@pytest.mark.parametrize('periodic', [False, True])
def test_lift_stands_twice_on_the_fine_grid(periodic):
    coarse = normal(2, 5, 6, 2)
    around = normal(2, 20, 24, 3)
    one = transform(kernel=('cubic', 'linear'))
    found = one.lift(coarse, around, periodic)
    assert found.shape == (2, 20, 24, 7)
    np.testing.assert_array_equal(one.small(found), coarse)
    np.testing.assert_array_equal(found[..., :2], repeat(coarse, 4))
    np.testing.assert_array_equal(found[..., 4:], around)
    for v, kernel in enumerate(one.kernel):
        np.testing.assert_array_equal(found[..., 2 + v], interpolate(coarse, 4, periodic, kernel)[..., v])
    np.testing.assert_array_equal(
        transform().lift(coarse, around, periodic)[..., 2:4], interpolate(coarse, 4, periodic)
    )


def test_condition_by_hand():
    one = transform(context=('height', 'season'), context_mean=(100.0, 0.0, 0.0), context_std=(50.0, 1.0, 1.0))
    coarse, around = vortices()[::4, ::4], normal(8, 12, 3)
    lifted, mask = one.lift(coarse, around, False), np.ones((8, 12, 1), bool)
    mask[:2], lifted[5, 5] = False, np.nan
    known = mask & one.known(lifted)
    assert (known == mask).sum() == mask.size - 1
    found = one.condition(lifted, known)
    assert found.shape == (8, 12, 8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[..., 7:], known)
    there = one.known(lifted)  # whatever the mask
    np.testing.assert_array_equal(found[..., :2], np.where(there, VALUES.encode(repeat(coarse, 4)), 0))
    np.testing.assert_array_equal(found[..., 2:4], np.where(known, VALUES.encode(interpolate(coarse, 4, False)), 0))
    np.testing.assert_allclose(found[..., 4:5], np.where(known, (around[..., :1] - 100) / 50, 0), rtol=1e-6)
    np.testing.assert_array_equal(found[..., 5:7], np.where(known, around[..., 1:], 0))


def test_a_block_speaks_through_every_one_of_its_cells():
    """Of a coast half of a block's cells may be missing; who takes every fourth cell must find all blocks."""
    one = transform()
    coarse, mask = vortices()[::4, ::4], np.ones((8, 12, 1), bool)
    mask[0, 0] = False
    lifted = one.lift(coarse, nothing(np.zeros((8, 12, 2))), False)
    found = one.condition(lifted, mask & one.known(lifted))
    np.testing.assert_array_equal(found[::4, ::4, :2], VALUES.encode(coarse))
    assert (found[0, 0, 2:] == 0).all()


@pytest.mark.parametrize('mean', ['network', 'physical'])
@pytest.mark.parametrize(('anomaly', 'std'), [(False, (1.0, 1.0)), (True, (0.4, 0.6))])
def test_decode_is_the_inverse(mean, anomaly, std):
    one = transform(mean=mean, anomaly=anomaly, target_std=std)
    fine = vortices(3)
    lifted = one.lift(one.coarsen(fine, AREA), nothing(fine), periodic=True)
    target = one.encode(fine, lifted)
    assert target.shape == fine.shape
    np.testing.assert_allclose(one.decode(target, lifted), fine, rtol=1e-4, atol=1e-9)
    base = VALUES.encode(lifted[..., 2:]) if anomaly else 0
    np.testing.assert_allclose(target * np.array(std), VALUES.encode(fine) - base, atol=1e-5)
    # nothing added is the interpolated field
    if anomaly:
        np.testing.assert_allclose(one.decode(0 * target, lifted), lifted[..., 2:], rtol=1e-4, atol=1e-9)


@BOTH
@pytest.mark.parametrize('values', [VALUES, SPEED], ids=['log', 'standard'])
def test_conserved_in_the_networks_space(xp, values):
    one = transform(values=values)
    fine, truth = (values.decode(normal(2, 8, 12, 2)) for _ in range(2))
    lifted = one.lift(one.coarsen(truth, AREA), nothing(truth), periodic=True)
    found = np.asarray(one.conserved(xp.asarray(fine), xp.asarray(lifted), AREA))
    means = block_mean(values.encode(found), 4)
    np.testing.assert_allclose(means, block_mean(values.encode(truth), 4), atol=1e-5)
    np.testing.assert_allclose(values.encode(one.conserved(found, lifted, AREA)), values.encode(found), atol=1e-5)


@BOTH
@pytest.mark.parametrize(
    'bounds',
    [((-INFINITY, INFINITY),) * 2, ((0.0, INFINITY),) * 2, ((-INFINITY, INFINITY), (0.0, INFINITY))],
    ids=['unbounded', 'positive', 'the second positive'],
)
def test_conserved_in_physical_space(xp, bounds):
    one = transform(values=SPEED, mean='physical', bounds=bounds)
    fine, truth = 3 * normal(2, 8, 12, 2), 3 * np.abs(normal(2, 8, 12, 2))
    coarse = one.coarsen(truth, AREA)
    fine[1, 2, 3] = np.nan  # outside of the mask
    lifted = one.lift(coarse, nothing(truth), periodic=False)
    found = np.asarray(one.conserved(xp.asarray(fine), xp.asarray(lifted), AREA))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(fine))
    np.testing.assert_allclose(block_mean(found, 4, AREA), coarse, atol=1e-5 * 3)
    for v, low in enumerate(limits(bounds, SPEED.variables)[0]):
        assert (np.nan_to_num(found[..., v]) >= 0).all() == (low == 0)


def test_linear_interpolation_by_hand():
    np.testing.assert_allclose(linear_matrix(3, 2, False)[:3], [[1, 0, 0], [0.75, 0.25, 0], [0.25, 0.75, 0]])
    np.testing.assert_allclose(linear_matrix(3, 2, True)[[0, 5]], [[0.75, 0, 0.25], [0.25, 0, 0.75]])
    coarse = normal(5, 7, 2)
    expected = jax.image.resize(coarse, (15, 21, 2), 'linear')
    np.testing.assert_allclose(interpolate(coarse, 3, False, 'linear'), expected, atol=1e-5)


@pytest.mark.parametrize('anomaly', [False, True])
@pytest.mark.parametrize('mean', ['network', 'physical'])
def test_numpy_and_jax_agree(anomaly, mean):
    context = {'context': ('height',), 'context_mean': (1.0,), 'context_std': (2.0,)}
    one = transform(mean=mean, anomaly=anomaly, target_std=(0.4, 0.6), **context)
    fine, around = vortices(2), normal(2, 8, 12, 1)
    mask = RNG.random((2, 8, 12, 1)) < 0.8

    def all_of(fine, mask):
        lifted = one.lift(one.coarsen(fine, AREA), around, True)
        target = one.encode(fine, lifted)
        decoded = one.decode(target / 2, lifted)
        return {
            'known': one.known(lifted),
            'condition': one.condition(lifted, mask & one.known(lifted)),
            'target': target,
            'lifted': 1e5 * lifted,
            'decoded': 1e5 * decoded,
            'conserved': 1e5 * one.conserved(decoded, lifted, AREA),
            'small': 1e5 * one.small(lifted),
        }

    expected, found = all_of(fine, mask), jax.jit(all_of)(fine, mask)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
        assert found[name].dtype == value.dtype, name


def test_comes_back_from_json():
    changes = {'bounds': ((0.0, INFINITY), (-1.0, 1.0)), 'kernel': ('cubic', 'linear'), 'target_std': (0.4, 0.6)}
    one = transform(anomaly=True, mean='physical', **changes, context=('season',), context_mean=(0.0, 0.0))
    again = BlockMeans.from_json(json.loads(json.dumps(one.to_json())))
    assert again == one
    assert again.targets == again.inputs == ('vorticity', 'divergence')
    assert again.target_units == again.input_units == ('s-1', 's-1')
    hash(again)  # programs are kept by it


def test_real_pairs_are_block_means(shared_data):
    """NREL's pairs at factor 10: what this project calls a block mean is what their makers averaged."""
    with xr.open_dataset(shared_data / 'nrel_wind_pairs.nc') as pairs:
        fine, coarse = (
            np.stack([pairs[f'{n}_{kind}'].values for n in ('ua', 'va')], -1) for kind in ('fine', 'coarse')
        )
    np.testing.assert_allclose(block_mean(fine, 10), coarse, atol=1e-5 * fine.std())
    interpolated = interpolate(coarse, 10, False)
    closed = conserve(interpolated, coarse, 10)
    np.testing.assert_allclose(block_mean(closed, 10), coarse, atol=1e-5 * fine.std())
    # nearer to the truth: the mean is a part of it
    assert np.square(closed - fine).mean() < np.square(interpolated - fine).mean()
