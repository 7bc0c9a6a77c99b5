"""Anomaly correlation against xskillscore, closed forms and invariants."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.statistics.bootstrap import bootstrap, total
from downscale_jax.evaluation.statistics.correlation import climatology, day_sums, summarise

TIMES, SHAPE = 14, (5, 6)


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    normal = rng.normal(280, 10, (12, *SHAPE))
    months = np.arange(TIMES) % 12
    truth = normal[months] + rng.normal(0, 2, (TIMES, *SHAPE))
    field = normal[months] + 0.7 * (truth - normal[months]) + rng.normal(0.5, 1, (TIMES, *SHAPE))
    truth[:, 0, 0] = truth[3, 2, 2] = np.nan
    return field.astype(np.float32), truth.astype(np.float32), rng.uniform(0.5, 2, SHAPE), normal[months]


def acc(field, truth, weight, normal):
    return summarise(total([day_sums(f, o, weight, c) for f, o, c in zip(field, truth, normal, strict=True)]))['acc']


def test_acc_is_the_correlation_of_anomalies_and_their_mirror_images(case):
    xskillscore = pytest.importorskip('xskillscore')
    field, truth, weight, normal = case
    # beside their mirror images anomalies have no mean, so the ordinary correlation is the uncentred one
    x, y = (xr.DataArray(np.concatenate([a - normal, normal - a]), dims=('t', 'y', 'x')) for a in (field, truth))
    weights = xr.DataArray(np.broadcast_to(weight, x.shape), dims=x.dims)
    expected = xskillscore.pearson_r(x, y, ['t', 'y', 'x'], weights=weights, skipna=True)
    assert acc(*case) == pytest.approx(float(expected), rel=1e-6)
    assert 0.5 < acc(*case) < 0.95


def test_perfect_opposite_and_amplified(case):
    _, truth, weight, normal = case
    for factor, expected in ((1, 1), (3, 1), (-0.5, -1)):
        known = np.nan_to_num(truth - normal)
        assert acc(normal + factor * known, truth, weight, normal) == pytest.approx(expected)


def test_a_bias_lowers_it(case):
    _, truth, weight, normal = case
    field = normal + np.nan_to_num(truth - normal) + 3
    anomaly, w = truth - normal, np.where(np.isnan(truth), 0, weight)
    mean = np.nansum(w * anomaly) / w.sum()
    square = np.nansum(w * anomaly**2) / w.sum()
    expected = (square + 3 * mean) / np.sqrt(square * (square + 6 * mean + 9))
    assert acc(field, truth, weight, normal) == pytest.approx(expected)
    assert expected < 0.8


def test_climatology_by_month():
    rng = np.random.default_rng(3)
    fields, months = rng.normal(size=(9, *SHAPE)), np.array([1, 1, 2, 2, 2, 5, 12, 12, 5])
    fields[1, 0, 0] = fields[5:, 1, 1] = np.nan
    fields[:, 2, 2] = np.nan
    found = climatology(zip(months, fields, strict=True))
    assert found.shape == (12, *SHAPE)
    assert np.isnan(found[:, 2, 2]).all()
    fields, found = (np.delete(a.reshape(len(a), -1), 2 * SHAPE[1] + 2, 1) for a in (fields, found))
    overall = np.nanmean(fields, 0)
    for month in range(1, 13):
        chosen = fields[months == month]
        count = np.isfinite(chosen).sum(0)
        expected = np.where(count > 0, np.nansum(chosen, 0) / np.maximum(count, 1), overall)
        np.testing.assert_allclose(found[month - 1], expected)


def test_climatology_without_a_season():
    fields = np.random.default_rng(4).normal(size=(5, *SHAPE))
    found = climatology((1, field) for field in fields)
    np.testing.assert_allclose(found, np.broadcast_to(fields.mean(0), (12, *SHAPE)))


def test_sums_and_leading_axes(case):
    times = [day_sums(f, o, case[2], c) for f, o, c in zip(case[0], case[1], case[3], strict=True)]
    stacked = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})['acc']
    assert stacked.shape == (TIMES,)
    assert stacked[4] == acc(*(a[4:5] if len(a) == TIMES else a for a in case))
    low, high = bootstrap(times, summarise, samples=50)['acc']
    assert low < acc(*case) < high
    assert np.isnan(summarise(day_sums(case[0][0], case[1][0], 0 * case[2], case[3][0]))['acc'])


def test_wrong_input(case):
    field, truth, weight, normal = (a[0] if len(a) == TIMES else a for a in case)
    field[3, 3] = field[0, 0] = np.nan  # the second where there is no truth
    with pytest.raises(ValueError, match='1 of 29 valid cells'):
        day_sums(field, truth, weight, normal)
    with pytest.raises(ValueError, match='month is 0'):
        climatology([(0, truth)])
    with pytest.raises(ValueError, match='no field'):
        climatology([])
