"""Ensembles in memory: shape, coordinates, reproducibility, bounds and inputs that do not fit."""

import jax
import numpy as np
import pytest

from downscale_jax.downscale.dataset import Provenance, in_memory
from downscale_jax.downscale.ensemble import Ensemble, WorkUnit
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.settings import GenerationSettings, Partition
from downscale_jax.runtime.errors import UserError

H, W, TIMES, MEMBERS = 30, 38, 3, 3


def ensemble_of(generator, coarse, statics, members=MEMBERS, seed=0):
    return Ensemble(generator, open_inputs(coarse, generator.transform, statics), statics, members, seed)


@pytest.fixture(scope='module')
def whole(generator, coarse, statics):
    return in_memory(ensemble_of(generator, coarse, statics), Provenance(title='a test'))


def test_shape_coordinates_and_attributes(whole, coarse, statics):
    sit = whole['sit']
    assert (sit.dims, sit.shape, sit.dtype) == (('member', 'time', 'y', 'x'), (MEMBERS, TIMES, H, W), np.float32)
    for name in ('x', 'y'):
        np.testing.assert_array_equal(whole[name], statics[name])
    np.testing.assert_array_equal(whole['time'], coarse['time'])
    assert sit.attrs['units'] == 'm'
    # in the precision of the data, which reach it
    assert (sit.attrs['valid_min'], sit.attrs['valid_max']) == (0.0, np.float32(2.4))
    assert (sit.min(), sit.max()) == (sit.attrs['valid_min'], sit.attrs['valid_max'])
    assert whole.attrs['title'] == 'a test'


def test_values_exactly_where_the_mask_says(whole, statics):
    valid = np.broadcast_to(statics['mask'].values > 0, whole['sit'].shape)
    np.testing.assert_array_equal(np.isfinite(whole['sit'].values), valid)


def test_members_times_and_seeds_differ(generator, coarse, statics, whole):
    values = whole['sit'].values[:, :, 8:, 10:].reshape(MEMBERS * TIMES, -1)
    assert len(np.unique(values, axis=0)) == MEMBERS * TIMES
    other = in_memory(ensemble_of(generator, coarse.isel(time=[0]), statics, 1, seed=1))['sit'].values[0, 0]
    assert (other != whole['sit'].values[0, 0])[8:, 10:].mean() > 0.5


def test_a_member_of_a_time_is_the_same_in_every_request(generator, coarse, statics, whole):
    part = in_memory(ensemble_of(generator, coarse.isel(time=[1]), statics, 2))
    np.testing.assert_array_equal(part['sit'].values[:, 0], whole['sit'].values[:2, 1])
    alone = in_memory(ensemble_of(generator, coarse.isel(time=[1]), statics, 1))  # a unit of one member
    np.testing.assert_allclose(alone['sit'].values[0, 0], whole['sit'].values[0, 1], rtol=0, atol=1e-4)


def test_units_in_order(generator, coarse, statics):
    ensemble = ensemble_of(generator, coarse, statics)
    assert ensemble.units() == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    assert [ensemble.members_of(WorkUnit(2, group)) for group in (0, 1)] == [slice(0, 2), slice(2, 3)]


@pytest.mark.parametrize(('members', 'unit'), [(1, 1), (2, 2), (3, 2), (4, 2), (11, 11), (12, 6), (16, 8), (33, 11)])
def test_balanced_units_compute_no_more_members_than_needed(generator, coarse, statics, members, unit):
    ensemble = ensemble_of(generator.with_partition(members=2 if members < 5 else 11), coarse, statics, members)
    balanced = ensemble.balanced()
    assert balanced.generator.partition.members == unit
    assert balanced.groups == ensemble.groups


def test_clipped_to_the_bounds_with_the_clipped_share(whole):
    values = whole['sit'].values
    assert np.nanmin(values) == 0
    assert np.nanmax(values) == np.float32(2.4)
    # of the units: members 0 and 1 together, member 2 alone, for each time
    at_bounds = (values == 0) | (values == np.float32(2.4))
    shares = [at_bounds[group, time].sum() / np.isfinite(values[group, time]).sum()
              for time in range(TIMES) for group in (slice(0, 2), slice(2, 3))]  # fmt: skip
    assert whole.attrs['clipped_share'] == pytest.approx(np.mean(shares), rel=1e-6)
    assert 0 < whole.attrs['clipped_share'] < 1


def test_regression_has_one_member(generators, coarse, statics):
    generator = generators['regression']
    result, other = (in_memory(ensemble_of(generator, coarse, statics, 1, seed)) for seed in (0, 7))
    np.testing.assert_array_equal(result['sit'], other['sit'])
    assert result.sizes['member'] == 1


def test_zero_sample_is_the_coarse_field(generators, transform, coarse, statics):
    # an anomaly of zero: the output is the input, interpolated bilinearly to the fine grid and clipped
    trained = generators['regression']
    zero = jax.tree.map(np.zeros_like, jax.device_get(trained.params))
    generator = FieldGenerator(trained.task, zero, transform, GenerationSettings(Partition(24, 8)))
    found = in_memory(ensemble_of(generator, coarse, statics, 1))['sit'].isel(member=0)
    expected = coarse['sit'].interp(x=statics['x'], y=statics['y']).clip(0, 2.4)
    sea = statics['mask'].values > 0
    np.testing.assert_allclose(found.values[:, sea], expected.values[:, sea], atol=1e-5)


def test_missing_coarse_values_stay_missing(generator, coarse, statics):
    holed = coarse.isel(time=[0]).copy(deep=True)
    holed['sit'][0, :, 4:] = np.nan
    found = in_memory(ensemble_of(generator, holed, statics, 1))['sit'].values[0, 0]
    # the last column with values is at 63 km, the gap is filled for two coarse cells at most
    assert np.isnan(found[:, 30:]).all()
    assert np.isfinite(found[8:, 10:16]).all()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d.drop_vars('sic'), r"the data set: no variable 'sic'; it has sit"),
        (lambda d: d.rename(sic='siconc'), r"no variable 'sic'; it has siconc, sit; did you mean"),
        (lambda d: d.assign(sit=d.sit.assign_attrs(units='K')), r"'sit' .*K"),
        (lambda d: d.assign_coords(x=d.x + 1e6), r'no value of sit, sic falls on the fine grid'),
    ],
)
def test_inputs_that_do_not_fit(generator, coarse, statics, change, message):
    with pytest.raises(UserError, match=message) as error:
        in_memory(ensemble_of(generator, change(coarse), statics, 1))
    assert '\n' not in str(error.value)


def test_units_are_converted(generator, coarse, statics, whole):
    in_cm = coarse.assign(sit=(coarse['sit'] * 100).assign_attrs(units='cm'))
    found = in_memory(ensemble_of(generator, in_cm, statics, 1))
    np.testing.assert_allclose(found['sit'].values[0], whole['sit'].values[0], atol=3e-4)  # a unit of other members


def test_attributes_of_variables(generator, coarse, statics):
    provenance = Provenance('mine', variables={'sit': {'long_name': 'thickness'}})
    result = in_memory(ensemble_of(generator, coarse.isel(time=[0]), statics, 1), provenance)
    assert result['sit'].attrs['long_name'] == 'thickness'
    assert 'history' not in result.attrs
