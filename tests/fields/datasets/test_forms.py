"""One data set, written in many layouts found in practice, is read identically."""

import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import cftime
import numpy as np
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from downscale_jax.downscale.inputs import checked
from downscale_jax.fields.datasets.store import open_dataset
from downscale_jax.fields.geometry.alignment import aligned

LAT, LON = 30 + 0.5 * np.arange(6), -1.75 + 0.5 * np.arange(8)  # across Greenwich
DAYS = 5
T2M = {
    'K': (1, 0), 'Kelvin': (1, 0), 'deg_K': (1, 0), 'degC': (1, -273.15), 'degrees C': (1, -273.15),
    '°C': (1, -273.15), 'Celsius': (1, -273.15), 'deg. C': (1, -273.15), 'degF': (1.8, -459.67),
}  # fmt: skip
TP = {
    'mm day-1': 1, 'mm/day': 1, 'mm d-1': 1, 'kg m-2 day-1': 1, 'kg m-2 s-1': 1 / 86400, 'kg m**-2 s**-1': 1 / 86400,
    'm s-1': 1e-3 / 86400, 'mm/hr': 1 / 24, 'cm day**-1': 0.1, 'inches/day': 1 / 25.4,
}  # fmt: skip
NAMES = [('t2m', 'tp'), ('tas', 'pr'), ('2t', 'tprate'), ('air', 'prate')]
ORDERS = [('time', 'lat', 'lon'), ('time', 'lon', 'lat'), ('lat', 'lon', 'time')]
CALENDARS = ['standard', 'proleptic_gregorian', 'julian', 'noleap', 'all_leap', '360_day']


class Wanted(NamedTuple):
    """What `checked` needs to know of a transform."""

    inputs: tuple[str, ...] = ('t2m', 'tp')
    input_units: tuple[str, ...] = ('K', 'mm day-1')


class Form(NamedTuple):
    """One way to write the data set."""

    names: tuple[str, str]
    units: tuple[str, str]
    order: tuple[str, ...]
    descending: bool
    convention: str  # longitudes from -180 or 0, or these in increasing order
    planes: bool  # 2-D latitudes and longitudes on y and x
    long_names: bool  # latitude, longitude
    storage: str
    year: int
    calendar: str
    time_units: str
    files: str
    container: str
    height: bool


FORMS = st.builds(
    Form,
    names=st.sampled_from(NAMES),
    units=st.tuples(st.sampled_from(list(T2M)), st.sampled_from(list(TP))),
    order=st.sampled_from(ORDERS),
    descending=st.booleans(),
    convention=st.sampled_from(['-180', '0', 'sorted']),
    planes=st.booleans(),
    long_names=st.booleans(),
    storage=st.sampled_from(['float32', 'float64', 'int16', '-9999', '1e20', 'missing_value']),
    year=st.sampled_from([1, 850, 1836, 1999, 2300]),
    calendar=st.sampled_from(CALENDARS),
    time_units=st.sampled_from(['days', 'hours', 'minutes', 'seconds']),
    files=st.sampled_from(['one', 'times', 'variables', 'overlap']),
    container=st.sampled_from(['netcdf4', 'netcdf3', 'zarr', 'zip']),
    height=st.booleans(),
)


def truth(year, calendar):
    rng = np.random.default_rng(0)
    shape = (DAYS, LAT.size, LON.size)
    values = {'t2m': rng.uniform(250, 300, shape), 'tp': rng.gamma(0.5, 4, shape)}
    values['t2m'][2, 1, 3] = values['tp'][2, 1, 3] = np.nan
    times = [cftime.datetime(year, 2, 25, 12, calendar=calendar) + np.timedelta64(d, 'D').item() for d in range(DAYS)]
    return values, times


def written(form, folder):
    """The paths of the data set in a form."""
    values, times = truth(form.year, form.calendar)
    factor, offset = T2M[form.units[0]]
    arrays = {'t2m': factor * values['t2m'] + offset, 'tp': TP[form.units[1]] * values['tp']}
    since = f'{form.time_units} since {max(form.year - 1, 1):04d}-01-01'
    numbers = cftime.date2num(times, since, calendar=form.calendar)
    lon = LON if form.convention == '-180' else LON % 360
    data = xr.Dataset(
        {name: (('time', 'lat', 'lon'), arrays[own], {'units': unit})
         for name, own, unit in zip(form.names, arrays, form.units, strict=True)},
        {
            'time': ('time', numbers.astype(float), {'units': since, 'calendar': form.calendar}),
            'lat': ('lat', LAT, {'units': 'degrees_north'}),
            'lon': ('lon', lon, {'units': 'degrees_east'}),
        },
    )  # fmt: skip
    if form.convention == 'sorted':
        data = data.sortby('lon')
    if form.descending:
        data = data.isel(lat=slice(None, None, -1))
    if form.planes:
        lat2, lon2 = np.meshgrid(data['lat'], data['lon'], indexing='ij')
        planes = {'lat': (('y', 'x'), lat2, data['lat'].attrs), 'lon': (('y', 'x'), lon2, data['lon'].attrs)}
        data = data.drop_vars(['lat', 'lon']).rename(lat='y', lon='x').assign_coords(planes)
        data = data.transpose(*({'lat': 'y', 'lon': 'x'}.get(d, d) for d in form.order))
    else:
        data = data.transpose(*form.order)
    if form.long_names:
        data = data.rename(lat='latitude', lon='longitude')
    if form.height:
        data = data.assign_coords(height=((), 2.0, {'units': 'm', 'positive': 'up'}))
    encoding = {name: encoded(form.storage, data[name]) for name in form.names}
    halves = {
        'one': [data],
        'times': [data.isel(time=slice(3)), data.isel(time=slice(3, None))],
        'overlap': [data.isel(time=slice(4)), data.isel(time=slice(2, None))],
        'variables': [data[[name]] for name in form.names],
    }[form.files]
    paths = []
    for number, part in enumerate(halves):
        own = {name: encoding[name] for name in part.data_vars}
        paths.append(stored(part, own, form.container, folder / f'part{number}'))
    return paths


def encoded(storage, array):
    low, high = float(array.min()), float(array.max())
    if storage == 'int16':
        scale = (high - low) / 60000
        return {'dtype': 'int16', 'scale_factor': scale, 'add_offset': (low + high) / 2, '_FillValue': -32768}
    fill = {'-9999': -9999.0, '1e20': 1e20, 'missing_value': -999.0}.get(storage, np.nan)
    key = 'missing_value' if storage == 'missing_value' else '_FillValue'
    return {'dtype': storage if storage.startswith('float') else 'float32', key: fill}


def stored(data, encoding, container, stem):
    if container in ('zarr', 'zip'):
        path = stem.with_suffix('.zarr')
        own = {name: {k: v for k, v in options.items() if k != 'missing_value'} for name, options in encoding.items()}
        data.to_zarr(path, encoding=own, zarr_format=2, consolidated=False)
        return path if container == 'zarr' else shutil.make_archive(str(path), 'zip', path)
    path = stem.with_suffix('.nc')
    data.to_netcdf(path, encoding=encoding, format='NETCDF4' if container == 'netcdf4' else 'NETCDF3_64BIT')
    return path


REFERENCE = xr.Dataset(
    {'mask': (('lat', 'lon'), np.ones((LAT.size, LON.size)))}, {'lat': ('lat', LAT), 'lon': ('lon', LON)}
)
SEASONAL = Form(  # as seasonal forecasts of ECMWF, with a unit of rain that the random forms may miss
    names=('2t', 'tprate'), units=('K', 'm s-1'), order=('time', 'lat', 'lon'), descending=True, convention='0',
    planes=False, long_names=True, storage='int16', year=1999, calendar='standard', time_units='hours', files='one',
    container='netcdf4', height=False,
)  # fmt: skip


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@example(SEASONAL)
@given(FORMS)
def test_every_form_is_read_as_the_same_data(form):
    with tempfile.TemporaryDirectory() as folder:
        paths = written(form, Path(folder))
        fields = aligned(checked(open_dataset([str(path) for path in paths]), Wanted(), 'file'), REFERENCE, 1, 'file')
        values, times = truth(form.year, form.calendar)
        tolerance = {'t2m': 2e-3, 'tp': 2e-3} if form.storage == 'int16' else {'t2m': 1e-3, 'tp': 1e-4}
        for name in values:
            np.testing.assert_allclose(fields[name].values, values[name], atol=tolerance[name], rtol=1e-5)
        assert [str(t)[:10] for t in fields['time'].values] == [t.strftime('%Y-%m-%d').zfill(10) for t in times]
