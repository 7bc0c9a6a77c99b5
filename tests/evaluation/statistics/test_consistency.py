import numpy as np
import pytest
import scipy.stats

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.consistency import consistency
from downscale_jax.fields.geometry.boxes import box_filter
from experiments.consistency import summarise, table

SHAPE = (12, 16)
SEA = np.full(SHAPE, 16.0)
SIZES = np.full(12, 4.0), np.full(12, 4.0)
KERNEL = 16.0  # four cells: five taps, the ends of half weight
COARSE = 2.0 + 0.1 * np.arange(12.0)[:, None] + np.zeros(16)
WAVE = np.cos(np.pi / 2 * np.arange(16)) + np.zeros(SHAPE)  # of four cells: nothing is left of it under the kernel


def of(members, coarse=COARSE, sea=SEA, periodic=True):
    return summarise(consistency(np.asarray(members), coarse, sea, SIZES, KERNEL, periodic))


def flat(value=2.0):
    return np.full(SHAPE, value)


def test_an_anomaly_that_averages_out_over_the_kernel_is_consistent():
    found = of([flat() + 0.7 * WAVE, flat() - 0.3 * WAVE], flat())
    for name in ('bias', 'rmse_member', 'rmse_mean', 'missing'):
        assert found[name] == pytest.approx(0, abs=1e-12)
    assert found['compared'] == 1


def test_a_constant_is_the_bias():
    found = of([flat(2.25) + WAVE, flat(2.25)], flat())
    assert found['bias'] == pytest.approx(0.25)
    assert found['rmse_mean'] == pytest.approx(0.25)


def test_errors_of_members_cancel_in_the_mean():
    found = of([flat(2.5), flat(1.5)], flat())
    assert found['bias'] == pytest.approx(0)
    assert found['rmse_member'] == pytest.approx(0.5)
    assert found['rmse_mean'] == pytest.approx(0)


def test_the_truth_is_consistent_with_its_filtered_self_at_a_coast_too():
    truth = np.random.default_rng(0).gamma(2.0, size=SHAPE)
    sea = np.where(np.arange(12)[:, None] + np.arange(16) > 20, 0.0, SEA)
    coarse = box_filter(truth, sea, KERNEL / 4, KERNEL / SIZES[1], False)
    found = of([np.where(sea > 0, truth, np.nan)], coarse, sea, periodic=False)
    assert found['rmse_member'] == pytest.approx(0, abs=1e-12)
    assert found['correlation_member'] == pytest.approx(1)
    assert (found['missing'], found['compared']) == (0, 1)


def test_correlation_and_errors_are_those_of_other_libraries():
    members = COARSE + np.random.default_rng(1).standard_normal((3, *SHAPE))
    sea = np.random.default_rng(2).uniform(1, 2, SHAPE)
    found = of(members, sea=sea)
    x = np.array([box_filter(m, sea, KERNEL / 4, KERNEL / SIZES[1], True) for m in members])
    y = np.broadcast_to(COARSE, x.shape)
    weights = np.broadcast_to(sea, x.shape).ravel()
    covariance = np.cov(x.ravel(), y.ravel(), aweights=weights)
    assert found['correlation_member'] == pytest.approx(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    assert found['rmse_member'] == pytest.approx(np.sqrt(np.average((x - y).ravel() ** 2, weights=weights)))
    alike = of(members)
    assert alike['correlation_mean'] == pytest.approx(
        scipy.stats.pearsonr(
            np.mean([box_filter(m, SEA, KERNEL / 4, KERNEL / SIZES[1], True) for m in members], 0).ravel(),
            COARSE.ravel(),
        ).statistic
    )


def test_boxes_that_a_gap_cuts_are_not_compared():
    members = flat()[None].repeat(2, 0)
    members[0, :, 5] = np.nan
    members[1, :, 4] = 10.0  # half of it in the box of column 2, the only one compared that it reaches
    found = of(members, flat())
    assert found['missing'] == pytest.approx(1 / 16)
    assert found['compared'] == pytest.approx(11 / 16)  # all but two columns to either side
    assert found['rmse_member'] == pytest.approx(1 / np.sqrt(2 * 11))  # 8 * 0.5 / 4 in one of two members


def test_nothing_to_compare_is_not_a_number():
    found = of(np.full((2, *SHAPE), np.nan))
    assert found['missing'] == 1
    assert np.isnan(found['bias'])


def test_days_add_up():
    days = [consistency(flat(2 + c)[None], flat(), SEA, SIZES, KERNEL, True) for c in (0.1, 0.5)]
    found = summarise(total(days))
    assert found['bias'] == pytest.approx(0.3)
    assert found['rmse_mean'] == pytest.approx(np.sqrt((0.01 + 0.25) / 2))
    assert table({'day': found}, 'm').count('\n') == 2
