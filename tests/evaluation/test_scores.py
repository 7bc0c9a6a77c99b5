"""Scores against hand computation, independent libraries and invariants."""

import math
from functools import partial

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation import scores


def day(seed=0, members=6, shape=(9, 11)):
    rng = np.random.default_rng(seed)
    truth = rng.normal(1.5, 1, shape).astype(np.float32)
    truth[rng.random(shape) < 0.3] = np.nan
    ensemble = (np.nan_to_num(truth) * 0.8 + rng.normal(0.4, 0.7, (members, *shape))).astype(np.float32)
    return ensemble, truth, rng.uniform(0.5, 2, shape)


def test_two_members_by_hand():
    members = np.array([[[1.0, 4.0]], [[3.0, 4.0]]])
    truth, area = np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]])
    result = scores.summarise(scores.day_sums(members, truth, area, lower=0, upper=3.5), members=2)
    # pixel 1: mean 2, error 1, variance 2, fair CRPS (0 + 2)/2 - (2 x 2)/(2 x 2 x 1) = 0; pixel 2: error 2, CRPS 2
    assert result['bias'] == pytest.approx((1 + 3 * 2) / 4)
    assert result['mae'] == pytest.approx((1 + 3 * 2) / 4)
    assert result['rmse'] == pytest.approx(math.sqrt((1 + 3 * 4) / 4))
    assert result['rmse_member'] == pytest.approx(math.sqrt((2 + 3 * 4) / 4))
    assert result['crps'] == pytest.approx(3 * 2 / 4)
    assert result['spread'] == pytest.approx(math.sqrt(2 / 4))
    assert result['spread_skill'] == pytest.approx(math.sqrt(1.5 * (2 / 4) / (13 / 4)))
    assert result['out_of_bounds'] == pytest.approx(3 / 4)


def test_deterministic_field():
    ensemble, truth, area = day(members=1)
    result = scores.summarise(scores.day_sums(ensemble, truth, area))
    error, weight = (ensemble[0] - truth)[~np.isnan(truth)], area[~np.isnan(truth)]
    assert result['crps'] == result['mae'] == pytest.approx(np.average(np.abs(error), weights=weight))
    assert result['rmse'] == result['rmse_member'] == pytest.approx(np.sqrt(np.average(error**2, weights=weight)))
    assert not {'spread', 'spread_skill', 'out_of_bounds'} & set(result)


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
    result = scores.summarise(scores.day_sums(ensemble, truth, area), members)
    assert result['crps'] == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.filterwarnings('ignore')
def test_agrees_with_xskillscore():
    xskillscore = pytest.importorskip('xskillscore')
    ensemble, truth, area = day(2)
    truth_x = xr.DataArray(truth.astype(float), dims=('y', 'x'))
    members = xr.DataArray(ensemble.astype(float), dims=('member', 'y', 'x'))
    options = {'dim': ['y', 'x'], 'weights': xr.DataArray(area, dims=('y', 'x')), 'skipna': True}
    result = scores.summarise(scores.day_sums(ensemble, truth, area), members=len(ensemble))
    average = members.mean('member')
    assert result['rmse'] == pytest.approx(float(xskillscore.rmse(average, truth_x, **options)))
    assert result['mae'] == pytest.approx(float(xskillscore.mae(average, truth_x, **options)))
    assert result['bias'] == pytest.approx(float(xskillscore.me(average, truth_x, **options)))


def test_crps_is_independent_of_ensemble_size():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(400, 400))
    exact = 1 / math.sqrt(math.pi)  # of N(0, 1) for truth from N(0, 1)
    for members in (2, 10):
        sums = scores.day_sums(rng.normal(size=(members, 400, 400)), truth)
        assert scores.summarise(sums, members)['crps'] == pytest.approx(exact, abs=0.006)


@pytest.mark.parametrize('members', [2, 8])
def test_calibrated_gaussian_ensemble(members):
    rng = np.random.default_rng(4)
    centre, scale = rng.normal(size=(300, 300)), rng.uniform(0.2, 1, (300, 300))
    draw = centre + scale * rng.normal(size=(members + 1, 300, 300))
    result = scores.summarise(scores.day_sums(draw[1:], draw[0]), members)
    assert result['spread_skill'] == pytest.approx(1, abs=0.015)
    assert result['bias'] == pytest.approx(0, abs=0.01)


def test_order_of_members_does_not_matter():
    ensemble, truth, area = day(5)
    first, second = scores.day_sums(ensemble, truth, area), scores.day_sums(ensemble[::-1], truth, area)
    assert first == pytest.approx(second, rel=1e-12)


def test_adding_days_is_pooling_pixels():
    days = [day(seed) for seed in range(3)]
    added = scores.combine(scores.day_sums(*one) for one in days)
    pooled = scores.day_sums(*(np.concatenate([one[i] for one in days], -1) for i in range(3)))
    assert added == pytest.approx(pooled, rel=1e-12)


def test_chunks_of_pixels_change_nothing(monkeypatch):
    whole = scores.day_sums(*day(6))
    monkeypatch.setattr(scores, '_CHUNK', 7)
    assert scores.day_sums(*day(6)) == pytest.approx(whole, rel=1e-12)


def test_missing_pixels_are_left_out_whatever_the_members_hold_there():
    ensemble, truth, area = day(7)
    area[0], area[1] = np.nan, 0
    keep = ~np.isnan(truth) & (area > 0)
    spoilt = np.where(keep, ensemble, np.nan)
    expected = scores.day_sums(ensemble[:, keep][:, None], truth[keep][None], area[keep][None])
    assert scores.day_sums(spoilt, truth, area) == pytest.approx(expected)


def test_missing_prediction_is_an_error():
    ensemble, truth, area = day(8)
    ensemble[2, *np.argwhere(~np.isnan(truth))[0]] = np.nan
    with pytest.raises(ValueError, match=r'1 of .* valid pixels are not finite'):
        scores.day_sums(ensemble, truth, area)


def test_day_of_land_contributes_nothing():
    ensemble, truth, area = day(9)
    nothing = scores.day_sums(ensemble, np.full_like(truth, np.nan), area)
    assert set(nothing.values()) == {0.0}
    real = scores.day_sums(ensemble, truth, area)
    assert scores.combine([real, nothing]) == real
    assert all(math.isnan(value) for value in scores.summarise(nothing, 6).values())


def test_bootstrap_interval():
    rng = np.random.default_rng(10)
    days = [scores.day_sums(rng.normal(bias, 0.1, (1, 5, 5)), np.zeros((5, 5))) for bias in rng.normal(0.3, 0.2, 40)]
    days.insert(7, scores.day_sums(np.ones((1, 5, 5)), np.full((5, 5), np.nan)))
    interval = scores.bootstrap(days, scores.summarise, seed=1, block=1)
    low, high = interval['bias']
    # 90 % interval of a mean of 40 days of standard deviation 0.2: 2 x 1.645 x 0.2/sqrt(40) = 0.104 wide
    assert low < scores.summarise(scores.combine(days))['bias'] < high
    assert high - low == pytest.approx(0.104, rel=0.3)
    assert interval == scores.bootstrap(days, scores.summarise, seed=1, block=1)


def test_bootstrap_blocks_widen_the_interval_of_persistent_errors():
    days = [scores.day_sums(np.full((1, 2, 2), 1.0 + (t // 10 % 2)), np.zeros((2, 2))) for t in range(60)]
    widths = [np.diff(scores.bootstrap(days, scores.summarise, block=block)['bias'])[0] for block in (1, 5)]
    assert widths[1] > 1.5 * widths[0]


def test_bootstrap_of_few_days_tells_nothing():
    interval = scores.bootstrap([scores.day_sums(*day(i)) for i in range(3)], partial(scores.summarise, members=6))
    assert all(math.isnan(end) for ends in interval.values() for end in ends)
    assert scores.bootstrap([], scores.summarise) == {}


def test_every_score_is_described():
    result = scores.summarise(scores.day_sums(*day(), lower=0), members=6)
    assert set(result) | {'power_low', 'power_high'} == set(scores.SCORES)
