"""The definitions of CORDEX ML-Bench, by hand and against SciPy, and the scores of a whole prediction."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import wasserstein_distance_nd

from downscale_jax.runtime.errors import UserError
from experiments.cordex_bench import diagnostics, indices
from experiments.cordex_bench.score import score

YEARS = np.array([2000] * 5 + [2001] * 5)
RAIN = np.array([0, 0.2, 1, 0.5, 3, 5, 0.9, 1, np.nan, 4])  # wet on both sides of the new year
HOT = np.array([299, 300, 301, 305, 290, np.nan, 300.5, 280, 310, 299])


@pytest.mark.parametrize(
    ('name', 'values', 'expected'),
    [
        ('rx1day', RAIN, (3 + 5) / 2),
        ('sdii', RAIN, (1 + 3 + 5 + 1 + 4) / 5),
        ('cdd', RAIN, (2 + 1) / 2),
        ('cwd', RAIN, (1 + 1) / 2),
        ('su', HOT, (2 + 2) / 2),
        ('txx', HOT, (305 + 310) / 2),
        ('txn', HOT, (290 + 280) / 2),
    ],
)
def test_indices_by_hand(name, values, expected):
    found = getattr(indices, name)(np.stack([values, values[::-1]], -1)[:, None], YEARS)
    assert found.shape == (1, 2)
    assert found[0, 0] == pytest.approx(expected)


def test_indices_without_a_wet_day_or_a_value():
    assert np.isnan(indices.sdii(np.zeros((10, 1, 1)), YEARS)).all()
    assert np.isnan(indices.txx(np.full((10, 1, 1), np.nan), YEARS)).all()
    assert (indices.su(np.full((10, 1, 1), np.nan), YEARS) == 0).all()


def test_the_spectrum_is_centred_between_cells_and_has_corners():
    found = diagnostics.power_spectrum(np.full((3, 4, 4), 2.0))
    # |FFT2|^2 of the constant is (2 x 16)^2 at wavenumber 0, one of the four cells around the middle
    np.testing.assert_allclose(found, [32**2 / 4, 0, 0], atol=1e-9)
    assert diagnostics.power_spectrum(np.zeros((1, 128, 128))).shape == (90,)
    wave = np.cos(2 * np.pi * np.arange(8) / 4)[None, None] * np.ones((1, 8, 1))
    # two cells (0, +-2) of power (64/2)^2, hypot(0.5, 1.5) and hypot(0.5, 2.5) beside the middle: rings 1 and 2
    rings = np.bincount(np.hypot(*(np.indices((8, 8)) - 3.5)).astype(int).ravel())
    np.testing.assert_allclose(diagnostics.power_spectrum(wave)[1:3] * rings[1:3], [32**2, 32**2])


def test_missing_values_count_as_zero_in_spectrum_and_wasserstein():
    field = np.ones((1, 4, 4), np.float32)
    field[0, 0, 0] = np.nan
    zero = np.nan_to_num(field)
    np.testing.assert_allclose(diagnostics.power_spectrum(field), diagnostics.power_spectrum(zero))
    assert diagnostics.wasserstein(field, np.ones_like(field)) == pytest.approx(1 / 16)


def test_log_spectral_distance_by_hand():
    assert diagnostics.ralsd(np.array([10.0, 1]), np.array([1.0, 1])) == pytest.approx(50)
    assert diagnostics.ralsd(np.array([1.0]), np.array([0.0])) == pytest.approx(300**2)


def test_wasserstein_is_that_of_the_benchmark():
    truth, prediction = np.random.default_rng(0).gamma(0.5, 3, (2, 6, 5, 4))
    truth[0, 0, 0] = np.nan
    expected = wasserstein_distance_nd(np.nan_to_num(truth).flatten(), prediction.flatten())
    assert diagnostics.wasserstein(truth, prediction) == pytest.approx(expected)
    assert diagnostics.wasserstein(np.array([3.0, 0, 1]), np.array([6.0, 8, 5])) == 5


def targets(tasmax, pr, hour=12, **attrs):
    """Constant fields of 12 days of 4 x 4 cells; a list of values gives members."""
    time = pd.date_range(f'1981-12-26T{hour:02d}', periods=12)
    axes = {'lat': ('lat', np.arange(4.0), {'units': 'degrees_north'})}
    axes['lon'] = ('lon', np.arange(4.0), {'units': 'degrees_east'})
    fields = {}
    for name, value, units in (('tasmax', tasmax, 'K'), ('pr', pr, attrs.get('units'))):
        dims = ('member',) * np.ndim(value) + ('time', 'lat', 'lon')
        shape = (*np.shape(value), 12, 4, 4)
        values = np.broadcast_to(np.reshape(value, (*np.shape(value), 1, 1, 1)), shape).astype('float32')
        fields[name] = (dims, values, {'units': units} if units else {})
    return xr.Dataset(fields, {'time': time, **axes})


def scored(tmp_path, prediction, truth):
    for name, data in (('prediction', prediction), ('truth', truth)):
        data.to_netcdf(tmp_path / f'{name}.nc')
    score(tmp_path / 'prediction.nc', tmp_path / 'truth.nc', tmp_path / 'scores.json')
    return json.loads((tmp_path / 'scores.json').read_text())['prediction.nc']


def test_scores_of_an_ensemble_by_hand(tmp_path, capsys):
    prediction = targets([281, 283, 285], [3, 3, 3])
    prediction['pr'][:, 2] = np.nan
    found = scored(tmp_path, prediction, targets(280, 2 / 86400, hour=0, units='kg m-2 s-1'))
    hot, rain = found['tasmax'], found['pr']
    # mean |x - y| is 3, the mean distance of two of the three members 8/3
    assert hot['crps'] == pytest.approx(3 - 8 / 6)
    assert (hot['bias'], hot['mae'], hot['rmse']) == pytest.approx((3, 3, 3))
    assert hot['rmse_member'] == pytest.approx(np.sqrt((1 + 9 + 25) / 3))
    assert hot['spread_skill'] == pytest.approx(np.sqrt(4 / 3 * 4 / 9))
    assert hot['ranks'] == [4, 0, 0, 0]
    assert hot['wasserstein'] == pytest.approx(3)
    assert (hot['txx'], hot['txx_truth'], hot['txx_bias'], hot['su']) == (283, 280, 3, 0)
    assert rain['crps'] == pytest.approx(1)  # the missing day does not count
    assert rain['wasserstein'] == pytest.approx((2 + 11 * 1) / 12)  # there it counts as 0
    assert rain['rx1day_absolute_bias'] == pytest.approx(1)
    assert (rain['cwd_truth'], rain['cwd']) == (6, (3 + 6) / 2)
    assert len(rain['psd']) == 3
    assert '| tasmax |' in capsys.readouterr().out


def test_a_deterministic_prediction_has_no_ensemble_scores(tmp_path):
    found = scored(tmp_path, targets(282, 3), targets(280, 2))['tasmax']
    assert found['crps'] == found['mae'] == 2
    assert not {'spread_skill', 'ranks', 'reliability'} & set(found)


@pytest.mark.parametrize(
    ('truth', 'words'),
    [
        (targets(280, 2).drop_vars('pr'), ["'pr'", 'truth.nc']),
        (targets(280, 2).isel(lat=slice(3)), ['(4, 4)', '(3, 4)']),
        (targets(280, 2e-5), ["'pr' has no units", 'mm/day']),
        (targets(280, 2).assign_coords(time=pd.date_range('2050', periods=12)), ['1981-12-26', '2050-01-01']),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, truth, words):
    with pytest.raises(UserError) as error:
        scored(tmp_path, targets([281, 283], [3, 3]), truth)
    assert all(word in str(error.value) for word in words)


def test_nothing_to_score(tmp_path):
    with pytest.raises(UserError, match='--truth'):
        score(tmp_path, tmp_path, tmp_path / 'scores.json')
