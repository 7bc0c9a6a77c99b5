import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.datasets.dates import select_dates
from downscale_jax.runtime.errors import UserError


def plane_data(times=4, ny=3, nx=5, **attrs):
    """Values are 100 t + 10 y + x, so that every transposition and selection shows."""
    values = 100 * np.arange(times)[:, None, None] + 10 * np.arange(ny)[:, None] + np.arange(nx)
    return xr.Dataset(
        {'sit': (('time', 'y', 'x'), values.astype('float64'), {'units': 'm', **attrs})},
        {
            'time': np.datetime64('2016-08-01', 'ns') + np.arange(times) * np.timedelta64(1, 'D'),
            'y': ('y', 25.0 * np.arange(ny)[::-1], {'units': 'km'}),
            'x': ('x', 25.0 * np.arange(nx), {'units': 'km'}),
        },
    )


def error_of(function, *args, **kwargs) -> str:
    with pytest.raises(UserError) as caught:
        function(*args, **kwargs)
    assert '\n' not in str(caught.value)
    return str(caught.value)


class TestOpen:
    def test_netcdf_is_lazy_and_named(self, tmp_path):
        plane_data().to_netcdf(tmp_path / 'a.nc')
        opened = store.open_dataset(str(tmp_path / 'a.nc'))
        assert opened.sit.chunks is not None
        assert opened.encoding['source'] == str(tmp_path / 'a.nc')
        np.testing.assert_array_equal(store.load(opened.sit), plane_data().sit)

    def test_chunks_are_multiples_of_the_stored_ones(self, tmp_path):
        data = plane_data(times=7)
        data.to_netcdf(tmp_path / 'a.nc', encoding={'sit': {'chunksizes': (2, 3, 5)}})
        assert store.open_dataset(tmp_path / 'a.nc').sit.chunks[0] == (7,)  # 8 MiB hold it all
        long = xr.Dataset({'sit': (('time', 'y', 'x'), np.zeros((20, 256, 512)))})
        long['time'] = np.arange('2000-01-01', 20, dtype='datetime64[D]').astype('datetime64[ns]')
        long.to_netcdf(tmp_path / 'b.nc', encoding={'sit': {'chunksizes': (3, 256, 512)}})
        # 8 fields of 1 MiB, down to a multiple of 3.
        assert store.open_dataset(tmp_path / 'b.nc').sit.chunks[0] == (6, 6, 6, 2)

    def test_glob_joins_in_time(self, tmp_path):
        data = plane_data()
        data.isel(time=slice(2, 4)).to_netcdf(tmp_path / 'a.nc')
        data.isel(time=slice(0, 2)).to_netcdf(tmp_path / 'b.nc')
        opened = store.open_dataset(str(tmp_path / '*.nc'))
        np.testing.assert_array_equal(store.load(opened).sit, data.sit)

    def test_glob_that_clashes(self, tmp_path):
        data = plane_data()
        data.to_netcdf(tmp_path / 'a.nc')
        data.assign_coords(x=data.x + 1, time=data.time + np.timedelta64(9, 'D')).to_netcdf(tmp_path / 'b.nc')
        message = error_of(store.open_dataset, str(tmp_path / '*.nc'))
        assert f'{tmp_path}/a.nc and {tmp_path}/b.nc' in message
        assert "'x' begins at 0 and at 1" in message

    @pytest.mark.parametrize('version', [2, 3])
    def test_zarr(self, tmp_path, version):
        plane_data().to_zarr(tmp_path / 'a.zarr', zarr_format=version, consolidated=False)
        np.testing.assert_array_equal(store.load(store.open_dataset(tmp_path / 'a.zarr').sit), plane_data().sit)

    def test_zarr_by_url(self, tmp_path):
        plane_data().to_zarr(tmp_path / 'a.zarr', zarr_format=2, consolidated=True)
        opened = store.open_dataset(f'file://{tmp_path}/a.zarr')
        np.testing.assert_array_equal(store.load(opened.sit), plane_data().sit)

    def test_nothing_there(self, tmp_path):
        plane_data().to_netcdf(tmp_path / 'thickness.nc')
        assert "did you mean 'thickness.nc'" in error_of(store.open_dataset, tmp_path / 'thicknes.nc')
        assert 'no folder' in error_of(store.open_dataset, tmp_path / 'no' / 'a.nc')
        assert 'no file matches' in error_of(store.open_dataset, str(tmp_path / '*.nc4'))
        assert 'without a Zarr store' in error_of(store.open_dataset, tmp_path)

    def test_text_is_no_netcdf(self, tmp_path):
        (tmp_path / 'a.nc').write_text('time,y,x\n')
        message = error_of(store.open_dataset, tmp_path / 'a.nc')
        assert message == f'{tmp_path / "a.nc"}: is not NetCDF by its content; check the file and its suffix'

    # libnetcdf alone reads the missing end of a NetCDF 3 file as zeros.
    @pytest.mark.parametrize('form', ['NETCDF4', 'NETCDF3_CLASSIC', 'NETCDF3_64BIT'])
    @pytest.mark.parametrize('unlimited', [(), ('time',)])
    @pytest.mark.parametrize('part', [0.3, 0.6, 0.97])
    def test_cut_file(self, tmp_path, form, unlimited, part):
        plane_data(times=50, ny=20, nx=20).to_netcdf(tmp_path / 'a.nc', format=form, unlimited_dims=unlimited)
        whole = (tmp_path / 'a.nc').read_bytes()
        (tmp_path / 'a.nc').write_bytes(whole[: int(part * len(whole))])
        message = error_of(lambda: store.load(store.open_dataset(tmp_path / 'a.nc').sit))
        assert str(tmp_path / 'a.nc') in message

    def test_damaged_in_the_middle(self, tmp_path):
        data = xr.Dataset({'sit': (('time', 'y', 'x'), np.random.default_rng(0).normal(size=(20, 50, 50)))})
        data.to_netcdf(
            tmp_path / 'a.nc', encoding={'sit': {'zlib': True, 'chunksizes': (1, 50, 50), 'fletcher32': True}}
        )
        raw = bytearray((tmp_path / 'a.nc').read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 4000] = bytes(4000)
        (tmp_path / 'a.nc').write_bytes(raw)
        opened = store.open_dataset(tmp_path / 'a.nc')
        assert f'{tmp_path}/a.nc: reading failed' in error_of(store.load, opened)

    def test_damaged_zarr(self, tmp_path):
        plane_data().to_zarr(tmp_path / 'a.zarr', zarr_format=3, consolidated=False)
        chunk = next(path for path in (tmp_path / 'a.zarr' / 'sit').rglob('0') if path.is_file())
        chunk.write_bytes(chunk.read_bytes()[:20])
        assert f'{tmp_path}/a.zarr: reading failed' in error_of(
            lambda: store.load(store.open_dataset(tmp_path / 'a.zarr'))
        )

    def test_bad_time_units(self, tmp_path):
        data = (
            plane_data().drop_vars('time').assign_coords(time=('time', [0, 1, 2, 3], {'units': 'days since yesterday'}))
        )
        data.to_netcdf(tmp_path / 'a.nc')
        assert 'a.nc' in error_of(store.open_dataset, tmp_path / 'a.nc')


class TestCanonical:
    def test_order_units_and_type(self):
        found = canonical(plane_data().transpose('x', 'time', 'y').chunk({'time': 1}), ['sit'])
        assert found.sit.dims == ('time', 'y', 'x')
        assert found.sit.dtype == np.float32
        assert found.sit.chunks is not None
        np.testing.assert_array_equal(found.y, [50e3, 25e3, 0])
        assert found.x.attrs == {'standard_name': 'projection_x_coordinate', 'units': 'm'}
        assert found.mask.dtype == bool
        assert found.mask.all()
        np.testing.assert_array_equal(found.sit, plane_data().sit)

    @pytest.mark.parametrize(
        ('names', 'expected'),
        [
            (('time', 'latitude', 'longitude'), ('time', 'lat', 'lon')),
            (('valid_time', 'lat', 'lon'), ('time', 'lat', 'lon')),
            (('Time', 'nav_lat', 'nav_lon'), ('time', 'lat', 'lon')),
            (('initial_time', 'yc', 'xc'), ('time', 'y', 'x')),
            (('time', 'Y', 'X'), ('time', 'y', 'x')),
            (('time', 'ny', 'nx'), ('time', 'y', 'x')),
        ],
    )
    def test_usual_names(self, names, expected):
        data = plane_data().rename(dict(zip(('time', 'y', 'x'), names, strict=True)))
        if 'lat' in expected:
            data[names[1]].attrs, data[names[2]].attrs = {}, {}  # not in km
        found = canonical(data.transpose(*names[::-1]), ['sit'])
        assert found.sit.dims == expected
        np.testing.assert_array_equal(found.sit.values, plane_data().sit.values)

    def test_attributes_before_names(self):
        data = plane_data().rename(y='a', x='b', time='c')
        data.a.attrs = {'axis': 'Y', 'units': 'm'}
        data.b.attrs = {'standard_name': 'projection_x_coordinate', 'units': '100 km'}
        found = canonical(data.transpose('b', 'a', 'c'), ['sit'])
        assert found.sit.dims == ('time', 'y', 'x')
        np.testing.assert_array_equal(found.x, 25e5 * np.arange(5))
        data.a.attrs = {'units': 'degrees_north'}
        data.b.attrs = {'units': 'degrees_east'}
        assert canonical(data, ['sit']).sit.dims == ('time', 'lat', 'lon')

    def test_curvilinear(self):
        data = plane_data().drop_vars(['y', 'x']).rename(y='row', x='col')
        data['nav_lat'] = ('row', 'col'), 60 + data.sit.values[0], {'units': 'degrees_north'}
        data['nav_lon'] = ('col', 'row'), data.sit.values[0].T, {'units': 'degrees_east'}
        found = canonical(data, ['sit'])
        assert set(found.coords) == {'time', 'lat', 'lon'}
        assert found.lat.dims == found.lon.dims == ('y', 'x')
        np.testing.assert_array_equal(found.lon, data.sit.values[0])

    def test_start_positions_of_a_drift_product(self):
        data = plane_data()
        for name in ('lat1', 'lat'):
            data[name] = ('y', 'x'), np.full((3, 5), float(name == 'lat')), {'standard_name': 'latitude'}
        assert canonical(data, ['sit']).lat[0, 0] == 1

    def test_cell_numbers_are_no_metres(self):
        data = plane_data().assign_coords(y=np.arange(3), x=np.arange(5))
        assert set(canonical(data, ['sit']).coords) == {'time'}
        data = plane_data().assign_coords(y=[0.0, 2.0, 4.0])
        assert "'y' has no units" in error_of(canonical, data, ['sit'])

    def test_rotated_pole(self):
        data = plane_data().rename(y='rlat', x='rlon')
        data.rlat.attrs = {'standard_name': 'grid_latitude', 'units': 'degrees'}
        data.rlon.attrs = {'standard_name': 'grid_longitude', 'units': 'degrees'}
        data['lat'] = ('rlat', 'rlon'), data.sit.values[0]
        found = canonical(data, ['sit'])
        assert set(found.coords) == {'time', 'lat', 'rlat', 'rlon'}
        assert found.sit.dims == ('time', 'y', 'x')
        assert found.rlat.dims == ('y',)

    def test_singletons_are_dropped(self):
        data = plane_data().expand_dims(depth=[0.5], member=[1]).transpose('time', 'depth', 'y', 'x', 'member')
        assert canonical(data, ['sit']).sit.dims == ('time', 'y', 'x')
        data = xr.concat([plane_data().assign_coords(level=i) for i in range(2)], 'level')
        assert "dimension 'level' of 2" in error_of(canonical, data, ['sit'])

    def test_one_row_is_kept(self):
        data = plane_data().isel(y=[0], time=[1])
        assert canonical(data, ['sit']).sit.shape == (1, 1, 5)

    def test_scalar_time_becomes_a_dimension(self):
        found = canonical(plane_data().isel(time=2), ['sit'])
        assert found.sit.shape == (1, 3, 5)
        assert found.time.values == np.array(['2016-08-03'], 'datetime64[ns]')

    def test_static_field_stays_two_dimensional(self):
        data = plane_data().assign(depth=(('x', 'y'), np.ones((5, 3)), {'units': 'm'}))
        found = canonical(data, ['sit', 'depth'])
        assert found.depth.dims == ('y', 'x')

    @pytest.mark.parametrize('calendar', ['noleap', '360_day', 'standard'])
    def test_calendars(self, tmp_path, calendar):
        data = plane_data().drop_vars('time')
        data['time'] = 'time', [58, 59, 60, 61], {'units': 'days since 2000-01-01', 'calendar': calendar}
        data.to_netcdf(tmp_path / 'a.nc')
        found = canonical(store.open_dataset(tmp_path / 'a.nc'), ['sit'])
        march = select_dates(found, ('2000-03', '2000-03'))
        assert march.sizes['time'] == {'noleap': 3, '360_day': 2, 'standard': 2}[calendar]

    def test_valid_time_of_a_forecast(self):
        data = plane_data()
        data.time.attrs['standard_name'] = 'forecast_reference_time'
        data = data.assign_coords(
            valid_time=('time', data.time.values + np.timedelta64(6, 'h'), {'standard_name': 'time'})
        )
        assert canonical(data, ['sit']).time[0] == np.datetime64('2016-08-01T06')

    def test_steps_of_one_forecast(self):
        data = plane_data().rename(time='step').assign_coords(step=[0, 6, 12, 18])
        data = data.assign_coords(
            time=((), np.datetime64('2020-01-01', 'ns'), {'standard_name': 'forecast_reference_time'}),
            valid_time=('step', plane_data().time.values, {'standard_name': 'time'}),
        )
        found = canonical(data, ['sit'])
        np.testing.assert_array_equal(found.time, plane_data().time)
        one = canonical(data.isel(step=2), ['sit'])
        assert one.time.values == plane_data().time.values[2]

    def test_fill_values_become_nan(self, tmp_path):
        data = plane_data()
        data['sit'][0, 0, 0] = np.nan
        data.to_netcdf(tmp_path / 'a.nc', encoding={'sit': {'dtype': 'i2', '_FillValue': -1, 'scale_factor': 0.5}})
        found = canonical(store.open_dataset(tmp_path / 'a.nc'), ['sit'])
        np.testing.assert_array_equal(found.sit, data.sit)

    def test_grid_mapping_stays(self, tmp_path):
        data = plane_data(grid_mapping='crs').assign(crs=((), 0, {'grid_mapping_name': 'polar_stereographic'}))
        for dataset in (data, data.to_netcdf(tmp_path / 'a.nc') or store.open_dataset(tmp_path / 'a.nc')):
            found = canonical(dataset, ['sit'])
            assert found.sit.attrs['grid_mapping'] == 'crs'
            assert found.crs.attrs['grid_mapping_name'] == 'polar_stereographic'

    def test_missing_variable(self):
        message = error_of(canonical, plane_data(), ['sik'], source='a.nc')
        assert message.startswith("a.nc: no variable 'sik'; it has sit; did you mean 'sit'?")

    def test_other_grid(self):
        data = plane_data().assign(sic=(('time', 'y2', 'x'), np.ones((4, 4, 5))))
        assert "'y2': 4" in error_of(canonical, data, ['sit', 'sic'])

    def test_times(self):
        data = plane_data()
        assert '2016-08-03T00:00:00 is followed by 2016-08-02' in error_of(
            canonical, data.isel(time=[0, 2, 1]), ['sit']
        )
        assert '2016-08-02T00:00:00 occurs twice' in error_of(canonical, data.isel(time=[0, 1, 1]), ['sit'])
        assert 'no dates' in error_of(canonical, data.assign_coords(time=[0, 1, 2, 3]), ['sit'])
        assert 'no coordinate' in error_of(canonical, data.drop_vars('time'), ['sit'])

    def test_axes_run_one_way(self):
        data = plane_data().isel(x=[0, 2, 1, 3])
        assert "'x' is not monotonic" in error_of(canonical, data, ['sit'])
        np.testing.assert_array_equal(canonical(plane_data().isel(x=slice(None, None, -1)), ['sit']).x[0], 100e3)

    @pytest.mark.parametrize('west', [178.0, 182.0, 358.0])
    def test_longitudes_across_a_seam(self, west):
        data = plane_data().rename(y='lat', x='lon')
        east = west + np.arange(5.0)
        for turned in ((east + 180) % 360 - 180, east % 360):
            there = data.assign_coords(
                lat=('lat', [1.0, 2.0, 3.0], {'units': 'degrees_north'}), lon=('lon', turned, {'units': 'degrees_east'})
            )
            found = canonical(there, ['sit'])
            np.testing.assert_array_equal(found.lon, turned[0] + np.arange(5))
            np.testing.assert_array_equal(found.sit, data.sit)
        there = there.isel(lon=[0, 2, 1, 3, 4])
        assert "'lon' is not monotonic" in error_of(canonical, there, ['sit'])

    def test_no_values(self):
        data = plane_data()
        data['sit'][:] = np.nan
        assert "'sit' has no values other than NaN" in error_of(canonical, data, ['sit'])
        none = plane_data().isel(time=slice(0))
        assert "'sit' has no times: its time axis is empty" in error_of(canonical, none, ['sit'])
        data['sit'][2, 1, 1] = 1.0  # days are missing at both ends
        canonical(data, ['sit'])

    def test_text_is_no_field(self):
        data = plane_data().assign(name=(('time', 'y', 'x'), np.full((4, 3, 5), 'a')))
        assert "'name' has type" in error_of(canonical, data, ['name'])


class TestMask:
    @pytest.mark.parametrize(
        ('name', 'attrs', 'valid'),
        [
            ('land_mask', {'long_name': '1 on land and coast, 0 on ocean'}, 0),
            ('lsm', {'long_name': 'Land-sea mask', 'standard_name': 'land_binary_mask'}, 0),
            ('land_sea_mask', {}, 0),
            ('m', {'standard_name': 'sea_binary_mask'}, 1),
            ('sea_mask', {'long_name': '1 in the sea, 0 on land'}, 1),
            ('valid', {}, 1),
            ('land_sea_mask', {'flag_values': [0, 1], 'flag_meanings': 'land sea'}, 1),
            ('land_sea_mask', {'flag_values': [0, 1], 'flag_meanings': 'ocean land'}, 0),
            ('mask', {'flag_values': [1, 0], 'flag_meanings': 'land ice'}, 0),
        ],
    )
    def test_rule(self, name, attrs, valid):
        ones = np.zeros((3, 5), 'int8')
        ones[1, 2] = 1
        data = plane_data()
        data[name] = ('y', 'x'), ones, attrs
        found = canonical(data, ['sit'], mask=name)
        np.testing.assert_array_equal(found.mask, ones == valid)
        np.testing.assert_array_equal(np.isfinite(found.sit[0]), ones == valid)

    def test_fraction_repeated_in_time(self):
        data = plane_data()
        data['lsm'] = ('time', 'y', 'x'), np.full((4, 3, 5), 0.1), {'standard_name': 'land_binary_mask'}
        data['lsm'][:, 0, 0] = 0.6
        assert canonical(data, ['sit'], mask='lsm').mask.sum() == 14

    def test_mistakes(self):
        data = plane_data().assign(land=(('y', 'x'), np.ones((3, 5))), other=(('y2', 'x'), np.ones((2, 5))))
        assert 'leaves no cell' in error_of(canonical, data, ['sit'], mask='land')
        assert "mask 'other' is" in error_of(canonical, data, ['sit'], mask='other')
        assert "no variable 'lamd'" in error_of(canonical, data, ['sit'], mask='lamd')


class TestWrite:
    def test_round_trip(self, tmp_path):
        data = canonical(plane_data().chunk({'time': 1}), ['sit'])
        store.write_netcdf(data, tmp_path / 'a.nc')
        found = canonical(store.open_dataset(tmp_path / 'a.nc'), ['sit'], mask='mask')
        xr.testing.assert_identical(found.load(), data.load())
        raw = xr.open_dataset(tmp_path / 'a.nc', decode_timedelta=False)
        assert raw.sit.encoding['zlib']
        assert raw.sit.encoding['dtype'] == np.float32
        assert [path.name for path in tmp_path.iterdir()] == ['a.nc']

    def test_no_folder(self, tmp_path):
        assert 'create it' in error_of(store.write_netcdf, plane_data(), tmp_path / 'no' / 'a.nc')

    def test_an_interrupt_ends_it_at_once(self, tmp_path, monkeypatch):
        """Within xarray the exception of a signal may leave a lock locked, for which closing the file then waits."""
        released, main = threading.Event(), threading.get_ident()

        def writing(*_, **__):
            assert threading.get_ident() != main
            signal.pthread_kill(main, signal.SIGINT)
            released.wait(60)

        monkeypatch.setattr(xr.Dataset, 'to_netcdf', writing)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.raises(KeyboardInterrupt):
                store.write_netcdf(plane_data(), tmp_path / 'a.nc')
        finally:
            signal.signal(signal.SIGINT, before)
        assert not released.is_set()
        released.set()

    def test_full_disk(self, tmp_path):
        # A limit on the size of files fails as a full disk does; in a process of its own, since it holds for all files.
        script = (
            'import resource, sys, numpy, xarray\n'
            'from downscale_jax.fields.datasets import store\n'
            'data = xarray.Dataset({"a": (("y", "x"), numpy.random.default_rng(0).normal(size=(500, 500)))})\n'
            'resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n'
            'try:\n    store.write_netcdf(data, sys.argv[1])\n'
            'except store.UserError as error:\n    print(error)\n'
        )
        (tmp_path / 'a.nc').write_text('old')
        done = subprocess.run([sys.executable, '-c', script, tmp_path / 'a.nc'], capture_output=True, text=True)
        assert f'{tmp_path}/a.nc: could not be written' in done.stdout, done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ['a.nc']
        assert (tmp_path / 'a.nc').read_text() == 'old'
