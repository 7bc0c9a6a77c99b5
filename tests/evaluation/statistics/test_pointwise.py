"""Scores against hand computation, independent libraries and invariants."""

import math

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.statistics import members as chunking
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics.bootstrap import total


def day(seed=0, members=6, shape=(9, 11)):
    """(members, truth, weight); a cell in three has no truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(1.5, 1, shape).astype(np.float32)
    truth[rng.random(shape) < 0.3] = np.nan
    ensemble = (np.nan_to_num(truth) * 0.8 + rng.normal(0.4, 0.7, (members, *shape))).astype(np.float32)
    return ensemble, truth, rng.uniform(0.5, 2, shape)


def sums_of(ensemble, truth, weight, zones=None):
    zones = np.ones((1, *truth.shape), bool) if zones is None else zones
    return scores.day_sums(ensemble, truth, weight, zones, np.random.default_rng(0))


def result_of(*arguments):
    """Scores of the first zone."""
    return {name: value[0] for name, value in scores.summarise(sums_of(*arguments)).items()}


def check_equal(first, second):
    assert set(first) == set(second)
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-11, err_msg=name)


def test_two_members_by_hand():
    members = np.array([[[1.0, 4.0]], [[3.0, 4.0]]])
    result = result_of(members, np.array([[1.5, 2.0]]), np.array([[1.0, 3.0]]))
    # pixel 1: mean 2, error 0.5, variance 2, fair CRPS (0.5 + 1.5)/2 - (2 x 2)/(2 x 2 x 1) = 0
    # pixel 2: error 2, CRPS 2
    assert result['bias'] == pytest.approx((0.5 + 3 * 2) / 4)
    assert result['mae'] == pytest.approx((0.5 + 3 * 2) / 4)
    assert result['rmse'] == pytest.approx(math.sqrt((0.25 + 3 * 4) / 4))
    assert result['rmse_member'] == pytest.approx(math.sqrt((1.25 + 3 * 4) / 4))
    assert result['crps'] == pytest.approx(3 * 2 / 4)
    assert result['spread'] == pytest.approx(math.sqrt(2 / 4))
    assert result['spread_skill'] == pytest.approx(math.sqrt(1.5 * (2 / 4) / (12.25 / 4)))
    # ranks 1 and 0: a weight of 3 below both members, 1 between them; observed 3/4 and 1, nominal 1/3 and 2/3
    assert result['reliability'] == pytest.approx((5 / 12 + 1 / 3) / 2)


def test_deterministic_field():
    ensemble, truth, area = day(members=1)
    result = result_of(ensemble, truth, area)
    error, weight = (ensemble[0] - truth)[~np.isnan(truth)], area[~np.isnan(truth)]
    assert result['crps'] == result['mae'] == pytest.approx(np.average(np.abs(error), weights=weight))
    assert result['rmse'] == result['rmse_member'] == pytest.approx(np.sqrt(np.average(error**2, weights=weight)))
    assert not {'spread', 'spread_skill', 'reliability'} & set(result)


@pytest.mark.parametrize('members', [2, 5, 12])
def test_crps_agrees_with_scores(members):
    crps_for_ensemble = pytest.importorskip('scores.probability').crps_for_ensemble
    ensemble, truth, area = day(1, members)
    expected = crps_for_ensemble(
        xr.DataArray(ensemble.astype(float), dims=('member', 'y', 'x')),
        xr.DataArray(truth.astype(float), dims=('y', 'x')),
        'member',
        method='fair',
        weights=xr.DataArray(area, dims=('y', 'x')),
    )
    assert result_of(ensemble, truth, area)['crps'] == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.filterwarnings('ignore')
def test_agrees_with_xskillscore():
    xskillscore = pytest.importorskip('xskillscore')
    ensemble, truth, area = day(2)
    truth_x = xr.DataArray(truth.astype(float), dims=('y', 'x'))
    members = xr.DataArray(ensemble.astype(float), dims=('member', 'y', 'x'))
    options = {'dim': ['y', 'x'], 'weights': xr.DataArray(area, dims=('y', 'x')), 'skipna': True}
    result = result_of(ensemble, truth, area)
    average = members.mean('member')
    assert result['rmse'] == pytest.approx(float(xskillscore.rmse(average, truth_x, **options)))
    assert result['mae'] == pytest.approx(float(xskillscore.mae(average, truth_x, **options)))
    assert result['bias'] == pytest.approx(float(xskillscore.me(average, truth_x, **options)))
    spread = np.sqrt(members.var('member', ddof=1).where(truth_x.notnull()).weighted(options['weights']).mean())
    skill = float(xskillscore.rmse(average, truth_x, **options))
    assert result['spread'] == pytest.approx(float(spread))
    assert result['spread_skill'] == pytest.approx(np.sqrt(7 / 6) * float(spread) / skill)


def test_crps_is_independent_of_ensemble_size():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(400, 400))
    exact = 1 / math.sqrt(math.pi)  # of N(0, 1) for truth from N(0, 1)
    for members in (2, 10):
        found = result_of(rng.normal(size=(members, 400, 400)), truth, np.ones_like(truth))
        assert found['crps'] == pytest.approx(exact, abs=0.006)


@pytest.mark.parametrize('members', [2, 8])
def test_calibrated_gaussian_ensemble(members):
    rng = np.random.default_rng(4)
    centre, scale = rng.normal(size=(300, 300)), rng.uniform(0.2, 1, (300, 300))
    draw = centre + scale * rng.normal(size=(members + 1, 300, 300))
    result = result_of(draw[1:], draw[0], np.ones_like(centre))
    assert result['spread_skill'] == pytest.approx(1, abs=0.015)
    assert result['bias'] == pytest.approx(0, abs=0.01)
    assert result['reliability'] < 0.005


def test_zones_are_scored_apart():
    ensemble, truth, area = day(5)
    left = np.zeros(truth.shape, bool)
    left[:, :4] = True
    zones = np.stack([np.ones_like(left), left, ~left, np.zeros_like(left)])
    found = scores.summarise(sums_of(ensemble, truth, area, zones))
    for index, zone in enumerate(zones[:3]):
        alone = scores.summarise(sums_of(ensemble, truth, np.where(zone, area, 0)))
        for name in ('crps', 'rmse', 'spread_skill', 'bias'):
            assert found[name][index] == pytest.approx(alone[name][0], rel=1e-12)
    assert found['share'].tolist() == pytest.approx([1, found['share'][1], 1 - found['share'][1], 0])
    assert all(np.isnan(found[name][3]) for name in found if name != 'share')


def test_leading_axes_are_kept():
    days = [sums_of(*day(seed)) for seed in range(3)]
    stacked = scores.summarise({name: np.stack([one[name] for one in days]) for name in days[0]})
    for index, one in enumerate(days):
        check_equal(scores.summarise(one), {name: value[index] for name, value in stacked.items()})


def test_order_of_members_does_not_matter():
    ensemble, truth, area = day(5)
    check_equal(sums_of(ensemble, truth, area), sums_of(ensemble[::-1], truth, area))


def test_adding_days_is_pooling_pixels():
    days = [day(seed) for seed in range(3)]
    added = total([sums_of(*one) for one in days])
    check_equal(added, sums_of(*(np.concatenate([one[i] for one in days], -1) for i in range(3))))


def test_chunks_of_pixels_change_nothing(monkeypatch):
    ensemble, truth, area = (np.round(field) if field.dtype == np.float32 else field for field in day(6))  # ties
    whole = sums_of(ensemble, truth, area)
    monkeypatch.setattr(chunking, '_VALUES', 7)
    check_equal(sums_of(ensemble, truth, area), whole)


def test_missing_pixels_are_left_out_whatever_the_members_hold_there():
    ensemble, truth, area = day(7)
    area[0], area[1] = np.nan, 0
    keep = ~np.isnan(truth) & (area > 0)
    spoilt = np.where(keep, ensemble, np.nan)
    expected = sums_of(ensemble[:, keep][:, None], truth[keep][None], area[keep][None])
    check_equal(sums_of(spoilt, truth, area), expected)


def test_missing_prediction_is_an_error():
    ensemble, truth, area = day(8)
    ensemble[2, *np.argwhere(~np.isnan(truth))[0]] = np.nan
    with pytest.raises(ValueError, match=r'1 of .* valid cells are not finite'):
        sums_of(ensemble, truth, area)


def test_day_of_land_contributes_nothing():
    ensemble, truth, area = day(9)
    nothing = sums_of(ensemble, np.full_like(truth, np.nan), area)
    assert not any(np.any(value) for value in nothing.values())
    real = sums_of(ensemble, truth, area)
    check_equal(total([real, nothing]), real)
    assert all(np.isnan(value).all() for value in scores.summarise(nothing).values())
