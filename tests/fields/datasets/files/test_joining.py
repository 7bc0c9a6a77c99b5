"""Several files as one data set."""

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.runtime.errors import UserError, WrongTypeError

LAT, LON = np.linspace(55, 45, 4), np.linspace(-10, 10, 6)
VALUES = 280 + np.arange(6 * 4 * 6).reshape(6, 4, 6) / 8


def data(days=slice(None), name='t2m', units='K', values=VALUES, **coords):
    times = (np.datetime64('2000-01-01', 'ns') + np.arange(6) * np.timedelta64(1, 'D'))[days]
    axes = {
        'time': ('time', times, {'standard_name': 'time'}),
        'latitude': ('latitude', LAT, {'units': 'degrees_north'}),
        'longitude': ('longitude', LON, {'units': 'degrees_east'}),
    }
    return xr.Dataset({name: (('time', 'latitude', 'longitude'), values[days], {'units': units})}, axes | coords)


def joined(folder, **files):
    for name, dataset in files.items():
        dataset.to_netcdf(folder / f'{name}.nc')
    return store.open_dataset(str(folder / '*.nc'))


EARLY, LATE = slice(0, 3), slice(3, 6)


def test_each_file_has_its_units_packing_and_names(tmp_path):
    late = data(LATE, 'tas', 'degC', VALUES - 273.15).rename(time='valid_time', latitude='lat', longitude='lon')
    late['tas'].encoding = {'dtype': 'i2', 'scale_factor': 0.01, 'add_offset': 20.0, '_FillValue': -9999}
    early = data(EARLY)
    early['t2m'].encoding = {'dtype': 'i4', 'scale_factor': 0.001, 'add_offset': 250.0, '_FillValue': -1}
    fields = canonical(joined(tmp_path, a=early, b=late), ['t2m'])
    assert fields['t2m'].attrs['units'] == 'K'
    np.testing.assert_allclose(fields['t2m'], VALUES, atol=0.006)


def test_axes_may_be_rounded_run_the_other_way_and_count_to_360(tmp_path):
    late = data(LATE, latitude=('latitude', (LAT + 1e-7).astype('f4'), {'units': 'degrees_north'}))
    late = late.isel(latitude=slice(None, None, -1)).assign_coords(longitude=late['longitude'] % 360)
    found = joined(tmp_path, a=data(EARLY), b=late)
    np.testing.assert_array_equal(found['latitude'], LAT)
    np.testing.assert_array_equal(found['t2m'], VALUES)


def test_unused_variables_are_not_compared(tmp_path):
    bounds = {n: (('latitude', 'n'), np.full((4, 2), 1.0 + shift)) for n, shift in (('one', 0), ('other', 1e-2))}
    found = joined(tmp_path, a=data(EARLY).assign(bnds=bounds['one']), b=data(LATE).assign(bnds=bounds['other']))
    np.testing.assert_array_equal(canonical(found, ['t2m'])['t2m'], VALUES)
    with pytest.raises(UserError, match=r"'bnds' differs between .*a\.nc and .*b\.nc"):
        store.load(found['bnds'])


def test_unused_profiles_may_differ_in_length(tmp_path):
    parts = {name: data(days).assign(k=(('level',), np.ones(n)), w=(('time', 'level'), np.ones((3, n))))
             for name, days, n in (('a', EARLY, 2), ('b', LATE, 3))}  # fmt: skip
    found = joined(tmp_path, **parts)
    np.testing.assert_array_equal(canonical(found, ['t2m'])['t2m'], VALUES)
    with pytest.raises(UserError, match=r"'w' has the sizes .*2.* and .*3"):
        store.load(found['w'])


def test_a_variable_that_changes_its_name_within_a_series(tmp_path, caplog):
    found = joined(tmp_path, a=data(EARLY), b=data(LATE, name='temperature_2m'))
    assert canonical(found, ['t2m']).sizes['time'] == 3
    assert (
        'at 3 times from 2000-01-04T00:00:00 to 2000-01-06T00:00:00 it has only temperature_2m, not t2m' in caplog.text
    )
    caplog.clear()
    (tmp_path / 'beside').mkdir()
    canonical(joined(tmp_path / 'beside', a=data(EARLY), b=data(name='skin')), ['t2m'])
    assert not caplog.text


def test_columns_sorted_across_greenwich_in_one_of_the_files(tmp_path):
    late = data(LATE).assign_coords(longitude=('longitude', LON % 360, {'units': 'degrees_east'})).sortby('longitude')
    fields = canonical(joined(tmp_path, a=data(EARLY), b=late), ['t2m'])
    np.testing.assert_array_equal(fields['t2m'], VALUES)
    np.testing.assert_array_equal(fields['lon'], LON)


def planes(days, lat=LAT, lon=LON, **axes):
    north, east = np.meshgrid(lat, lon, indexing='ij')
    places = {'lat': (('y', 'x'), north, {'units': 'degrees_north'}), 'lon': (('y', 'x'), east)}
    return data(days).drop_vars(['latitude', 'longitude']).rename(latitude='y', longitude='x').assign_coords(
        places | axes)  # fmt: skip


@pytest.mark.parametrize('axes', [{}, {'y': np.arange(4), 'x': np.arange(6)}])
def test_positions_in_the_order_of_the_first_file(tmp_path, axes):
    late = planes(LATE, LAT + 1e-6, LON % 360).isel(y=slice(None, None, -1), x=slice(None, None, -1))
    fields = canonical(joined(tmp_path, a=planes(EARLY, **axes), b=late.assign_coords(axes)), ['t2m'])
    np.testing.assert_array_equal(fields['t2m'], VALUES)
    np.testing.assert_array_equal(fields['lat'][:, 0], LAT)


@pytest.mark.parametrize(
    ('late', 'message'),
    [
        (planes(LATE, LAT + 1), r"'lat' differs between .*a\.nc and .*b\.nc"),
        (data(LATE), "'t2m' lies on time, y, x and on time, latitude, longitude"),
    ],
)
def test_positions_elsewhere(tmp_path, late, message):
    with pytest.raises(UserError, match=message):
        canonical(joined(tmp_path, a=planes(EARLY), b=late), ['t2m'])


def test_unused_variables_need_no_common_units(tmp_path):
    early, late = (
        part.assign(tp=part['t2m'].assign_attrs(units=u)) for part, u in ((data(EARLY), 'm'), (data(LATE), 'K'))
    )
    found = joined(tmp_path, a=early, b=late)
    np.testing.assert_array_equal(canonical(found, ['t2m'])['t2m'], VALUES)
    with pytest.raises(UserError, match=r"b\.nc: .*'K'.* converted to 'm'"):
        canonical(found, ['tp'])


def test_equal_times_are_joined_once(tmp_path):
    fields = canonical(joined(tmp_path, a=data(slice(0, 4)), b=data(slice(2, 6))), ['t2m'])
    np.testing.assert_array_equal(fields['t2m'], VALUES)


def test_different_values_at_one_time(tmp_path):
    other = VALUES.copy()
    other[3, 1, 1] += 0.01
    found = joined(tmp_path, a=data(slice(0, 5)), b=data(slice(2, 6), values=other))
    with pytest.raises(UserError, match=r"'t2m' differs between .*a\.nc and .*b\.nc, which both have 2000-01-04"):
        canonical(found, ['t2m'])


def test_files_that_interleave(tmp_path):
    found = joined(tmp_path, a=data(slice(0, 6, 2)), b=data(slice(1, 6, 2)))
    np.testing.assert_array_equal(canonical(found, ['t2m'])['t2m'], VALUES)


def test_a_file_a_time_and_a_list(tmp_path):
    for day in range(6):
        data(slice(day, day + 1)).squeeze('time').to_netcdf(tmp_path / f'{day}.nc')
    found = store.open_dataset([tmp_path / f'{day}.nc' for day in range(6)])
    np.testing.assert_array_equal(canonical(found, ['t2m'])['t2m'], VALUES)


def test_variables_on_other_times(tmp_path):
    rain = data(slice(1, 6), 'tp', 'mm')
    fields = canonical(joined(tmp_path, a=data(), b=rain), ['t2m', 'tp'])
    assert fields.sizes['time'] == 5
    np.testing.assert_array_equal(fields['tp'], fields['t2m'])
    sparse = data(slice(0, 6, 5), 'sf', 'mm')
    found = joined(tmp_path, c=sparse)
    with pytest.raises(UserError, match=r"times of the variables do not match: 't2m' 6, .*'sf' 2"):
        canonical(found, ['t2m', 'sf'])


def test_tiles_of_a_grid(tmp_path):
    parts = {f'{t}{x}': data(t).isel(longitude=slice(x, x + 3)) for t in ('early', 'late') for x in ()}
    for number, days in enumerate((EARLY, LATE)):
        parts |= {f'{number}{x}': data(days).isel(longitude=slice(x, x + 3)) for x in (0, 3)}
    np.testing.assert_array_equal(canonical(joined(tmp_path, **parts), ['t2m'])['t2m'], VALUES)


@pytest.mark.parametrize('names', ['ab', 'ba'])
def test_grids_that_begin_at_one_cell_are_no_tiles(tmp_path, names):
    coarse = data(values=VALUES).isel(latitude=slice(None, None, 2), longitude=slice(None, None, 2))
    with pytest.raises(UserError, match=r"fields on different grids \('latitude' has . values and .\)"):
        joined(tmp_path, **dict(zip(names, (data(), coarse), strict=True)))


def test_different_calendars(tmp_path):
    late = data(LATE).convert_calendar('noleap')
    with pytest.raises(UserError, match='different calendars'):
        joined(tmp_path, a=data(EARLY), b=late)


@pytest.mark.parametrize('kind', ['latitudes', 'bounds'])
def test_cases(shared_data, kind):
    fields = canonical(store.open_dataset(str(shared_data.parent / f'cases/rounded_{kind}_?.nc')), ['t2m', 'tp'])
    assert fields['t2m'].shape == (4, 10, 20)
    assert abs(float(fields['t2m'].mean()) - 290) < 0.1


@pytest.mark.parametrize(
    ('file', 'names', 'times'),
    [
        ('era5_t2m_tp.grib', ['t2m', 'tp'], 24),
        ('fc_t2m_tp.grib', ['t2m', 'tp'], 6),
        ('g2_t_u.grib2', ['t2m', 'u10'], 3),
    ],
)
def test_grib_of_several_hypercubes(shared_data, file, names, times):
    pytest.importorskip('cfgrib')
    fields = canonical(store.open_dataset(shared_data.parent / 'cases' / file), names)
    assert fields.sizes['time'] == times
    assert fields['time'].values[-1] - fields['time'].values[0] == np.timedelta64(times - 1, 'h')
    assert abs(float(fields['t2m'].mean()) - 290) < 0.1
    assert np.isfinite(store.load(fields[names[1]])).all()


def test_zipped_zarr(shared_data):
    fields = canonical(store.open_dataset(shared_data.parent / 'cases' / 'coarse.zarr.zip'), ['t2m'])
    assert abs(float(fields['t2m'].mean()) - 290) < 0.1


def test_arguments_in_python(tmp_path):
    data().to_netcdf(tmp_path / 'a[1].nc')
    for given in (data(), data()['t2m'], tmp_path / 'a[1].nc', str(tmp_path / 'a[1].nc'), [tmp_path / 'a[1].nc']):
        np.testing.assert_array_equal(store.as_dataset(given, 'dataset')['t2m'], VALUES)
    undecoded = xr.open_dataset(tmp_path / 'a[1].nc', decode_times=False)
    for given in (undecoded, undecoded['t2m']):
        found = store.as_dataset(given, 'dataset')
        np.testing.assert_array_equal(found['time'], data()['time'])
        assert isinstance(found.indexes['time'], type(data().indexes['time']))
    for given in (None, VALUES, 3, [data()]):
        with pytest.raises(WrongTypeError, match='dataset is of type'):
            store.as_dataset(given, 'dataset')
    with pytest.raises(TypeError, match='without a name'):
        store.as_dataset(data()['t2m'].rename(None), 'dataset')
