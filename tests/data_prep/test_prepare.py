import errno
import resource
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from data_prep.records import refinement
from data_prep.records.refinement import observed_chunks
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.geometry import grid
from downscale_jax.runtime.errors import UserError

SIZE, DAYS = 32, 20


def red_noise(shape, seed):
    """Unit variance, power falling as the third power of the wavenumber."""
    wavenumber = np.hypot(np.fft.fftfreq(shape[-2])[:, None], np.fft.rfftfreq(shape[-1])) + 1 / 64
    field = np.fft.irfft2(np.fft.rfft2(np.random.default_rng(seed).normal(size=shape)) * wavenumber**-1.5, shape[-2:])
    return (field - field.mean()) / field.std()


@pytest.fixture
def dataset():
    """Thickness `sit` and concentration `sic` on 4 km cells, land in a corner."""
    fields = red_noise((2, DAYS, SIZE, SIZE), 0).astype(np.float32)
    fields[..., :10, :8] = np.nan
    axis = ('m', 4e3 * np.arange(SIZE))
    return xr.Dataset(
        {
            'sit': (('time', 'y', 'x'), 2 + 0.5 * fields[0], {'units': 'm'}),
            'sic': (('time', 'y', 'x'), 0.8 + 0.05 * fields[1], {'units': '1'}),
        },
        coords={
            'time': np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(DAYS),
            **{name: (name, axis[1], {'units': axis[0], 'axis': name.upper()}) for name in 'yx'},
        },
    )


@pytest.fixture
def data(dataset, tmp_path):
    dataset.to_netcdf(tmp_path / 'ice.nc')
    return {
        'kind': 'refinement',
        'path': str(tmp_path / 'ice.nc'),
        'simulate': {},
        'target': 'sit',
        'inputs': ('sit', 'sic'),
        'mask': '',
        'kernel_km': (20.0, 12.0),
        'spacing_km': (),
        'patch': 16,
        'noise': (),
        'anomaly': True,
        'bounds': ((0.0, float('inf')),),
        'train': (('2020-01-01', '2020-01-10'),),
        'validation': (('2020-01-12', '2020-01-14'),),
        'test': (('2020-01-16', '2020-01-20'),),
    }


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'test': (('2021-01-01', '2021-01-10'),)}, r"split 'test' .*is empty; the data set has 2020-01-01"),
        ({'validation': (('2020-01-09', '2020-01-14'),)}, r"splits 'train' .*and 'validation' .*must not overlap"),
        ({'train': (('2020-01-10', '2020-01-01'),)}, r"split 'train': 2020-01-01 is before 2020-01-10"),
        ({'kernel_km': (20.0, 3.0)}, r'kernel of 3 km is smaller than a cell of 4 km'),
        ({'target': 'sid', 'inputs': ('sid', 'sic')}, r"no variable 'sid'; it has sic, sit; did you mean 'sit'\?"),
        ({'patch': 64}, r'data\.patch=64 does not fit the grid of 32 x 32 cells'),
        ({'mask': 'maks'}, r"no variable 'maks'"),
        ({'path': 'nowhere/ice.nc'}, r"no such file, and no folder 'nowhere'"),
    ],
)
def test_mistakes_in_one_line_and_nothing_left(data, tmp_path, change, told):
    with pytest.raises(UserError, match=told) as error:
        prepare({**data, **change}, 0, tmp_path / 'prepared')
    assert '\n' not in str(error.value)
    assert not (tmp_path / 'prepared').exists() or not list((tmp_path / 'prepared').iterdir())


@pytest.mark.parametrize('days', [slice(None), slice(15, 20)], ids=['all', 'test'])
def test_a_target_without_values(dataset, data, tmp_path, days):
    dataset['sit'][days] = np.nan
    dataset.to_netcdf(tmp_path / 'empty.nc')
    with pytest.raises(UserError, match=r'no values other than NaN|every value of sit is missing'):
        prepare({**data, 'path': str(tmp_path / 'empty.nc')}, 0, tmp_path / 'prepared')
    assert not (tmp_path / 'prepared').exists() or not list((tmp_path / 'prepared').iterdir())


def test_a_truncated_file_is_named(data, tmp_path):
    whole = (tmp_path / 'ice.nc').read_bytes()
    (tmp_path / 'cut.nc').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r'cut\.nc'):
        prepare({**data, 'path': str(tmp_path / 'cut.nc')}, 0, tmp_path / 'prepared')


def coarse_of(dataset, data, seed=0):
    fields = canonical(dataset, ['sit', 'sic'])
    area = grid.cell_areas_km2(fields[['mask']])
    return np.concatenate([coarse for _, _, coarse in observed_chunks(fields, data, area, seed)])


def test_observation_noise_belongs_to_the_time_stamp(dataset, data):
    noisy = {**data, 'noise': (0.3, 0.02)}
    whole, part = coarse_of(dataset, noisy), coarse_of(dataset.isel(time=slice(7, 12)), noisy)
    np.testing.assert_array_equal(part, whole[7:12])
    clean = coarse_of(dataset, data)
    error = (whole - clean)[:, 12:, 10:]
    # interpolation between observations averages the error: less than what was added, but of its size
    assert 0.1 < error[..., 0].std() < 0.3
    assert 0.006 < error[..., 1].std() < 0.02
    assert len(np.unique(error[:, 0, 0, 0])) == DAYS
    assert (coarse_of(dataset, noisy, seed=1) != whole)[:, 12:, 10:].any()


def test_noise_differs_before_and_after_1970(dataset, data):
    noisy = {**data, 'noise': (0.3, 0.02)}
    days = dataset.isel(time=[0, 1])
    days['sit'][1], days['sic'][1] = days['sit'][0], days['sic'][0]
    days['time'] = np.array(['1969-12-31', '1970-01-02'], 'datetime64[ns]')
    coarse = coarse_of(days, noisy)
    assert (coarse[0] != coarse[1])[12:, 10:].all()


def test_coarse_field_is_the_box_mean_where_it_is_not_sampled(dataset, data):
    coarse = coarse_of(dataset, {**data, 'spacing_km': (0.0, 0.0)})
    # kernels of 20 and 12 km on cells of 4 km: means over 5 x 5 and 3 x 3 cells, land neither gives nor takes
    sit, sic = dataset['sit'].values, dataset['sic'].values
    np.testing.assert_allclose(coarse[:, 20, 20, 0], sit[:, 18:23, 18:23].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(coarse[:, 20, 20, 1], sic[:, 19:22, 19:22].mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(coarse[:, 11, 9, 1], np.nanmean(sic[:, 10:13, 8:11], (1, 2)), rtol=1e-5)
    np.testing.assert_allclose(coarse[:, 9, 7, 1], np.full(DAYS, np.nan))


def test_a_full_disk_is_one_line_and_the_same_call_goes_on(data, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, limits[1]))  # less than the records of a split
    try:
        with pytest.raises(UserError, match=r'File too large; free space') as error:
            prepare(data, 0, tmp_path / 'data')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert '\n' not in str(error.value)
    assert not list((tmp_path / 'data').iterdir())
    assert len(prepare(data, 0, tmp_path / 'data').split('test')) > 0


def test_a_constant_target_is_named_while_preparing(dataset, data, tmp_path):
    dataset['sit'] = dataset['sit'].where(dataset['sit'].isnull(), 2.0)
    dataset.to_netcdf(tmp_path / 'constant.nc')
    with pytest.raises(UserError, match=r"'sit' is constant in the training split, 2 m in all cells"):
        prepare({**data, 'path': str(tmp_path / 'constant.nc')}, 0, tmp_path / 'prepared')
    assert not list((tmp_path / 'prepared').iterdir())


@pytest.mark.parametrize('fails', [False, True], ids=['the first finishes', 'the first fails'])
def test_two_at_once(data, tmp_path, monkeypatch, fails):
    """The second accepts the result of the first, or takes its place."""
    begun = []

    def slow(*arguments, write=refinement.write):
        begun.append(arguments)
        time.sleep(0.5)  # until the other has come
        if fails and len(begun) == 1:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(*arguments)

    monkeypatch.setattr(refinement, 'write', slow)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(prepare, data, 0, tmp_path / 'data') for _ in range(2)]
        errors = [future.exception() for future in both]
    assert len(begun) == 1 + fails
    assert [type(error) for error in errors if error] == [UserError] * fails
    done = [future.result() for future, error in zip(both, errors, strict=True) if not error]
    assert list((tmp_path / 'data').iterdir()) == [done[0].directory]
    assert {one.directory for one in done} == {done[0].directory}
    assert len(done[0].split('test')) == 5
