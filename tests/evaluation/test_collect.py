"""One day at a time: what is read, how much memory it takes, and the sums over cells that only days together give."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation import collect
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.fields.geometry.boxes import box_filter


def collected(case, settings, chosen=None, main='calibrated'):
    chosen = case.chosen if chosen is None else chosen
    opened = {name: dataset.isel(time=chosen) for name, dataset in case.opened.items()}
    return collect.collect(opened, case.prepared, case.split, case.times, chosen, main, settings)


def test_every_chunk_is_read_once_day_after_day(make_case, settings):
    case = make_case(days=5)
    collected(case, settings)
    # a chunk of the regression, two of each ensemble
    assert case.loaded == sorted(case.loaded)
    assert [case.loaded.count(day) for day in range(5)] == [5] * 5


def test_memory_does_not_grow_with_the_days(make_case, settings, tmp_path):
    case = make_case(days=24, members=24, names=('diffusion',))
    case.opened['diffusion'].to_zarr(tmp_path / 'diffusion.zarr', consolidated=False, zarr_format=3)

    def peak(days):
        opened = {'diffusion': xr.open_zarr(tmp_path / 'diffusion.zarr', consolidated=False)}
        tracemalloc.start()
        try:
            collect.collect(opened, case.prepared, case.split, case.times, list(range(days)), 'diffusion', settings)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(2)  # what is made once, at the first call
    few, many = peak(4), peak(24)
    # 20 more days take less than four ensembles more: their sums, and what the garbage collector has not met yet
    assert many - few < 4 * 24 * case.truth[0].nbytes


def test_all_methods_are_scored_on_the_same_cells(make_case, settings):
    case = make_case(days=3)
    whole = collected(case, settings)
    dataset = case.opened['diffusion']
    case.opened['diffusion'] = dataset.assign(sit=dataset['sit'].where(dataset['x'] > 20))
    part = collected(case, settings)
    for name in whole.scores:
        weights = [day['weight'][collect.ALL] for day in part.scores[name]]
        assert weights == [day['weight'][collect.ALL] for day in part.scores['coarse']]
        assert all(np.less(weights, [day['weight'][collect.ALL] for day in whole.scores[name]]))
    cells = case.prepared.mask.sum() - 1  # but for the gap in the truth
    assert whole.scores['coarse'][0]['weight'][collect.ALL] == 16.0 * cells


def test_zones_follow_the_coarse_field(case, settings):
    found = collected(case, settings)
    assert found.regimes == ['below 0.15', '0.15 to 1', '1 to 2', 'over 2']
    weight = total(found.scores['diffusion'])['weight']
    assert weight[collect.ALL] == pytest.approx(weight[2:].sum())
    assert weight[collect.ICE] == pytest.approx(weight[3:].sum())
    assert (weight > 0).all()


def test_a_day_has_the_same_sums_whatever_others_are_scored(case, settings):
    whole, alone = collected(case, settings), collected(case, settings, [3])
    for name in whole.scores:
        for key, value in alone.scores[name][0].items():
            np.testing.assert_array_equal(value, whole.scores[name][3][key])


def test_only_neighbours_have_a_lag(case, settings):
    assert len(collected(case, settings).lags['truth']) == 6  # two blocks of four
    assert len(collected(case, settings, [0, 1, 3, 4, 6, 7]).lags['diffusion']) == 2  # 3 and 4 are of two blocks
    assert collected(case, settings, [0, 2, 4]).lags == {}


def test_lag_sums_by_hand():
    first = np.array([[[1.0, 2.0, np.nan]], [[0.0, 1.0, 1.0]]], np.float32)
    second = np.array([[[3.0, 1.0, 5.0]], [[1.0, -1.0, 1.0]]], np.float32)
    found = collect.lag_sums(first, second, np.array([[1.0, 2.0, 9.0]]))['lag']
    assert found.tolist() == [(3 + 2 * 2) + (0 - 2), (1 + 2 * 4) + 2 * 1, (9 + 2) + (1 + 2)]


def test_clipped_shares_weigh_by_their_values():
    """Units of 4 and 2 members, on days of 10 and 30 cells: a mean of shares would give every unit the same weight."""
    shares = np.array([[0.1, 0.2], [0.4, 0.0]])
    dataset = xr.Dataset(
        {
            'sit': (('member', 'time', 'x'), np.zeros((6, 2, 30))),
            'clipped_share': (('unit', 'time'), shares),
        }
    ).chunk(member=4, time=1)
    sums = total([collect.clipped(dataset, 'sit', index, cells) for index, cells in enumerate((10, 30))])
    assert sums['outside'] == pytest.approx(0.1 * 40 + 0.4 * 20 + 0.2 * 120)
    assert sums['values'] == 6 * 10 + 6 * 30


def test_closure_is_the_difference_to_the_coarse_field_after_its_filter():
    """A member that has the coarse field's mean under the kernel closes; an offset is the closure."""
    rng = np.random.default_rng(0)
    sea, sizes = np.ones((24, 24)), (np.full(24, 4.0), np.full(24, 4.0))
    field = rng.normal(size=(24, 24))
    coarse = box_filter(field, sea, 5, np.full(24, 5.0), False)
    members = np.stack([field, field + 0.5])
    sums = collect.closure(members, coarse, sea, sizes, 20.0, False)
    # of the two members one is off by a half everywhere
    assert np.sqrt(sums['closure'] / sums['closure_weight']) == pytest.approx(np.sqrt(0.25 / 2))
