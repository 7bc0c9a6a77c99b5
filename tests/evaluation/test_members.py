"""Scores by number of members against closed forms and brute force."""

import numpy as np
import pytest

from downscale_jax.evaluation import members as by_number
from downscale_jax.evaluation.bootstrap import bootstrap, total
from downscale_jax.evaluation.members import COUNTS, chunks, day_sums, kept, summarise
from downscale_jax.evaluation.scores import fair_crps


def day(seed=0, members=12, shape=(7, 9)):
    rng = np.random.default_rng(seed)
    truth = rng.normal(2, 1, shape).astype(np.float32)
    truth[0, :3] = np.nan
    return rng.normal(2, 1, (members, *shape)).astype(np.float32), truth, rng.uniform(0.5, 2, shape)


def test_counts_above_the_ensemble_are_left_out():
    assert kept(COUNTS, 100) == [1, 5, 10, 33, 100]
    assert kept(COUNTS, 33) == [1, 5, 10, 33]
    assert summarise(day_sums(*day()))['rmse'].shape == (3,)


def test_brute_force():
    ensemble, truth, weight = day()
    found = summarise(day_sums(ensemble, truth, weight, (1, 2, 7, 12)))
    valid = np.isfinite(truth)
    x, y, w = ensemble[:, valid].astype(float), truth[valid].astype(float), weight[valid]
    variance = np.average(x.var(0, ddof=1), weights=w)
    for i, n in enumerate((1, 2, 7, 12)):
        error = x[:n].sum(0) / n - y
        assert found['rmse'][i] == pytest.approx(np.sqrt(np.average(error**2, weights=w)))
        assert found['expected'][i] == pytest.approx(np.sqrt(variance * (1 + 1 / n)))
        if n > 1:
            assert found['crps'][i] == pytest.approx(np.average(fair_crps(x[:n], y), weights=w))
    assert np.isnan(found['crps'][0])


def test_perfect_members_lie_on_the_expected_curve():
    rng = np.random.default_rng(1)
    scale = rng.uniform(0.5, 3, (60, 80))
    fields = 4 + scale * rng.normal(size=(21, 101, 60, 80))
    found = summarise(total([day_sums(one[1:], one[0], np.ones((60, 80))) for one in fields]))
    np.testing.assert_allclose(found['rmse'], found['expected'], rtol=0.01)
    np.testing.assert_allclose(found['expected'] ** 2, np.mean(scale**2) * (1 + 1 / np.array(COUNTS)), rtol=0.01)
    # of normal members the CRPS is sigma / sqrt(pi), whatever their number
    np.testing.assert_allclose(found['crps'][1:], scale.mean() / np.sqrt(np.pi), rtol=0.01)


def test_a_bias_shows_above_the_expected_curve():
    ensemble, truth, weight = day(members=100, shape=(40, 40))
    found = summarise(day_sums(ensemble + 1, truth, weight))
    np.testing.assert_allclose(found['rmse'] ** 2 - found['expected'] ** 2, 1, atol=0.2)


def test_missing_cells_and_chunks(monkeypatch):
    ensemble, truth, weight = day()
    expected = day_sums(ensemble, truth, weight)
    weight = np.where(np.isnan(truth), np.nan, weight)
    spoilt = np.where(np.isnan(truth), np.inf, ensemble)
    monkeypatch.setattr(by_number, '_VALUES', 50)
    found = day_sums(spoilt, truth, weight)
    assert set(found) == set(expected)
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], err_msg=name)
    assert sum(len(cells) for cells, _ in chunks(ensemble, np.isfinite(truth))) == 60
    spoilt[3, 4, 4] = np.nan
    with pytest.raises(ValueError, match='1 of 4 valid cells are not finite'):
        day_sums(spoilt, truth, weight)


def test_nothing_valid_and_leading_axes():
    ensemble, truth, weight = day()
    assert all(np.isnan(value).all() for value in summarise(day_sums(ensemble, truth, 0 * weight)).values())
    times = [day_sums(*day(seed)) for seed in range(6)]
    assert bootstrap(times, summarise, samples=20)['rmse'].shape == (2, 3)
    stacked = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})
    np.testing.assert_array_equal(stacked['rmse'][2], summarise(times[2])['rmse'])


def test_wrong_input():
    ensemble, truth, weight = day()
    with pytest.raises(ValueError, match='1 member'):
        day_sums(ensemble[:1], truth, weight)
    with pytest.raises(ValueError, match='expected'):
        day_sums(ensemble[:, 1:], truth, weight)
