"""Times of a lazy data set, selected chunk by chunk."""

import dask.array
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.selection import isel_times

TIMES, CHUNK = 20, 6
CHOICES = {
    'all': list(range(TIMES)), 'a run': [4, 5, 6, 7], 'one': [13], 'none': [], 'spread': [0, 5, 6, 13, 19],
    'every fourth': list(range(0, TIMES, 4)), 'two runs': [1, 2, 3, 14, 15, 16],
}  # fmt: skip


def series(read=lambda block: block):
    """A lazy field (lat, time, lon) in chunks of time, another lazy one without time, a lazy coordinate of time."""
    values = np.random.default_rng(0).normal(size=(3, TIMES, 4))
    field = dask.array.from_array(values, chunks=(3, CHUNK, 4)).map_blocks(read, dtype=values.dtype)
    data = xr.Dataset(
        {'t2m': (('lat', 'time', 'lon'), field, {'units': 'K'}), 'land': (('lat', 'lon'), field[:, 0])},
        {'time': np.arange(TIMES), 'step': ('time', dask.array.arange(TIMES, chunks=CHUNK)), 'lat': [1, 2, 3],
         'lat_bnds': (('lat', 'bnds'), np.zeros((3, 2))), 'hour': ('time', np.arange(TIMES) % 4)},
    )  # fmt: skip
    data['t2m'].encoding = {'scale_factor': 0.1}
    return data


@pytest.mark.parametrize('choice', CHOICES)
def test_the_same_as_isel(choice):
    chosen, index = isel_times(series(), CHOICES[choice]), CHOICES[choice]
    xr.testing.assert_identical(chosen, series().isel(time=index))
    assert list(chosen) == ['t2m', 'land']
    assert chosen['t2m'].chunks
    assert chosen['t2m'].encoding == {'scale_factor': 0.1}


def test_a_data_set_of_times_alone():
    times = xr.Dataset(coords={'time': np.arange(TIMES)})
    assert isel_times(times, CHOICES['spread'])['time'].values.tolist() == CHOICES['spread']


@pytest.mark.parametrize('index', [[3, 2], [4, 4], [-1], [-2, 5]])
def test_positions_that_do_not_increase(index):
    with pytest.raises(ValueError, match='increase'):
        isel_times(series(), index)


def test_reading_one_time_reads_one_chunk():
    read = []

    def counting(block, block_info=None):
        if block_info and block_info[0]:
            read.append(block_info[0]['chunk-location'][1])
        return block

    chosen = isel_times(series(counting), CHOICES['spread'])
    assert chosen['t2m'].chunks == ((3,), (2, 1, 1, 1), (4,))
    chosen['t2m'].isel(time=3).compute(scheduler='synchronous')
    assert read == [2]
