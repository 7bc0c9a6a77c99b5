"""What scores need of the training split: climatology by month, thresholds, against NumPy."""

from types import SimpleNamespace

import cftime
import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.reference import TIMES, reference
from downscale_jax.evaluation.statistics import extremes
from downscale_jax.fields.datasets.times import decode_times, encode_times, month_of
from tests.counted import Counted

SHAPE, VARIABLES = (12, 10), ('a', 'b')


def prepared(times, calendar, seed=0):
    """Two variables on unequal cells, a third of them outside of the mask, some values missing."""
    rng = np.random.default_rng(seed)
    mask = rng.random(SHAPE) > 1 / 3
    fine = (
        rng.normal([0, 10], [1, 5], (len(times), *SHAPE, 2))
        + np.array([month_of(t) for t in times])[:, None, None, None]
    )
    fine[:, 0, 0, 1] = np.nan
    mask[0, 0] = mask[5, 5] = True
    fine = np.where(mask[..., None], fine, np.nan).astype('f4')
    records = [{'fine': x, 'time': int(s)} for x, s in zip(fine, encode_times(times), strict=True)]
    known = fine.reshape(-1, 2)
    statics = xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), rng.uniform(1, 3, SHAPE))})
    return SimpleNamespace(
        split={'train': Counted(records)}.__getitem__,
        field_transform=SimpleNamespace(targets=VARIABLES),
        mask=mask,
        statics=statics,
        attributes={},
        meta={
            'calendar': calendar,
            'range': np.stack([np.nanmin(known, 0), np.nanmax(known, 0)], -1).tolist(),
        },
    ), fine


MONTHS = np.array([f'20{y:02d}-{m:02d}-15' for y in range(3) for m in range(1, 13)], 'datetime64[ns]')
NOLEAP = np.array([cftime.DatetimeNoLeap(1900 + y, m, 28) for y in range(3) for m in range(1, 13)])


@pytest.mark.parametrize(('times', 'calendar'), [(MONTHS, 'proleptic_gregorian'), (NOLEAP, 'noleap')])
def test_climatology_by_month_and_thresholds(times, calendar):
    data, fine = prepared(times, calendar)
    np.testing.assert_array_equal(decode_times(encode_times(times), calendar), times)
    found = reference(data)
    assert found.climatology.shape == (12, *SHAPE, 2)
    expected = fine.reshape(3, 12, *SHAPE, 2).mean(0)
    np.testing.assert_allclose(found.climatology, expected, rtol=1e-5, atol=1e-5)
    # quantiles of all values, each as often as its cell is large
    area = np.broadcast_to(data.statics['cell_area'].values, fine.shape[:3])
    for v, (low, high) in enumerate(data.meta['range']):
        known = np.isfinite(fine[..., v])
        quantiles = np.quantile(fine[known, v], extremes.LEVELS, weights=area[known], method='inverted_cdf')
        width = 2 * (high - low) / extremes.BINS
        np.testing.assert_allclose(found.thresholds[v], quantiles, atol=2.5 * width)
        np.testing.assert_allclose(found.edges[v], extremes.edges(low, high))


def test_what_is_hot_and_dry():
    data, fine = prepared(MONTHS, 'standard')
    assert reference(data).hot_dry() is None
    data.attributes = {'a': {'standard_name': 'precipitation_flux'}, 'b': {'standard_name': 'air_temperature'}}
    found = reference(data)
    data.split('train').read.clear()
    pair, limits = found.hot_dry()
    assert data.split('train').read == list(range(36))  # only now
    assert pair == (1, 0)
    # the most extreme of three Januaries
    np.testing.assert_array_equal(limits.hot[0], fine[[0, 12, 24], ..., 1].max(0))
    np.testing.assert_array_equal(limits.dry[11], fine[[11, 23, 35], ..., 0].min(0))


def test_cells_outside_of_the_mask_do_not_count():
    data, _ = prepared(MONTHS, 'standard')
    first = reference(data)
    for record in data.split('train'):
        record['fine'][5, 5] = 1e3
    data.mask[5, 5] = False
    found = reference(data)
    assert (found.thresholds < 100).all()
    np.testing.assert_allclose(found.thresholds, first.thresholds, atol=0.3)


def test_months_without_a_time_have_the_mean_of_all():
    summer = MONTHS[[5, 6, 17, 18]]
    data, fine = prepared(summer, 'standard')
    normal = reference(data).climatology
    np.testing.assert_allclose(normal[5], fine[[0, 2]].mean(0), rtol=1e-5, atol=1e-5)
    for month in (0, 7, 11):
        np.testing.assert_allclose(normal[month], fine.mean(0), rtol=1e-5, atol=1e-5)


def test_of_long_series_some_times_are_read():
    days = np.datetime64('2000-01-01', 'ns') + np.arange(TIMES + 300) * np.timedelta64(1, 'D')
    data, _ = prepared(days[:3], 'standard')
    record = list.__getitem__(data.split('train'), 0)
    split = Counted([record] * (TIMES + 300))
    data.split = {'train': split}.__getitem__
    reference(data)
    assert len(split.read) == TIMES
    assert (split.read[0], split.read[-1]) == (0, TIMES + 299)


def test_month_of_both_kinds_of_time():
    for month in range(1, 13):
        assert month_of(np.datetime64(f'1969-{month:02d}-28T23:59', 'ns')) == month
        assert month_of(np.datetime64(f'1850-{month:02d}-01', 's')) == month
        assert month_of(cftime.Datetime360Day(2100, month, 30)) == month
