"""High values against the library `scores` and weighted quantiles."""

import numpy as np
import pytest
import xarray as xr
from scores import probability, spatial

from downscale_jax.evaluation.measures.extremes import EVENT, HIGH, Extremes
from downscale_jax.evaluation.statistics import extremes


def weighted_quantile(values, weights, level):
    order = np.argsort(values.ravel())
    below = weights.ravel()[order].cumsum()
    return values.ravel()[order[np.searchsorted(below, level * below[-1])]]


@pytest.mark.parametrize('count', [1, 2])
def test_quantiles_and_tails(of_setting, of_samples, result_of, count):
    setting = of_setting(count)
    samples = of_samples(setting, times=3)
    found = result_of('extremes', setting, samples)
    for v, variable in enumerate(setting.variables):
        details = found.details[variable.name]
        truth = np.stack([one.truth[..., v] for one in samples]).astype(float)
        known = np.isfinite(truth)
        weight = np.broadcast_to(setting.weight, truth.shape)
        dims = ('member', 't', 'y', 'x')
        for method in ('net', 'gen_9'):
            members = np.stack([one.methods[method][..., v] for one in samples], 1).astype(float)
            pooled, by = members[:, known], np.broadcast_to(weight[known], (len(members), known.sum()))
            for level, threshold, error, tail in zip(
                extremes.LEVELS,
                setting.reference.thresholds[v],
                details.methods[method]['quantile_error'][:, 0],
                details.methods[method]['tail_crps'][:, 0],
                strict=True,
            ):
                quantiles = [weighted_quantile(*pair, level) for pair in ((pooled, by), (truth[known], weight[known]))]
                assert error == pytest.approx(quantiles[0] - quantiles[1], abs=0.03 * (1, 5)[v])
                crps = probability.tail_tw_crps_for_ensemble(
                    xr.DataArray(members, dims=dims),
                    xr.DataArray(truth, dims=dims[1:]),
                    ensemble_member_dim='member',
                    threshold=threshold,
                    tail='upper',
                    method='fair' if len(members) > 1 else 'ecdf',
                    weights=xr.DataArray(weight, dims=dims[1:]),
                )
                assert tail == pytest.approx(float(crps), rel=1e-5)
            row = found.scores[method]
            high, event = extremes.LEVELS.index(HIGH), extremes.LEVELS.index(EVENT)
            for score, expected in (
                ('tail', details.methods[method]['quantile_error'][high]),
                ('tail_crps', details.methods[method]['tail_crps'][event]),
                ('fss', details.methods[method]['fss'][event, 0]),
            ):
                np.testing.assert_array_equal(row[setting.name(score, variable)], expected)


def test_the_fractions_skill_score_is_that_of_the_library(of_setting, of_fields, result_of):
    """Of one field and a truth without gaps, all cells alike: windows of 5 cells away from the edge."""
    grid = of_setting(1).statics
    grid = grid.assign(mask=grid['mask'] | True, cell_area=0 * grid['cell_area'] + 1)
    setting = of_setting(1, statics=grid)
    truth, found = np.random.default_rng(0).normal(size=(2, *setting.weight.shape, 1))
    found = np.where(np.roll(truth, 2, 1) > 1, found + 2, found)
    # beyond the edge the library counts no events, this one no cells: events stay away from it
    frame = np.zeros(truth.shape, bool)
    frame[4:-4, 4:-4] = True
    truth, found = (np.where(frame, field, -3) for field in (truth, found))
    details = result_of('extremes', setting, [of_fields(setting, truth, {'net': found})]).details['t']
    theirs = [
        spatial.fss_2d_single_field(
            found[..., 0], truth[..., 0], event_threshold=threshold, window_size=(5, 5), zero_padding=True
        )
        for threshold in setting.reference.thresholds[0]
    ]
    assert details.windows == (5, 13)
    ours = details.methods['net']['fss'][..., 0]
    np.testing.assert_allclose(ours[:, 0], theirs, rtol=1e-6)
    assert 0.1 < ours[1, 0] < 0.9
    assert ours[1, 1] > ours[1, 0]  # windows of about three coarse cells are kinder


def test_windows_have_a_cell_in_the_middle(of_setting):
    wide = [variable._replace(coarse_cells=5) for variable in of_setting(2).variables]
    assert Extremes(of_setting(2, variables=tuple(wide)))._windows == [(5, 15)] * 2


def test_the_table(of_setting, of_samples, result_of):
    setting = of_setting(1)
    found = result_of('extremes', setting, of_samples(setting, times=2))
    (table,) = found.tables
    details = found.details['t']
    assert (table.title, table.columns) == ('Extremes: label of t (K)', ['0.9', '0.95', '0.99', '0.995', '0.999'])
    assert [cell[0] for cell in table.rows['Threshold']] == list(setting.reference.thresholds[0])
    methods = details.methods
    np.testing.assert_array_equal(table.rows['Quantile bias: net'], methods['net']['quantile_error'])
    np.testing.assert_array_equal(table.rows['CRPS of the tail: gen_9'], methods['gen_9']['tail_crps'])
    np.testing.assert_array_equal(table.rows['FSS, 5 cells: coarse'], methods['coarse']['fss'][:, 0])
    np.testing.assert_array_equal(table.rows['FSS, 13 cells: gen_2'], methods['gen_2']['fss'][:, 1])
