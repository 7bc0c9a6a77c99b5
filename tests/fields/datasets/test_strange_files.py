"""Strange files, each read at its right values, times and place, or refused in one line that names the cause."""

import json
import os
import shutil

import cftime
import netCDF4
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.units import convert_units
from downscale_jax.runtime.errors import UserError

LAT, LON = np.linspace(30, 32, 4), np.linspace(-1, 1, 5)
VALUES = np.random.default_rng(0).uniform(250, 300, (3, 4, 5)).astype(np.float32)
HOURS = 12.0 + 24 * np.arange(3)
SINCE = 'hours since 2000-02-28'
NORTH, EAST = {'units': 'degrees_north'}, {'units': 'degrees_east'}
PACKED = {**NORTH, 'scale_factor': 1 / 600}


def raw(values=VALUES, hours=HOURS, since=SINCE, calendar='standard', **attrs):
    """A data set as it stands in a file: numbers, and attributes that say what they mean."""
    time = {'units': since, 'calendar': calendar}
    return xr.Dataset(
        {'t2m': (('time', 'lat', 'lon'), values, {'units': 'K', **attrs})},
        {'time': ('time', hours, time), 'lat': ('lat', LAT, NORTH), 'lon': ('lon', LON, EAST)},
    )


def stamped_at_the_ends(step=24.0, calendar='standard'):
    """Of periods of so many hours, given by bounds."""
    ends = HOURS - 12 + step
    axis = {'units': SINCE, 'calendar': calendar, 'bounds': 'edges'}
    data = raw(calendar=calendar).assign_coords(time=('time', ends, axis))
    return data.assign(edges=(('time', 'n'), np.stack([ends - step, ends], 1)))


def planes(lat, lon):
    moved = raw().drop_vars(['lat', 'lon']).rename(lat='y', lon='x')
    return moved.assign_coords(lat=(('y', 'x'), lat, NORTH), lon=(('y', 'x'), lon, EAST))


def packed(values, dtype, **attrs):
    return raw(np.round((values - 240) / 0.001).astype('u2').view(dtype), scale_factor=0.001, add_offset=240.0, **attrs)


def as_numbers(dates, since, calendar):
    return cftime.date2num([cftime.datetime(*date, calendar=calendar) for date in dates], since, calendar)


def read(folder, *datasets):
    for number, dataset in enumerate(datasets):
        plain = {name: {'_FillValue': None} for name in dataset.variables if '_FillValue' not in dataset[name].attrs}
        dataset.to_netcdf(folder / f'{number}.nc', encoding=plain)
    return canonical(store.open_dataset(str(folder / '*.nc')), ['t2m'])


DATES = [(2000, 2, 28, 12), (2000, 2, 29, 12), (2000, 3, 1, 12)]
READ = {
    'unsigned': packed(VALUES, 'i2', _Unsigned='true', _FillValue=np.int16(-1), valid_range=np.array([0, -2], 'i2')),
    'range as text': raw(np.where(VALUES > 299.5, np.float32(-5), VALUES), valid_range='0, 400'),
    'noise': raw(hours=HOURS + np.array([1e-9, -1e-9, -1e-8])),
    'since the year 1': raw(
        hours=as_numbers(DATES, 'days since 1-1-1', 'standard'), since='days since 1-1-1', calendar='standard'
    ),
    'east of Greenwich': raw(hours=HOURS + 1, since=f'{SINCE} 00:00:00 +1:00'),
    'west of Greenwich': raw(hours=HOURS - 5.5, since=f'{SINCE}T00:00:00-0530'),
    'no calendar': raw(calendar=''),
    'capitals': raw(since='Hours Since 2000-02-28'),
    'ends of days': stamped_at_the_ends(),
    'text': raw().assign_coords(time=('time', ['2000-02-28T12:00', '2000-02-29 12:00Z', '2000-03-01_12:00:00'])),
    'descending longitudes': raw().isel(lon=slice(None, None, -1)),
    'degrees west': raw().assign_coords(lon=('lon', -LON, {'units': 'degrees_west'})),
    'degrees south': raw().assign_coords(lat=('lat', -LAT, {'units': 'degrees_south'})),
    'arc minutes': raw().assign_coords(lat=('lat', 60 * LAT, {'units': 'arcminutes', 'standard_name': 'latitude'})),
    'arc seconds': raw().assign_coords(lat=('lat', 3600 * LAT, {'units': 'arc_second', 'standard_name': 'latitude'})),
    'packed axes': raw().assign_coords(lat=('lat', np.round(600 * LAT).astype('i2'), PACKED)),
}  # fmt: skip


@pytest.mark.parametrize('form', READ)
def test_read(tmp_path, form):
    found = read(tmp_path, READ[form])
    expected = np.where(VALUES > 299.5, np.nan, VALUES) if 'range' in form else VALUES
    turned = found.sortby(['lat', 'lon'])
    np.testing.assert_allclose(turned['t2m'], expected, atol=6e-4)
    np.testing.assert_allclose(turned['lat'], LAT, atol=1e-3)
    np.testing.assert_allclose(turned['lon'], LON, atol=1e-3)
    assert [str(time)[:19] for time in found['time'].values] == [
        '2000-02-28T12:00:00', '2000-02-29T12:00:00', '2000-03-01T12:00:00',
    ]  # fmt: skip


def test_means_stamped_at_the_ends_of_months_belong_to_them(tmp_path):
    """As CESM stamps them."""
    ends = np.array([31.0, 59, 90])
    axis = {'units': 'days since 2000-01-01', 'calendar': 'noleap', 'bounds': 'edges'}
    data = raw().assign_coords(time=('time', ends, axis))
    data['edges'] = ('time', 'n'), np.stack([[0.0, 31, 59], ends], 1)
    found = read(tmp_path, data)
    assert found['time'].dt.month.values.tolist() == [1, 2, 3]
    assert [time.day for time in found['time'].values] == [16, 15, 16]


def test_sums_over_hours_stay_at_their_ends(tmp_path):
    """Beside values of a moment on the same axis."""
    found = read(tmp_path, stamped_at_the_ends(6.0))
    assert found['time'].dt.hour.values.tolist() == [6, 6, 6]


def test_offsets_from_utc_in_every_calendar(tmp_path):
    found = read(tmp_path, raw(since=f'{SINCE} 00:00:00 +1:00', calendar='360_day'))
    assert [time.isoformat() for time in found['time'].values][:2] == ['2000-02-28T11:00:00', '2000-02-29T11:00:00']


def test_bounds_in_the_units_of_their_axis(tmp_path):
    edges = np.deg2rad(np.stack([LON - 0.25, LON + 0.25], 1))
    east = {'units': 'radians', 'standard_name': 'longitude', 'bounds': 'edges'}
    found = read(tmp_path, raw().assign_coords(lon=('lon', np.deg2rad(LON), east)).assign(edges=(('lon', 'n'), edges)))
    np.testing.assert_allclose(found['lon'], LON, atol=1e-9)
    np.testing.assert_allclose(found['lon_bnds'], np.rad2deg(edges), atol=1e-9)


def test_variables_that_repeat_a_dimension_are_left_out(tmp_path, caplog):
    raw().to_netcdf(tmp_path / '0.nc')
    with netCDF4.Dataset(tmp_path / '0.nc', 'a') as file:
        file.createVariable('covariance', 'f4', ('lat', 'lat'))
    np.testing.assert_array_equal(canonical(store.open_dataset(tmp_path / '0.nc'), ['t2m'])['t2m'], VALUES)
    assert 'covariance left out' in caplog.text


@pytest.mark.parametrize(('fill', 'cells'), [((0.0, 0.0), 2), ((-9999.0, -9999.0), 1)])
def test_positions_of_land_are_missing(tmp_path, fill, cells):
    lat, lon = np.meshgrid(LAT, LON, indexing='ij')
    for column in range(cells):
        lat[0, column], lon[0, column] = fill
    found = read(tmp_path, planes(lat, lon))
    assert np.isnan(found['lat'].values).sum() == np.isnan(found['lon'].values).sum() == cells
    np.testing.assert_array_equal(found['lat'][1:], lat[1:])


def test_bounds_inherit_the_calendar_of_their_axis(tmp_path):
    """xarray writes bounds with units of their own and without a calendar."""
    months = np.arange(3)
    axis = {'units': 'days since 2000-01-16', 'calendar': '360_day', 'bounds': 'edges'}
    data = raw(VALUES * 30, cell_methods='time: sum').assign_coords(time=('time', months * 30.0, axis))
    data['t2m'].attrs['units'] = 'mm month-1'
    data['edges'] = ('time', 'n'), np.stack([months * 30.0, months * 30.0 + 30], 1), {'units': 'days since 2000-01-01'}
    found = read(tmp_path, data)
    np.testing.assert_allclose(convert_units(found['t2m'], 'mm day-1'), VALUES, rtol=1e-6)


@pytest.mark.parametrize(
    ('name', 'values', 'message'),
    [
        ('plev', (85000.0, 50000.0), 'levels 850 and 500'),
        ('height', (2.0, 100.0), 'levels 2 and 100'),
        ('realization', (1, 2), 'members 1 and 2'),
    ],
)
def test_files_of_other_fields_are_not_one_series(tmp_path, name, values, message):
    attrs = {'units': 'Pa' if name == 'plev' else 'm' if name == 'height' else '1'}
    halves = [raw().isel(time=slice(2)), raw().isel(time=slice(2, None))]
    parts = [half.assign_coords({name: ((), value, attrs)}) for half, value in zip(halves, values, strict=True)]
    with pytest.raises(UserError, match=message):
        read(tmp_path, *parts)
    same = [half.assign_coords({name: ((), values[0], attrs)}) for half in halves]
    np.testing.assert_array_equal(read(tmp_path, *same)['t2m'], VALUES)


REFUSED = {
    "'time' are missing": raw(hours=np.array([12, 9.96921e36, 60])),
    'scale_factor = 0.001': raw(scale_factor='0.001'),
    'scale_factor = 0.0': raw(scale_factor=0.0),
    'add_offset = nan': raw(add_offset=np.nan),
    'latitudes from -90 to 90': raw().assign_coords(lat=('lat', 10 * LAT, NORTH)),
    "axis 'lat' has type": raw().assign_coords(lat=('lat', [f'{value} N' for value in LAT])),
    "'lat' has units 'km'": raw().assign_coords(lat=('lat', LAT, {'units': 'km', 'standard_name': 'latitude'})),
    "'lon' is in degrees_east, but": raw().drop_vars('lat'),
    'none of its latitudes': planes(np.full((4, 5), 1e3), np.full((4, 5), 1e3)),
    "has no cells: its dimension 'lat' is empty": raw().isel(lat=slice(0)),
    'dates such as': raw().assign_coords(time=('time', ['20000228', '20000229', '20000301'])),
}  # fmt: skip


@pytest.mark.parametrize('message', REFUSED)
def test_refused(tmp_path, message):
    with pytest.raises(UserError, match=f'nc: .*{message}'):
        read(tmp_path, REFUSED[message])


def test_zeros_of_zarr_2_are_values(tmp_path, caplog):
    """Zarr gives arrays the fill value 0 where a program sets none, which xarray takes as missing."""
    values = np.where(VALUES > 275, VALUES, np.float32(0))
    data = raw(values).rename(t2m='tp').assign_coords(time=('time', HOURS.astype(int) - 12, {'units': SINCE}))
    data['tp'].attrs['units'] = 'mm'
    data.to_zarr(tmp_path / 'a.zarr', zarr_format=2, consolidated=False)
    for name in data.variables:
        file = tmp_path / 'a.zarr' / name / '.zarray'
        file.write_text(json.dumps(json.loads(file.read_text()) | {'fill_value': 0}))
    found = canonical(store.open_dataset(tmp_path / 'a.zarr'), ['tp'])
    np.testing.assert_array_equal(found['tp'], values)
    np.testing.assert_array_equal(found['lon'], LON)
    assert str(found['time'].values[0])[:10] == '2000-02-28'
    assert 'zeros of tp are taken as values' in caplog.text


def test_pickles_in_a_store_are_not_opened(tmp_path):
    raw().to_zarr(tmp_path / 'a.zarr', zarr_format=2, consolidated=False)
    file = tmp_path / 'a.zarr' / 't2m' / '.zarray'
    executed = {'compressor': None, 'filters': [{'id': 'pickle'}], 'dtype': '|O', 'fill_value': None}
    file.write_text(json.dumps(json.loads(file.read_text()) | executed))
    with pytest.raises(UserError, match=r'a\.zarr: cannot be read'):
        store.open_dataset(tmp_path / 'a.zarr')


def kerchunk(folder, **document):
    """References to the only chunk of each variable of a NetCDF 3 file."""
    raw().astype('>f4').to_netcdf(folder / 'a.nc', format='NETCDF3_64BIT')
    content = (folder / 'a.nc').read_bytes()
    references = {'.zgroup': json.dumps({'zarr_format': 2}), '.zattrs': '{}'}
    for name, variable in raw().variables.items():
        stored = variable.values.astype('>f4' if name == 't2m' else '>f8')
        array = {'zarr_format': 2, 'shape': stored.shape, 'chunks': stored.shape, 'dtype': stored.dtype.str}
        array |= {'order': 'C', 'fill_value': None, 'compressor': None, 'filters': None}
        references[f'{name}/.zarray'] = json.dumps(array)
        references[f'{name}/.zattrs'] = json.dumps({**variable.attrs, '_ARRAY_DIMENSIONS': variable.dims})
        place = content.index(stored.tobytes())
        references[f'{name}/' + '.'.join('0' * stored.ndim)] = [str(folder / 'a.nc'), place, stored.nbytes]
    (folder / 'a.json').write_text(json.dumps({'version': 1, 'refs': references, **document}))
    return folder / 'a.json'


def test_references_of_kerchunk(tmp_path):
    found = canonical(store.open_dataset(kerchunk(tmp_path)), ['t2m'])
    np.testing.assert_array_equal(found['t2m'], VALUES)
    np.testing.assert_array_equal(found['lat'], LAT)
    with pytest.raises(UserError, match='generated references'):
        store.open_dataset(kerchunk(tmp_path, gen=[]))


def test_paths(tmp_path):
    raw().to_netcdf(tmp_path / 'a$x {y}.nc')
    for path in (tmp_path / 'a$x {y}.nc', f'file://{tmp_path}/a$x {{y}}.nc'):
        assert store.open_dataset(path).sizes['time'] == 3
    raw().to_netcdf(tmp_path / 'wrong.grib')
    assert store.open_dataset(tmp_path / 'wrong.grib').sizes['time'] == 3
    raw().to_netcdf(tmp_path / 'group.nc', group='inner')
    (tmp_path / 'empty.nc').touch()
    (tmp_path / 'folder.nc').mkdir()
    (tmp_path / 'ice' / 'refs').mkdir(parents=True)
    (tmp_path / 'ice' / 'snapshots').mkdir()
    os.mkfifo(tmp_path / 'pipe.nc')
    os.symlink(tmp_path / 'loop.nc', tmp_path / 'loop.nc')
    (tmp_path / 'page.nc').write_text('<html>404</html>')
    shutil.make_archive(str(tmp_path / 'packed.nc'), 'gztar', tmp_path, 'folder.nc')
    refused = {
        'group.nc': 'groups /inner', 'folder.nc': 'without a Zarr store', 'ice': 'Icechunk',
        'pipe.nc': 'neither a file', 'empty.nc': 'is empty', 'loop.nc': 'neither a file', 'page.nc': 'web page',
        'packed.nc.tar.gz': 'gzip', 'a\0.nc': 'no such file',
    }  # fmt: skip
    for name, message in refused.items():
        with pytest.raises(UserError, match=message):
            store.open_dataset(f'{tmp_path}/{name}')


GRIB_GRID = {
    'Ni': 5, 'Nj': 4, 'latitudeOfFirstGridPointInDegrees': 32, 'latitudeOfLastGridPointInDegrees': 30.5,
    'longitudeOfFirstGridPointInDegrees': 359, 'longitudeOfLastGridPointInDegrees': 1,
    'iDirectionIncrementInDegrees': 0.5, 'jDirectionIncrementInDegrees': 0.5,
}  # fmt: skip


def grib(path, fields, **keys):
    """GRIB messages of {(short name, day in January 2000): values [4, 5]}."""
    eccodes = pytest.importorskip('eccodes')
    with open(path, 'wb') as stream:
        for (name, day), values in fields:
            message = eccodes.codes_grib_new_from_samples('regular_ll_sfc_grib2')
            for key, value in {**GRIB_GRID, 'shortName': name, 'dataDate': 20000100 + day, **keys}.items():
                eccodes.codes_set(message, key, value)
            eccodes.codes_set_values(message, values.ravel().astype(float))
            eccodes.codes_write(message, stream)
            eccodes.codes_release(message)
    return path


def test_grib(tmp_path, caplog):
    winds = [(('10u', day), VALUES[day - 1] - 270) for day in (1, 2)]
    temperatures = [(('2t', day), VALUES[day - 1]) for day in (1, 2)]
    plain = grib(tmp_path / 'without_suffix', [*winds, *temperatures, temperatures[0]])
    found = canonical(store.open_dataset(plain), ['t2m', 'u10'])
    np.testing.assert_allclose(found['t2m'], VALUES[:2], atol=1e-3)
    np.testing.assert_allclose(found['lat'], [32, 31.5, 31, 30.5])
    other = grib(tmp_path / 'later', [(('2t', 3), VALUES[2]), (('10u', 3), VALUES[2] - 270)])
    assert canonical(store.open_dataset([plain, other]), ['t2m', 'u10']).sizes['time'] == 3
    contradicting = grib(tmp_path / 'twice', [*winds, *temperatures, (('2t', 1), VALUES[2])])
    with pytest.raises(UserError, match="no variable 't2m'"):
        canonical(store.open_dataset(contradicting), ['t2m'])
    assert '2t left out' in caplog.text
    for order, message in (('iScansNegatively', 'east to west'), ('jPointsAreConsecutive', 'column by column')):
        with pytest.raises(UserError, match=message):
            store.open_dataset(grib(tmp_path / order, winds, **{order: 1}))
