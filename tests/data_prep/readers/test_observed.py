import cftime
import numpy as np
import pytest
import xarray as xr

from data_prep.readers.observed import Observed, to_inputs
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.geometry.boxes import box_filter
from downscale_jax.runtime.errors import UserError

CELL = 4.0  # km
DATES = np.arange('2020-03-01', '2020-03-04', dtype='datetime64[D]').astype('datetime64[ns]')


def fine(size=60, land=0):
    at = 1000 * CELL * (np.arange(size) + 0.5)
    mask = np.ones((size, size), np.int8)
    mask[size - land :] = 0
    return xr.Dataset({'mask': (('y', 'x'), mask)}, {'y': ('y', at, {'units': 'm'}), 'x': ('x', at, {'units': 'm'})})


def product(name, values, step_km, times=DATES, units='m'):
    """Canonical, its first point half a step from the corner; values [h, w] the same at all times or [T, h, w]."""
    values = np.broadcast_to(values, (len(times), *np.shape(values)[-2:]))
    at = [1000 * step_km * (np.arange(n) + 0.5) for n in values.shape[1:]]
    coords = {axis: (axis, a, {'units': 'm'}) for axis, a in zip('yx', at, strict=True)}
    data = xr.Dataset({name: (('time', 'y', 'x'), values, {'units': units})}, {'time': times, **coords})
    return canonical(data, [name])


def plane(step_km, side=240.0):
    """Metres north, in hundreds of kilometres."""
    at = step_km * (np.arange(round(side / step_km)) + 0.5) / 100
    return at[:, None] + np.zeros(at.size)


def test_a_plane_comes_through_interpolation_and_smoothing():
    products = {
        'sit': Observed(product('sit', plane(20.0), 20.0), 20.0),
        'shear': Observed(product('shear', plane(60.0), 60.0, units='day-1'), 120.0),
    }
    found = to_inputs(products, {'sit': 60.0, 'shear': 120.0}, fine(), 'sit')
    assert found['sit'].dims == ('time', 'y', 'x')
    assert found['sit'].chunks is not None
    assert (found['sit'].attrs['units'], found['shear'].attrs['units']) == ('m', 'day-1')
    inside = slice(12, -12)  # off the edges, where the last value is kept and boxes are cut
    np.testing.assert_allclose(found['sit'].values[2, inside, inside], plane(CELL)[inside, inside], rtol=1e-5)
    # as coarse as the kernel: nothing is smoothed, up to the outermost points
    np.testing.assert_allclose(found['shear'].values[0, 8:-8], plane(CELL)[8:-8], rtol=1e-5)


def test_the_whole_is_as_smooth_as_in_training():
    """A wave seen as means over 24 km and smoothed on to 60 km keeps what one box of 60 km leaves of it."""
    statics, length = fine(120), 240.0
    wave = np.cos(2 * np.pi * CELL * np.arange(120) / length) + np.zeros((120, 120))
    area = np.full((120, 120), CELL**2)

    def box(width):
        return box_filter(wave, area, width / CELL, np.full(120, width / CELL), False)

    def amplitude(field):
        return np.ptp(field[60, 20:-20]) / 2

    found = to_inputs({'sit': Observed(product('sit', box(24.0), CELL), 24.0)}, {'sit': 60.0}, statics, 'sit')
    one, too_much = np.sinc(60 / length), np.sinc(60 / length) * np.sinc(24 / length)
    assert amplitude(box(60.0)) == pytest.approx(one, abs=0.003)
    assert amplitude(found['sit'].values[0]) == pytest.approx(one, abs=0.003)
    assert too_much < one - 0.01


def test_land_gives_nothing_and_gaps_stay():
    statics = fine(60, land=10)
    values = np.full((12, 12), 2.0)
    values[-2:] = 50.0  # what a product says over our land
    values[4:8, 2:8] = np.nan
    found = to_inputs({'sit': Observed(product('sit', values, 20.0), 0.0)}, {'sit': 40.0}, statics, 'sit')['sit']
    np.testing.assert_array_equal(np.isnan(found.values[0, 50:]), True)
    assert np.isnan(found.values[0, 30, 25])  # the middle of the gap
    known = found.values[0, :40][np.isfinite(found.values[0, :40])]
    np.testing.assert_allclose(known, 2.0, rtol=1e-6)


def test_days_are_those_that_all_products_have_in_any_calendar():
    noon = DATES + np.timedelta64(12, 'h')
    halves = np.array([cftime.DatetimeNoLeap(2020, 3, day, hour) for day in (2, 3, 4) for hour in (0, 12)])
    series = np.arange(6.0)[:, None, None] + np.zeros((6, 12, 12))
    products = {
        'sit': Observed(product('sit', 10 * series[:3], 20.0, noon), 0.0),
        'sic': Observed(product('sic', series / 10, 20.0, halves, '1'), 0.0),
    }
    found = to_inputs(products, {'sit': 20.0, 'sic': 20.0}, fine(), 'sit')
    np.testing.assert_array_equal(found['time'], noon[1:])
    np.testing.assert_allclose(found['sit'].values[:, 30, 30], [10, 20])
    np.testing.assert_allclose(found['sic'].values[:, 30, 30], [0, 0.2], rtol=1e-6)  # the first of the day
    products['sic'] = Observed(product('sic', series[:3] / 10, 20.0, DATES + np.timedelta64(90, 'D'), '1'), 0.0)
    with pytest.raises(UserError, match='sit 2020-03-01 to 2020-03-03; sic 2020-05-30 to 2020-06-01'):
        to_inputs(products, {'sit': 20.0, 'sic': 20.0}, fine(), 'sit')
