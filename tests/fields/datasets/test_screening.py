"""Missing and impossible values: declared, undeclared, by physical limits."""

import logging
import warnings

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.fields.datasets.values import fill_values, plausibility
from downscale_jax.runtime.errors import UserError

CASES = ('fill_undeclared', 'fill_undeclared_1e20', 'fill_valid_range')


def dataset(values, name='t2m', dtype='float32', **attrs):
    """(time, lat, lon) around 280 K, with `values` {index: value}."""
    field = (280 + np.arange(24.0)).reshape(4, 2, 3).astype(dtype)
    for index, value in values.items():
        field[index] = value
    coords = {
        'time': np.arange('2001-01', '2001-05', dtype='M8[M]').astype('M8[ns]'),
        'lat': ('lat', [50.0, 51.0], {'units': 'degrees_north'}),
        'lon': ('lon', [0.0, 1.0, 2.0], {'units': 'degrees_east'}),
    }
    return xr.Dataset({name: (('time', 'lat', 'lon'), field, {'units': 'K', **attrs})}, coords)


def missing(data, name='t2m'):
    """Indices of the missing values of the canonical field."""
    found = canonical(data.chunk(time=1), [name])[name]
    assert found.chunks is not None
    assert found.dtype == np.float32
    return [tuple(map(int, index)) for index in np.argwhere(np.isnan(found.values))]


def error_of(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope='module')
def cases(shared_data):
    return shared_data.parent / 'cases'


def case(cases, name):
    fields = canonical(store.open_dataset(cases / f'{name}.nc'), ['t2m', 'tp'])
    units = {'t2m': 'K', 'tp': 'mm day-1'}
    return fields.assign({n: convert_units(fields[n], unit) for n, unit in units.items()}).compute()


@pytest.mark.parametrize('name', CASES)
def test_cases_of_missing_values(cases, name):
    found, right = case(cases, name), case(cases, 'units_degrees_C')
    gaps = {'t2m': 1, 'tp': 1 if name == 'fill_undeclared' else 0}
    for variable, count in gaps.items():
        values = found[variable].values
        assert np.isnan(values).sum() == count
        known = np.isfinite(values)
        np.testing.assert_allclose(values[known], right[variable].values[known], rtol=1e-6)


def test_cases_of_units(cases):
    right = case(cases, 'units_mm_day')
    for name in ('units_mm_month', 'units_degrees_C'):
        found = case(cases, name)
        for variable in ('t2m', 'tp'):
            np.testing.assert_allclose(found[variable].values, right[variable].values, rtol=2e-6)
    message = error_of(case, cases, 'fill_K_attribute_degC_values')
    assert "'t2m' has 400 values from -4.04257 to 34.0906 'K'" in message
    assert "'degC'" in message


@pytest.mark.parametrize('fill', [-9999.0, -999.0, 1e20, -1e30, 9.969209968386869e36, -32768.0, 3.4028235e38, 1e300])
@pytest.mark.parametrize('index', [(0, 1, 1), (2, 0, 2)])
def test_common_fill_values(fill, index, caplog):
    data = dataset({index: fill, (3, 1, 2): fill}, dtype='float64')
    assert missing(data) == [index, (3, 1, 2)]
    assert len(caplog.records) == 1
    assert "'t2m'" in caplog.text


@pytest.mark.parametrize(
    ('value', 'units', 'probable'), [(15.0, 'K', 'degC'), (288.0, 'degC', 'K'), (59.0, 'K', 'degC'), (-5e3, 'K', '')]
)
def test_impossible_temperatures(value, units, probable):
    data = dataset({...: value}, units=units)
    message = error_of(missing, data)
    assert f"from {value:g} to {value:g} '{units}'" in message
    assert (f"look like '{probable}'" in message) == bool(probable)


def test_values_in_the_middle_are_checked_while_they_are_read():
    found = canonical(dataset({(2, 0, 0): 20.0}).chunk(time=1), ['t2m'])
    np.testing.assert_array_equal(store.load(found.isel(time=1))['t2m'].values.ravel(), 286 + np.arange(6.0))
    assert "'t2m' has 1 values from 20 to 20 'K'" in error_of(store.load, found.isel(time=2))


@pytest.mark.parametrize(
    ('name', 'units', 'possible', 'impossible'),
    [
        ('tp', 'mm day-1', 1825.0, 1e6), ('tp', 'kg m-2 s-1', 0.01, 5.0), ('tp', 'mm/month', 3000.0, -40.0),
        ('pr', 'm', 1.5, -0.01), ('u10', 'm/s', -80.0, 250.0), ('sp', 'Pa', 5e4, 1013.0), ('sp', 'hPa', 1013.0, 1e5),
        ('sic', '1', 1.0, 85.0), ('sic', '%', 85.0, 200.0), ('hurs', '1', 1.1, 90.0), ('huss', 'kg kg-1', 0.02, 20.0),
        ('rsds', 'W m**-2', 1200.0, 1e5), ('t2m', 'degF', -60.0, 290.0), ('sit', 'm', 30.0, -20.0),
    ],
)  # fmt: skip
def test_physical_limits(name, units, possible, impossible):
    assert missing(dataset({...: possible}, name, units=units), name) == []
    assert f"'{name}'" in error_of(missing, dataset({...: impossible}, name, units=units), name)


@pytest.mark.parametrize(
    'attrs',
    [
        {'standard_name': 'air_temperature_anomaly'}, {'long_name': 'Temperature anomaly'},
        {'cell_methods': 'time: standard_deviation'}, {'units': 'sverdrup'},
        {'standard_name': 'mass_fraction_of_ozone_in_air'},
    ],
)  # fmt: skip
def test_without_limits(attrs):
    assert missing(dataset({(0, 0, 0): -3.0}, **attrs)) == []


@pytest.mark.parametrize('fill', [-9999.0, -99.0, 255.0])
def test_fill_values_of_any_quantity_stand_apart(fill, caplog):
    data = dataset({(0, 0, 1): fill, (3, 1, 1): fill, (1, 0, 0): fill}, 'vorticity', units='s-1')
    values = data['vorticity'].values
    values[values != fill] *= 1e-6
    assert missing(data, 'vorticity') == [(0, 0, 1), (1, 0, 0), (3, 1, 1)]
    assert f'the value {fill:g}' in caplog.text


@pytest.mark.parametrize('values', [{}, {(0, 0, 0): 999.0}, {(0, 0, 0): 300.0, (0, 0, 1): 300.0}])
def test_values_that_do_not_stand_apart(values):
    """A height of 999 m, once, and one that is no common fill value."""
    assert missing(dataset(values, 'z', units='m'), 'z') == []


@pytest.mark.parametrize(
    ('attrs', 'fill'),
    [
        ({'missing_value': np.float64(1e20)}, 1e20),  # never equals a float32
        ({'missing_value': '-777.7'}, -777.7),
        ({'missing_value': np.array([-777.0, -888.0])}, -888.0),
        ({'missing_value': np.float64(-777.7), '_FillValue': np.float32(1e20)}, -777.7),
        ({'missing_value': np.int32(-777)}, -777.0),
        ({'valid_range': np.array([200.0, 340.0], 'f4')}, -777.7),
        ({'valid_min': 200.0}, 7.7),
        ({'valid_max': np.int16(340)}, 345.0),
    ],
)
def test_declared(attrs, fill, caplog):
    data = dataset({(2, 1, 0): fill}, **attrs)
    assert missing(data) == [(2, 1, 0)]  # attributes that were not decoded
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', xr.SerializationWarning)
        assert missing(xr.decode_cf(data)) == [(2, 1, 0)]
    assert not caplog.records


def packed(tmp_path, raw, **attrs):
    """280 K is 8000; raw values as they stand in the file."""
    stored = dataset({}, dtype='int16')
    stored['t2m'] = (stored['t2m'] - 200) * 100
    for index, value in raw.items():
        stored['t2m'][index] = value
    stored['t2m'].attrs = {'units': 'K', 'scale_factor': 0.01, 'add_offset': 200.0, **attrs}
    stored.to_netcdf(tmp_path / 'a.nc')
    return store.open_dataset(tmp_path / 'a.nc')


@pytest.mark.parametrize(
    'attrs',
    [
        {'_FillValue': np.int16(-32767)},
        {'missing_value': np.float64(-32767)},
        {'valid_range': np.array([0, 20000], 'i2')},  # packed
        {'valid_range': np.array([200.0, 350.0])},  # a wider type: unpacked
        {'valid_min': np.int16(-100)},
        {},  # undeclared: -127.67 K
    ],
)
def test_packed(tmp_path, attrs):
    data = packed(tmp_path, {(2, 1, 0): -32767}, **attrs)
    assert missing(data) == [(2, 1, 0)]
    np.testing.assert_allclose(canonical(data, ['t2m'])['t2m'][0, 0], [280, 281, 282], rtol=1e-6)


def test_the_valid_range_itself_is_valid():
    data = dataset({(0, 0, 0): 0.1, (0, 0, 1): 0.3}, 'q9', units='1')
    data['q9'] = data['q9'].clip(0.1, 0.3).assign_attrs(units='1', valid_min=0.1, valid_max=0.3)
    assert missing(data, 'q9') == []
    assert fill_values.declared({'valid_range': [5, 1]}, {'scale_factor': -2.0})[1:] == (-11.0, -1.0)


def test_nothing_but_fill_values():
    assert 'no values other than NaN' in error_of(missing, dataset({...: -9999.0}))
    assert 'valid_range' in error_of(missing, dataset({}, valid_max=100.0))
    data = dataset({0: -9999.0, 3: -9999.0})
    assert len(missing(data)) == 12


def test_what_lies_outside_the_mask_does_not_matter():
    data = dataset({(..., 0, 0): 7.0}).assign(ocean=(('lat', 'lon'), [[0, 1, 1], [1, 1, 1]]))
    found = canonical(data, ['t2m'], mask='ocean')['t2m']
    assert int(np.isnan(found).sum()) == 4


def test_limits_follow_the_units():
    limits = plausibility.limits_of('t2m', {'units': 'degrees C'})
    np.testing.assert_allclose([limits.low, limits.high], [-123.15, 76.85])
    limits = plausibility.limits_of('anything', {'units': 'kg m-2 s-1', 'standard_name': 'precipitation_flux'})
    np.testing.assert_allclose([limits.low, limits.high], [-0.9 / 86400, 1e5 / 86400])
    assert plausibility.limits_of('t2m', {}) is None
    limits = plausibility.limits_of('pr', {'units': 'mm/day'})
    assert limits.low > -1  # a flag of missing values in radar products


@pytest.fixture(autouse=True)
def all_messages(caplog):
    caplog.set_level(logging.WARNING, logger='downscale_jax')
