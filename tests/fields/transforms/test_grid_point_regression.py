import cftime
import numpy as np
import pytest
import xarray as xr
from sklearn.linear_model import Ridge

from downscale_jax.fields.transforms.grid_point_regression import (
    RIDGE,
    NormalEquations,
    from_statics,
    predict,
    regressors,
    to_statics,
)


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    predictors = rng.normal(size=(60, 3, 4, 2)).astype(np.float32)
    slopes = rng.normal(size=(3, 3, 4, 2))  # intercept and two slopes of each grid point and target
    targets = slopes[0] + np.einsum('thwp,phwv->thwv', predictors, slopes[1:]) + rng.normal(size=(60, 3, 4, 2))
    return predictors, targets.astype(np.float32)


def fitted(predictors, targets):
    equations = NormalEquations.empty(predictors.shape[1:3], predictors.shape[-1], targets.shape[-1])
    for x, y in zip(predictors, targets, strict=True):
        equations.add(x, y)
    return equations.solve()


def test_coefficients_are_those_of_scikit_learn_at_each_grid_point(series):
    predictors, targets = series
    coefficients = fitted(predictors, targets)
    oracle = Ridge(alpha=RIDGE * 60).fit(predictors[:, 1, 2], targets[:, 1, 2])
    # the penalty of scikit-learn applies to centred predictors; these have a mean near zero
    np.testing.assert_allclose(coefficients[1:, :, 1, 2].T, oracle.coef_, atol=2e-3)
    np.testing.assert_allclose(coefficients[0, :, 1, 2], oracle.intercept_, atol=2e-3)


def test_prediction_is_the_linear_combination(series):
    predictors, targets = series
    coefficients = fitted(predictors, targets)
    field = predict(coefficients, predictors[5])
    a = coefficients[:, 1, 2, 3]
    assert field.shape == (3, 4, 2)
    np.testing.assert_allclose(field[2, 3, 1], a[0] + predictors[5, 2, 3] @ a[1:], rtol=1e-5)


def test_times_with_a_missing_value_do_not_count(series):
    predictors, targets = series
    holes = targets.copy()
    holes[:20, 1, 1] = np.nan
    coefficients = fitted(predictors, holes)
    np.testing.assert_allclose(coefficients[..., 1, 1], fitted(predictors[20:], targets[20:])[..., 1, 1], rtol=1e-5)
    np.testing.assert_array_equal(coefficients[..., 0, 0], fitted(predictors, targets)[..., 0, 0])


def test_a_grid_point_without_values_is_missing(series):
    predictors, targets = series
    targets[:, 0, 0] = np.nan
    coefficients = fitted(predictors, targets)
    assert np.isnan(coefficients[..., 0, 0]).all()
    assert np.isfinite(coefficients[..., 0, 1]).all()


def test_collinear_predictors_have_finite_coefficients(series):
    predictors, targets = series
    predictors[..., 1] = predictors[..., 0]
    coefficients = fitted(predictors, targets)
    np.testing.assert_allclose(coefficients[1], coefficients[2], rtol=1e-3)


def test_coefficients_are_kept_with_the_static_variables(series):
    statics = xr.Dataset({'mask': (('lat', 'lon'), np.ones((3, 4)))})
    coefficients = fitted(*series)
    kept = to_statics(statics, coefficients, ('t2m', 'tp'))
    np.testing.assert_array_equal(from_statics(kept, ('t2m', 'tp')), coefficients)


def test_regressors_are_predictors_and_two_harmonics_of_the_year():
    predictors = np.ones((2, 3, 2), np.float32)
    july = regressors(predictors, np.datetime64('2001-07-02T15:00'))  # half a year
    assert july.shape == (2, 3, 6)
    np.testing.assert_allclose(july[0, 0], [1, 1, -(2**0.5), 2**0.5, 0, 0], atol=0.02)


def test_a_year_of_360_days_is_a_full_cycle():
    """1 July is half a year, and 30 December a day before its end; other calendars keep years of 365.25 days."""
    predictors = np.zeros((1, 1, 0), np.float32)
    july = regressors(predictors, cftime.Datetime360Day(2001, 7, 1))[0, 0]
    np.testing.assert_allclose(july, [-(2**0.5), 2**0.5, 0, 0], atol=1e-6)
    last = regressors(predictors, cftime.Datetime360Day(2001, 12, 30))[0, 0]
    turns = 2 * np.pi * -1 / 360 * np.array([1, 2])
    np.testing.assert_allclose(last, 2**0.5 * np.concatenate([np.cos(turns), np.sin(turns)]), rtol=1e-5)
    for time in (np.datetime64('2001-12-31'), cftime.DatetimeNoLeap(2001, 12, 31)):
        turns = 2 * np.pi * 364 / 365.25 * np.array([1, 2])
        expected = np.sqrt(2) * np.concatenate([np.cos(turns), np.sin(turns)])
        np.testing.assert_array_equal(regressors(predictors, time)[0, 0], expected.astype(np.float32))
