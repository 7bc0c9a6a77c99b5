import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

# (value, units wanted, value expected): spellings of the same units
SPELLINGS = {
    (15.0, 'K', 288.15): """degC|degrees C|deg C|degree C|degrees Celsius|degree Celsius|deg. C|deg.C|°C|° C|ºC|℃|oC|C|
        c|Celsius|celsius|CELSIUS|Celcius|centigrade|degree_Celsius|degrees_Celsius|degree_C|degrees_C|deg_C|Deg_C|
        DegreeC|degreesC|Degrees C|degC |[degC]|(degC)|degree celcius""",
    (280.0, 'K', 280.0): 'k|Kelvin|kelvin|kelvins|KELVIN|degK|deg K|deg_K|degrees K|degrees Kelvin|°K|[K]',
    (15.0, 'degF', 59.0): '$^\\circ$C|$^{\\circ}$C|\\circ C|^oC|^{o}C',
    (59.0, 'K', 288.15): 'F|degF|deg F|deg_F|°F|Fahrenheit|degree F|degrees Fahrenheit|degree_fahrenheit|degrees_F',
    (2881.5, 'K', 288.15): '0.1 K|K/10|0.1K',
    (150.0, 'K', 288.15): '0.1 degC|degC/10|0.1 deg C|degrees C/10',
    (2.0, 'K day-1', 2.0): 'C/day|degC day-1|K/day|K d-1|degC d^-1|K per day|kelvin/day|degrees C per day',
    (3.0, 'm s-1', 3.0): """m/s|m s**-1|m s^-1|ms-1|m.s-1|m·s-1|m⋅s⁻¹|m s⁻¹|m s^{-1}|m s$^{-1}$|m*s-1|m*s**-1|M/S|
        m/sec|m sec-1|m/second|meters/second|metres per second|meters per second|meter second-1|(m/s)|m/s |ms^-1""",
    (10.0, 'm s-1', 5.14444): 'kt|knot|knots|kts|Knots|nautical miles per hour|nautical_mile/hour',
    (36.0, 'm s-1', 10.0): 'km/h|km h-1|kmh-1|km/hr|kph|kmph|km hour-1|kilometers per hour',
    (30.0, 'm s-1', 3.0): 'dm/s|decimeters s-1|0.1 m/s',
    (3.0, 'km h-1', 10.8): 'mps|MPS|m/s',
    (10.0, 'm s-1', 4.4704): 'mph|miles/hour|miles per hour|mi/h',
    (5.0, 'mm day-1', 5.0): """mm/d|mm d-1|mm/day|mm day**-1|mm.d-1|mm*day-1|MM/DAY|mmd-1|mmday-1|mm per day|mm / day|
        mm/24h|millimeters/day|millimetres per day|kg m-2 day-1|kg/m2/d|mm w.e. day-1|mm of water equivalent per day""",
    (1 / 86400, 'mm day-1', 1.0): """kg m-2 s-1|kg m**-2 s**-1|kg/m2/s|kg/m^2/s|Kg/m^2/s|kgm-2s-1|kg m^-2 s^-1|mm/s|
        mm s-1|kg/(m2 s)|kg/(m^2*s)|kg/(m**2 s)|kg m^(-2) s^(-1)|kg.m-2.s-1|kg m$^{-2}$ s$^{-1}$|kg m⁻² s⁻¹|
        kg per m2 per s|kilograms per square meter per second|kg m-2 sec-1|mm/sec""",
    (1.0, 'mm day-1', 24.0): 'mm/hr|mm/h|mm h-1|mm hr-1|mm hour-1|mm/hour|mmh-1|kg m-2 h-1|mm per hour|MM/HR|mm/hr.',
    (3.0, 'mm day-1', 24.0): 'mm/3h|mm/3hr|mm/(3 h)|mm/3 hours',
    (1.0, 'mm day-1', 25.4): 'inches/day|in/day|inch d-1|inches day-1|inches per day',
    (0.01, 'mm day-1', 10.0): 'm/day|m day-1|m d**-1|m of water equivalent day-1|m of water per day|m w.e. d-1',
    (0.5, 'mm', 500.0): 'm|m of water equivalent|m (w.e.)|m water equivalent|meters|metres|M|meter of water equivalent',
    (1013.0, 'Pa', 101300.0): """hPa|HPA|hpa|mb|MB|mbar|mBar|millibar|millibars|Millibars|hectopascal|hectopascals""",
    (101.3, 'hPa', 1013.0): 'kPa|KPA|kilopascals|1000 Pa|10 hPa|1e3 N m-2|1000 N/m2|cb|cbar|centibars',
    (760.0, 'Pa', 101325.0): 'mmHg|mm Hg|torr|Torr',
    (1000.0, 'hPa', 10.0): 'Pa|Pascals|pascal|PA|N m-2|N/m^2|N m**-2|newtons per square meter|kg m-1 s-2',
    (30.0, 'Pa', 101591.67): 'inHg|inches of mercury|in Hg|inches of Hg',
    (100.0, 'W m-2', 100.0): """W/m2|W/m^2|W/m**2|W m**-2|W m^-2|Wm-2|W.m-2|W m⁻²|W/m²|Watts/m2|watts m-2|J s-1 m-2|
        watt m-2|watts per square meter|W per m2|W m$^{-2}$|J/m2/s|J m-2 s-1|w/m2|kg s-3""",
    (8.64, 'W m-2', 100.0): 'MJ m-2 day-1|MJ/m2/d|MJ/m^2/day|MJ m**-2 d**-1|megajoules per square meter per day',
    (2.4, 'W m-2', 100.0): 'kWh/m2/day|kWh m-2 d-1|kilowatt-hours/m2/day|1000 Wh m-2 day-1|1e3 watt hours m-2 d-1',
    (50.0, '1', 0.5): '%|percent|Percent|per cent|pct|percentage|PERCENT',
    (0.5, '%', 50.0): """1||0-1|0 - 1|(0 - 1)|[0-1]|fraction|Fraction|unitless|dimensionless|none|-|~|ratio|m3 m-3|
        m**3 m**-3|m3/m3|m2/m2""",
    (8.0, 'kg kg-1', 0.008): 'g/kg|g kg-1|g kg**-1|gkg-1|grams/kg|g per kg|1e-3|10^-3|1.e-3 kg kg-1|10**-3|psu',
    (0.008, 'g kg-1', 8.0): 'kg kg-1|kg/kg|kg kg**-1|1|kgkg-1|Kg/Kg',
    (7.0, '1', 7e-9): 'nmol mol-1|nmol/mol|ppb|ppbv|nanomoles per mole|1e-9 mol mol-1|1e-9',
    (4.0, '1', 0.5): 'okta|oktas|eighths',
    (2.0, 'm', 2e5): '100 km|100km|1e5 m',
    (3.0, 'm', 3e3): 'km|kilometers|kilometres|KM',
    (250.0, 'm', 2.5): 'cm|centimeters|cm |0.01 m',
    (5e3, 'm', 5e3): 'gpm|geopotential meters|geopotential_metre|m',
    (1.0, 's-1', 1e-5): '1e-5 s-1|10^-5 s-1|10**-5 s**-1|1e-5/s|1.0E-5 s**-1|10^-5/s',
    (1e-5, 'day-1', 0.864): '1/s|s-1|s**-1|per second|sec-1',
    (9.0, 'm2 s-2', 9.0): 'm**2 s**-2|m2/s2|m^2/s^2|J kg-1|m2s-2|J/kg',
    (7.0, 'kg m-3', 7e-9): 'ug m-3|µg/m3|μg m⁻³|microgram m-3',
}  # fmt: skip
TABLE = [
    (spelling.strip('\n') if spelling.strip() else '', *case)
    for case, spellings in SPELLINGS.items()
    for spelling in spellings.replace('\n        ', '').split('|')
]


def error_of(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def rain(units, times, values=1.0, **attrs):
    values = np.full((len(times), 2), values, 'float32')
    return xr.DataArray(values, {'time': times}, ('time', 'x'), 'pr', {'units': units, **attrs})


def test_spellings():
    assert len(TABLE) > 300
    wrong = {}
    for own, value, wanted, expected in TABLE:
        array = xr.DataArray(np.array([value]), dims='x', name='a', attrs={'units': own})
        try:
            found = float(convert_units(array, wanted)[0])
        except UserError as error:
            wrong[own, wanted] = str(error)
            continue
        if not np.isclose(found, expected, rtol=1e-5, atol=0):
            wrong[own, wanted] = found
    assert not wrong


@pytest.mark.parametrize(
    ('own', 'wanted'),
    [
        ('degC*10', 'K'), ('°C * 10', 'K'), ('K*10', 'K'), ('10 degC', 'K'), ('deg*K', 'K'), ('degrees', 'K'),
        ('K day-1', 'K'), ('C/day', 'K'), ('C m', 'K'), ('K @ 273.15', 'K'), ('Mm/day', 'mm day-1'),
        ('mm/day-1', 'mm day-1'), ('kg/m2 s', 'mm day-1'), ('mJ m-2 day-1', 'W m-2'), ('unknown', '1'), ('', 'K'),
        ('mm/decade', 'mm day-1'), ('ms', 'm s-1'), ('dBZ', 'mm h-1'), ('1', 'K'), ('m s-1 1', 'm s-1'), ('hPa', 'm'),
        ('degrees_north', 'm'), ('fathoms_of_ice', 'm'), ('K', 'nonsense'), ('m', 's'),
    ],
)  # fmt: skip
def test_refused_by_name(own, wanted):
    message = error_of(convert_units, xr.DataArray([1.0], name='sit', attrs={'units': own}), wanted)
    assert "'sit'" in message
    assert f"'{own}'" in message or f"'{wanted}'" in message


def test_conversion_is_lazy_and_keeps_the_type():
    array = xr.DataArray(np.full(3, 15.0, 'float32'), dims='x', name='a', attrs={'units': 'degrees C'}).chunk()
    found = convert_units(array, 'K')
    assert found.chunks is not None
    assert (found.dtype, found.attrs['units']) == (np.float32, 'K')
    np.testing.assert_allclose(found, 288.15, rtol=1e-6)


def test_nothing_to_do():
    array = xr.DataArray([1.0], attrs={'units': 'm'})
    assert convert_units(array, 'm') is array
    assert convert_units(array.drop_attrs(), '').attrs == {}


def test_no_units():
    assert 'has no units' in error_of(convert_units, xr.DataArray([1.0], name='sit'), 'm')
    message = error_of(convert_units, xr.DataArray([1.0], name='sit', attrs={'units': 'm'}), 's')
    assert "'sit' has units 'm', which cannot be converted to 's'" in message


@pytest.mark.parametrize(
    ('own', 'units', 'factor'),
    [
        ('mm day-1', 'kg m-2 s-1', 1 / 86_400),
        ('kg m-2', 'm', 1e-3),
        ('m', 'mm', 1e3),
        ('kg m**-2 s**-1', 'm s-1', 1e-3),
        ('m s-1', 'kg/m^2/s', 1e3),
        ('m', '100 km', 1e-5),
    ],
)
def test_water_on_an_area_is_its_depth(own, units, factor):
    array = xr.DataArray(np.array([0.5, 2.0]), dims='x', name='tp', attrs={'units': own})
    np.testing.assert_allclose(convert_units(array, units).values, factor * array.values)


@pytest.mark.parametrize(('own', 'units'), [('m', 'mm day-1'), ('kg m-2', 'mm day-1'), ('mm', 'kg m-2 s-1')])
def test_an_amount_is_no_rate(own, units):
    array = xr.DataArray([1.0], name='tp', attrs={'units': own})
    message = error_of(convert_units, array, units)
    assert f"'tp' is an amount in '{own}' where a rate in '{units}' is expected" in message
    assert f"'{own} day-1'" in message


def test_differences_of_temperature_get_no_offset():
    anomaly = xr.DataArray([1.5], name='a', attrs={'units': 'degC', 'standard_name': 'air_temperature_anomaly'})
    np.testing.assert_allclose(convert_units(anomaly, 'K'), 1.5)
    marked = anomaly.assign_attrs(standard_name='air_temperature', units_metadata='temperature: difference')
    np.testing.assert_allclose(convert_units(marked, 'K'), 1.5)


FEBRUARY = {'standard': 29, 'noleap': 28, '360_day': 30, 'julian': 29, 'all_leap': 29}


@pytest.mark.parametrize('calendar', FEBRUARY)
@pytest.mark.parametrize('day', [1, 15, 28])
def test_months_have_their_own_lengths(calendar, day):
    times = [cftime.datetime(2000, month, day, calendar=calendar) for month in (1, 2)]
    found = convert_units(rain('mm/month', times).chunk(), 'mm day-1')
    january = 30 if calendar == '360_day' else 31
    np.testing.assert_allclose(found[:, 0], [1 / january, 1 / FEBRUARY[calendar]], rtol=1e-6)
    back = convert_units(found, 'kg m-2 month-1')
    np.testing.assert_allclose(back, 1, rtol=1e-6)


def test_years_have_their_own_lengths():
    times = np.array(['1999-07-01', '2000-07-01'], 'M8[ns]')
    np.testing.assert_allclose(convert_units(rain('m yr-1', times), 'm day-1')[:, 0], [1 / 365, 1 / 366], rtol=1e-6)


def test_months_without_times():
    array = xr.DataArray([1.0], name='a', attrs={'units': 'mm month-1'})
    assert "'mm month-1', which depend on the length of each month" in error_of(convert_units, array, 'mm day-1')


def test_monthly_sums_are_rates():
    months = np.arange('2001-01', '2001-04', dtype='M8[M]').astype('M8[ns]')
    found = convert_units(rain('mm', months, 1.0, cell_methods='area: mean time: sum'), 'mm day-1')
    np.testing.assert_allclose(found[:, 0], [1 / 31, 1 / 28, 1 / 31], rtol=1e-6)
    for times in (months[:1], months[::2]):
        assert 'is an amount' in error_of(convert_units, rain('mm', times, 1.0, cell_methods='time: sum'), 'mm day-1')
    assert 'is an amount' in error_of(convert_units, rain('mm', months), 'mm day-1')


def with_bounds(units, starts, ends, stamps, **attrs):
    values = np.ones((len(stamps), 2, 3), 'float32')
    return xr.Dataset(
        {
            'pr': (('time', 'lat', 'lon'), values, {'units': units, **attrs}),
            'time_bnds': (('time', 'bnds'), np.stack([starts, ends], -1)),
        },
        {'time': ('time', stamps, {'bounds': 'time_bnds'}), 'lat': [50.0, 51.0], 'lon': [0.0, 1.0, 2.0]},
    )


def test_bounds_of_time_tell_the_period():
    months = np.arange('2001-01', '2001-05', dtype='M8[M]').astype('M8[ns]')
    # stamped at its end, January is dated February
    data = with_bounds('mm month-1', months[:-1], months[1:], months[1:])
    found = convert_units(canonical(data, ['pr'])['pr'], 'mm day-1')
    np.testing.assert_allclose(found[:, 0, 0], [1 / 31, 1 / 28, 1 / 31], rtol=1e-6)
    hours = months[0] + np.arange(4) * np.timedelta64(6, 'h')
    data = with_bounds('mm', hours[:-1], hours[1:], hours[1:], cell_methods='time: sum')
    np.testing.assert_allclose(convert_units(canonical(data, ['pr'])['pr'], 'mm day-1'), 4, rtol=1e-6)


def test_bounds_of_time_may_run_backwards_but_must_enclose_time():
    days = np.datetime64('2001-01-01', 'ns') + np.arange(4) * np.timedelta64(1, 'D')
    backwards = with_bounds('mm', days[1:], days[:-1], days[1:], cell_methods='time: sum')
    np.testing.assert_allclose(convert_units(canonical(backwards, ['pr'])['pr'], 'mm day-1'), 1)
    empty = with_bounds('mm', days[1:], days[1:], days[1:], cell_methods='time: sum')
    assert "'pr' is a sum, but 3 of its 3 bounds" in error_of(convert_units, canonical(empty, ['pr'])['pr'], 'mm day-1')
