"""Scores of single cells against NumPy and the library `scores`, by zone, regime and season."""

import numpy as np
import pytest
import xarray as xr
from scores import probability


@pytest.mark.parametrize(('count', 'zone'), [(1, False), (1, True), (2, False)])
def test_scores_against_numpy_and_scores(of_setting, of_samples, result_of, count, zone):
    setting = of_setting(count, zone)
    samples = of_samples(setting)
    found = result_of('pointwise', setting, samples).scores
    assert list(found) == ['coarse', 'net', 'gen_2', 'gen_9']
    for v, variable in enumerate(setting.variables):
        truth, coarse = (np.stack([getattr(one, name)[..., v] for one in samples]) for name in ('truth', 'coarse'))
        known = np.isfinite(truth)
        for above, suffix in ((-np.inf, ''), *([(variable.zone.above, '_warm')] if variable.zone else [])):
            weight = np.where(known & (coarse > above), setting.weight, 0.0)
            for method in found:
                members = np.stack([one.methods[method][..., v] for one in samples], 1).astype(float)
                expected = expected_of(members, truth, weight, variable.data_range)
                row = {name: found[method].get(setting.name(f'{name}{suffix}', variable)) for name in expected}
                if suffix:  # of the zone some scores are given
                    row = {name: row[name] for name in ('crps', 'rmse', 'spread_skill') if name in row}
                for name, estimate in row.items():
                    assert estimate[0] == pytest.approx(expected[name], rel=1e-4), (method, name, suffix)
    single, several = (set(found[method]) for method in ('net', 'gen_9'))
    names = {'spread', 'spread_skill', 'reliability'}
    expected = {setting.name(name, variable) for name in names for variable in setting.variables}
    assert several - single == expected | ({'spread_skill_warm', 'reliability_warm'} if zone else set())


def expected_of(members, truth, weight, data_range):
    known = weight > 0

    def mean(values):
        return np.average(values[known], weights=weight[known])

    error = members.mean(0) - truth
    square = mean(error**2)
    dims = ('member', 't', 'y', 'x')
    crps = probability.crps_for_ensemble(
        xr.DataArray(members, dims=dims),
        xr.DataArray(np.where(known, truth, np.nan), dims=dims[1:]),
        ensemble_member_dim='member',
        method='fair' if len(members) > 1 else 'ecdf',
        weights=xr.DataArray(weight, dims=dims[1:]),
    )
    found = {
        'crps': float(crps),
        'rmse': np.sqrt(square),
        'mae': mean(np.abs(error)),
        'bias': mean(error),
        'psnr': 10 * np.log10(data_range**2 / square),
        'rmse_member': np.sqrt(mean(((members - truth) ** 2).mean(0))),
    }
    if len(members) > 1:
        variance, count = mean(members.var(0, ddof=1)), len(members)
        below = [mean((members < truth).sum(0) == rank) for rank in range(count + 1)]
        nominal = np.arange(1, count + 1) / (count + 1)
        found['spread'] = np.sqrt(variance)
        found['spread_skill'] = np.sqrt((count + 1) / count * variance / square)
        found['reliability'] = np.abs(np.cumsum(below)[:-1] - nominal).mean()
    return found


def test_regimes_and_seasons(of_setting, of_samples, result_of):
    setting = of_setting(1, True)
    samples = of_samples(setting)
    found = result_of('pointwise', setting, samples).details['gen_9']['t']
    assert list(found.regimes) == ['below -0.3', '-0.3 to 0.3', 'over 0.3']
    assert list(found.seasons) == ['DJF', 'JJA']
    assert sum(row['share'][0] for row in found.regimes.values()) == pytest.approx(1)
    truth, coarse = (np.stack([getattr(one, name)[..., 0] for one in samples]) for name in ('truth', 'coarse'))
    error = np.stack([one.methods['gen_9'][..., 0].mean(0) for one in samples]) - truth
    summer = np.arange(6)[:, None, None] >= 3
    for row, chosen in (
        (found.regimes['over 0.3'], coarse >= 0.3),
        (found.seasons['JJA'], (coarse > 0) & summer),  # over the zone
    ):
        weight = np.where(np.isfinite(truth) & chosen, setting.weight, 0.0)
        assert row['rmse'][0] == pytest.approx(np.sqrt(np.nansum(weight * error**2) / weight.sum()), rel=1e-5)
    np.testing.assert_allclose(found.reliability.nominal, np.arange(1, 10) / 10)
    assert found.ranks.shape == (10, 3)
    assert result_of('pointwise', setting, samples).details['net']['t'].ranks is None


def test_a_time_without_the_zone_does_not_count_there(of_setting, of_samples, result_of):
    setting = of_setting(1, True)
    samples = of_samples(setting, times=2)
    cold = samples[1]._replace(coarse=np.full_like(samples[1].coarse, -1.0))
    alone, both = (result_of('pointwise', setting, some).scores['net'] for some in (samples[:1], [samples[0], cold]))
    np.testing.assert_array_equal(both['rmse_warm'][0], alone['rmse_warm'][0])
    assert both['rmse'][0] != alone['rmse'][0]


def test_times_have_the_same_sums_whatever_others_are_scored(of_setting, of_samples):
    from downscale_jax.evaluation.measures import MEASURES

    setting = of_setting(1)
    samples = of_samples(setting)
    for one in samples:  # ties of rank, drawn by the time
        one.methods['gen_9'][:] = np.round(one.methods['gen_9'])
        one.truth[:] = np.round(one.truth)
    whole, alone = MEASURES['pointwise'](setting), MEASURES['pointwise'](setting)
    for sample in samples:
        whole.add(sample)
    alone.add(samples[3])
    for key in alone.sums:
        if key[2] is None:
            for name, value in alone.sums.times(key)[0].items():
                np.testing.assert_array_equal(value, whole.sums.times(key)[3][name])


def test_tables_and_figures(of_setting, of_samples, result_of):
    setting = of_setting(2)
    found = result_of('pointwise', setting, of_samples(setting, times=2))
    assert [table.title for table in found.tables] == [f'Calibration of gen_9: label of {name}' for name in 'tr']
    assert [figure.name for figure in found.figures] == ['calibration_t', 'calibration_r', 'members_gen']
    rows = found.tables[0].rows
    assert list(rows) == ['below -0.3 K', '-0.3 to 0.3 K', 'over 0.3 K', 'DJF', 'JJA']
    details = found.details
    np.testing.assert_array_equal(rows['DJF'][1], details['coarse']['t'].seasons['DJF']['crps'])
    np.testing.assert_array_equal(rows['over 0.3 K'][2], details['gen_9']['t'].regimes['over 0.3']['rmse'])
