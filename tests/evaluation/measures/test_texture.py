"""Distribution of values, semivariograms and local statistics, counted by hand."""

import numpy as np
import pytest

from downscale_jax.evaluation.drawing import style
from downscale_jax.evaluation.measures.semivariogram import Semivariogram
from downscale_jax.evaluation.statistics.distributions import PERCENTILES
from downscale_jax.fields.geometry.places import Places


@pytest.mark.parametrize('count', [1, 2])
def test_half_the_amplitude(of_setting, of_samples, result_of, count):
    setting = of_setting(count)
    samples = [
        one._replace(methods={**one.methods, 'net': np.nan_to_num(one.truth[None]) / 2}) for one in of_samples(setting)
    ]
    result = result_of('distribution', setting, samples)
    variogram = result_of('semivariogram', setting, samples)
    assert set(result.scores) == set(variogram.scores) == {'coarse', 'net', 'gen_2', 'gen_9'}
    for v, variable in enumerate(setting.variables):
        name = setting.name('total_variation', variable)
        assert result.scores['net'][name][0] == pytest.approx(-0.5)
        assert result.scores['coarse'][name][0] < -0.2  # smooth
        assert variogram.scores['net'][setting.name('semivariogram', variable)][0] == pytest.approx(0.75)
        np.testing.assert_allclose(variogram.details['methods']['net'][variable.name][:, 0], 0.25, rtol=1e-6)
        truth, net = (result.details[method][variable.name] for method in ('truth', 'net'))
        np.testing.assert_allclose(net.percentiles, truth.percentiles / 2, rtol=1e-6)
        fields = np.stack([one.truth[..., v] for one in samples])
        known = np.isfinite(fields)
        weights = np.broadcast_to(setting.weight, fields.shape)[known]
        expected = np.percentile(fields[known], PERCENTILES, weights=weights, method='inverted_cdf')
        np.testing.assert_allclose(truth.percentiles, expected, rtol=1e-6)
        assert truth.squared_error.size == 0
        by_time = np.nansum(setting.weight * (fields / 2) ** 2, (1, 2)) / (setting.weight * known).sum((1, 2))
        np.testing.assert_allclose(net.squared_error, by_time, rtol=1e-5)


def test_of_an_ensemble_the_mean_is_taken(of_setting, of_samples, result_of):
    setting = of_setting(1)
    samples = [
        one._replace(methods={**one.methods, 'net': one.methods['gen_9'].mean(0, dtype=float)[None].astype('f4')})
        for one in of_samples(setting, times=2)
    ]
    for name in ('distribution', 'semivariogram', 'places', 'spectra', 'anomaly_correlation'):
        scores = result_of(name, setting, samples).scores
        for key, estimate in scores['net'].items():
            np.testing.assert_array_equal(estimate, scores['gen_9'][key])


def test_the_semivariogram_of_the_truth(of_setting, of_fields, result_of):
    """Of noise it is 1 at every distance; distances that no two cells have are left out."""
    setting = of_setting(1)
    rng = np.random.default_rng(0)
    samples = []
    for index in range(4):
        truth = rng.normal(3, 2, (*setting.weight.shape, 1))
        samples.append(of_fields(setting, truth, dict.fromkeys(setting.shown, truth), index=index))
    found = result_of('semivariogram', setting, samples)
    np.testing.assert_array_equal(found.details['kilometres'], [100, 200, 300, 500])
    np.testing.assert_allclose(found.details['truth']['t'], 1, atol=0.1)
    assert found.scores['net']['semivariogram'][0] == 0


def test_no_distance_fits(of_setting, of_samples):
    setting = of_setting(1)
    far = setting.statics.assign_coords({name: setting.statics[name] * 1000 for name in 'yx'})
    measure = Semivariogram(of_setting(1, statics=far))
    for sample in of_samples(setting, times=1):
        measure.add(sample)
    result = measure.result()
    assert (result.scores, result.figures, len(result.notes)) == ({}, (), 1)


def test_rotated_axes_without_latitudes_have_no_semivariogram(of_setting, of_samples, result_of):
    setting = of_setting(1)
    rows, columns = (0.1 * np.arange(setting.statics.sizes[name]) for name in 'yx')
    rotated = setting.statics.drop_vars(['lat', 'lon', 'y', 'x']).assign_coords(rlat=('y', rows), rlon=('x', columns))
    result = result_of('semivariogram', of_setting(1, statics=rotated), of_samples(setting, times=1))
    assert (result.scores, result.figures) == ({}, ())
    (note,) = result.notes
    assert note.startswith('No semivariogram: the grid has the coordinates rlat, rlon')


@pytest.fixture
def local(of_setting, of_fields, result_of):
    """local(series, places): series {method: [T, P]} at the first cells of row 10 and, by default, a place in each."""

    def call(series):
        setting = of_setting(1)
        lat, lon = (setting.statics[name].values[10] for name in ('lat', 'lon'))
        count = series['truth'].shape[1]
        here = Places(tuple(f'place {i}' for i in range(count)), lat[:count], lon[:count])
        setting = of_setting(1, places=here, singles=tuple(m for m in series if m not in ('truth', 'coarse')))
        setting = of_setting(
            1, places=here, singles=setting.singles, ensembles={}, main='net', shown=('coarse', *setting.singles)
        )
        samples = []
        for index in range(len(series['truth'])):
            fields = {name: np.zeros((*setting.weight.shape, 1)) for name in series}
            for name, values in series.items():
                fields[name][10, :count, 0] = values[index]
            truth = fields.pop('truth')
            samples.append(of_fields(setting, truth, fields, index=index))
        return result_of('places', setting, samples)

    return call


def test_places_are_counted(local):
    """Distances of net 0.1, 1, 0.5 and 0.5, of coarse 1, 0.1, 0.52 and 0.6: better, worse, equal, better."""
    truth = np.array([[0.0] * 4, [10.0] * 4])
    of_coarse, of_net = np.array([[1, -0.1, 0.52, 0.6], [0.1, 1, -0.5, 0.5]])
    # the order of times does not matter to a distribution
    found = local({'truth': truth, 'coarse': truth + of_coarse, 'exact': truth, 'net': (truth + of_net)[::-1]})
    row = found.details['net']['coarse']['t']
    assert (row.better, row.worse, row.equal) == (2, 1, 1)
    np.testing.assert_array_equal(row.difference, [1, np.nan, np.nan])  # two times give no interval
    back = found.details['coarse']['net']['t']
    assert (back.better, back.worse, back.equal) == (1, 2, 1)  # a tenth of the rival's: 0.6 is worse than 1.1 x 0.5
    perfect = found.details['exact']['net']['t']
    assert (perfect.better, perfect.difference[0]) == (4, 4)
    assert found.scores['net']['wasserstein'][0] == pytest.approx(2.1 / 4)
    assert found.scores['coarse']['wasserstein'][0] == pytest.approx(2.22 / 4)
    tables = {table.title: table.rows for table in found.tables}
    assert [cell[0] for cell in tables['Local statistics: net']['t, against coarse']] == [2, 1, 1, 1]


def test_a_single_place(local, tmp_path):
    rng = np.random.default_rng(0)
    found = local({name: rng.normal(size=(9, 1)) for name in ('truth', 'coarse', 'net')})
    assert found.scores['net']['wasserstein'][0] > 0
    style.save(found.figures[0].drawing, tmp_path / 'places.png')


def test_counts_of_places_have_intervals(local):
    """Nine times at two places: where one method is the truth the count is two in every resample."""
    truth = np.random.default_rng(0).normal(size=(9, 2))
    found = local({'truth': truth, 'coarse': truth + 1, 'net': truth}).details
    np.testing.assert_array_equal(found['net']['coarse']['t'].difference, [2, 2, 2])
    np.testing.assert_array_equal(found['coarse']['net']['t'].difference, [-2, -2, -2])


def test_a_place_without_values_does_not_cost_the_others(local):
    truth = np.array([[0.0, np.nan], [10.0, np.nan]])
    found = local({'truth': truth, 'coarse': truth + 1, 'net': truth})
    assert found.scores['coarse']['wasserstein'][0] == pytest.approx(1)


def test_places_on_the_grid(of_setting, of_samples, result_of):
    setting = of_setting(1)
    samples = of_samples(setting, times=2)
    (note,) = result_of('places', setting, samples).notes
    assert '2 places: one, two' in note
    nowhere = setting.statics.drop_vars(['lat', 'lon'])
    for other in (
        of_setting(1, statics=nowhere),
        of_setting(1, places=Places(('far',), np.array([-60.0]), np.array([50.0]))),
    ):
        result = result_of('places', other, samples)
        assert (result.scores, result.figures, len(result.notes)) == ({}, (), 1)


def test_a_time_without_truth_does_not_cost_the_places(local):
    truth = np.array([[0.0, 5.0], [np.nan, np.nan], [10.0, 6.0]])
    found = local({'truth': truth, 'coarse': np.nan_to_num(truth) + 1, 'net': np.nan_to_num(truth)})
    assert found.scores['coarse']['wasserstein'][0] == pytest.approx(1)
    assert found.scores['net']['wasserstein'][0] == 0
    assert found.details['net']['coarse']['t'].better == 2
