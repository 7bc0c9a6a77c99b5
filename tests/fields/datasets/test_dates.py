import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.datasets.dates import check_splits, select_dates
from downscale_jax.runtime.errors import UserError


def daily(count):
    times = np.datetime64('2016-08-01', 'ns') + np.arange(count) * np.timedelta64(1, 'D')
    return xr.Dataset({'a': ('time', np.arange(count))}, {'time': times})


def error_of(function, *args) -> str:
    with pytest.raises(UserError) as caught:
        function(*args)
    assert '\n' not in str(caught.value)
    return str(caught.value)


def test_selection():
    data = daily(60)
    assert select_dates(data, ('2016-09', '2016-09')).sizes['time'] == 29
    assert select_dates(data, ('2016-08-02', '2016-08-04')).sizes['time'] == 3
    assert select_dates(data, [('2016-08', '2016-08'), ('2016-08-30', '2016-09-01')]).sizes['time'] == 32


def test_other_calendar():
    times = [cftime.Datetime360Day(2000, 2, day) for day in (28, 29, 30)]
    data = xr.Dataset({'a': ('time', [1, 2, 3])}, {'time': times})
    assert select_dates(data, ('2000-02-30', '2000-02-30')).a == 3
    assert '2000-02-28' in error_of(select_dates, data, ('2001', '2002'))


def test_mistakes():
    data = daily(4)
    assert '2016-08-01T00:00:00 to 2016-08-04' in error_of(select_dates, data, ('2015', '2015-12'))
    assert error_of(select_dates, data, ('2015', '2015'), '--overlap: dates').startswith(
        '--overlap: dates 2015 to 2015 '
    )
    assert 'is before' in error_of(select_dates, data, ('2016-08-02', '2016-07'))
    for pair in ('2016-13', '2016-14'), ('2016-02-30', '2016-03'), ('Aug', 'Sep'), ('2016',), (2016, 2017), '2016':
        assert 'date' in error_of(select_dates, data, pair)


def test_splits():
    times = daily(60).time
    good = {
        'train': [('2016-08-01', '2016-08-20'), ('2016-09-10', '2016-12')],
        'test': ('2016-08-21', '2016-09-09'),
    }
    check_splits(good, times)
    message = error_of(check_splits, {**good, 'validation': ('2016-09-05', '2016-09-15')}, times)
    assert "'train'" in message
    assert "'validation'" in message
    assert '2016-09-10T00:00:00 to 2016-09-15' in message
    assert "split 'test' 2017 to 2018 is empty" in error_of(check_splits, {'test': ('2017', '2018')}, times)
    assert "split 'test'" in error_of(check_splits, {'test': ()}, times.values)
