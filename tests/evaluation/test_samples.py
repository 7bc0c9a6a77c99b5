"""Scored times, one at a time: what is read, which cells count, and how much memory it takes."""

import gc
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from downscale_jax.evaluation.baselines import Baselines
from downscale_jax.evaluation.samples import outside, parts, samples
from downscale_jax.fields.geometry.blocks import block_mean, interpolate
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation

ENSEMBLES = {'diffusion': ('diffusion_2', 'diffusion_6'), 'calibrated': ('calibrated',)}
SHAPE, FACTOR = (16, 24), 4


def samples_of(case, chosen=None, stores=None):
    chosen = list(range(len(case.times))) if chosen is None else chosen
    stores = {name: store.isel(time=chosen) for name, store in (stores or case.stores).items()}
    baselines = Baselines(('coarse',), case.prepared)
    return samples(stores, ENSEMBLES, baselines, case.prepared, case.split, case.times, chosen)


def test_times_are_read_one_after_another(make_case):
    case = make_case(days=5)
    for index, _ in enumerate(samples_of(case)):
        # chunks of this time and of those before, each once: one of the regression, two of each ensemble
        assert case.loaded == sorted(case.loaded)
        assert [case.loaded.count(day) for day in range(5)] == [5] * (index + 1) + [0] * (4 - index)


def test_memory_does_not_grow_with_the_times(make_case, tmp_path):
    case = make_case(days=24, members=24, names=('diffusion',))
    case.stores['diffusion'].to_zarr(tmp_path / 'diffusion.zarr', consolidated=False, zarr_format=3)

    def peak(days):
        stores = {'diffusion': xr.open_zarr(tmp_path / 'diffusion.zarr', consolidated=False)}
        tracemalloc.start()
        try:
            for _ in samples_of(case, list(range(days)), stores):
                gc.collect()  # only what is still in use counts
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    gc.collect()
    gc.freeze()  # what is older than this test is not searched at each time
    try:
        peak(2)  # what is made once, at the first call
        few, many = (min(peak(days) for _ in range(2)) for days in (4, 24))  # threads of other tests add to either
    finally:
        gc.unfreeze()
    # 20 more times take less than two ensembles more; the names of their chunks in the task graph take one
    assert many - few < 2 * 24 * case.truth[0].nbytes


def test_all_methods_are_scored_on_the_same_cells(make_case):
    case = make_case(days=2)
    whole = list(samples_of(case))
    store = case.stores['diffusion']
    case.stores['diffusion'] = store.assign(sit=store['sit'].where(np.arange(48) > 20))
    for before, after in zip(whole, samples_of(case), strict=True):
        known = np.isfinite(before.truth)
        assert known.sum() == case.prepared.mask.sum() - 1  # but for the gap in the truth
        np.testing.assert_array_equal(np.isfinite(after.truth), known & (np.arange(48) > 20)[:, None])
        for members in after.methods.values():
            assert np.isfinite(members[:, np.isfinite(after.truth)]).all()


def test_methods_of_an_ensemble_are_its_first_members(make_case):
    case = make_case(days=1)
    (sample,) = samples_of(case)
    assert list(sample.methods) == ['coarse', 'regression', 'diffusion_2', 'diffusion_6', 'calibrated']
    everything = case.stores['diffusion']['sit'].values[:, 0, ..., None]
    for method, count in (('diffusion_2', 2), ('diffusion_6', 6)):
        np.testing.assert_array_equal(sample.methods[method], everything[:count])
    np.testing.assert_array_equal(sample.methods['coarse'][0], sample.coarse)
    np.testing.assert_array_equal(sample.coarse[..., 0], case.records[0]['coarse'][..., 1])
    assert sample.blocks is None


@pytest.mark.parametrize(
    ('members', 'numbers'), [(2, [1, 2]), (5, [1, 5]), (6, [1, 5, 6]), (12, [1, 5, 10, 12]), (33, [1, 5, 10, 33])]
)
def test_parts(members, numbers):
    fields = np.arange(members * 6.0).reshape(members, 2, 3, 1)
    found = parts(fields, [f'dpdm_{n}' for n in numbers])
    assert list(found) == [f'dpdm_{n}' for n in numbers]
    for n in numbers:
        np.testing.assert_array_equal(found[f'dpdm_{n}'], fields[:n])


@pytest.mark.parametrize(
    ('chosen', 'follows'),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], [False, True, True, True, False, True, True, True]),  # two stretches of four
        ([0, 1, 3, 4, 6, 7], [False, True, False, False, False, True]),
        ([0, 2, 5], [False] * 3),
    ],
)
def test_only_the_next_record_without_a_gap_follows(make_case, chosen, follows):
    case = make_case(days=8, names=('regression',))
    found = list(samples_of(case, chosen))
    assert [sample.follows for sample in found] == follows
    assert [sample.season for sample in found] == ['DJF' if index < 4 else 'MAM' for index in chosen]
    assert [sample.month for sample in found] == [2 if index < 4 else 5 for index in chosen]
    assert np.diff([sample.stamp for sample in found]).min() >= 12 * 3600


def test_clipped_shares_are_weighted_by_their_values():
    """Units of 4 and 2 members, at times of 10 and 30 cells: a mean of shares would give every unit the same weight."""
    shares = np.array([[0.1, 0.2], [0.4, 0.0]])
    store = xr.Dataset(
        {'sit': (('member', 'time', 'x'), np.zeros((6, 2, 30))), 'clipped_share': (('unit', 'time'), shares)}
    ).chunk(member=4, time=1)
    members = np.zeros((6, 30))
    assert outside(store, 1, members) == (pytest.approx(0.2 * 120), 6 * 30)
    members[:, 10:] = np.nan
    assert outside(store, 0, members) == (pytest.approx(0.1 * 40 + 0.4 * 20), 6 * 10)


@pytest.mark.parametrize('upper', [(-np.inf, np.inf), (0.0, 1.0)], ids=['free', 'bounded'])
def test_block_means(upper):
    bounds = ((-np.inf, np.inf), upper)
    values = Standardisation(('a', 'b'), ('K', 'm'), (0.0, 0.0), (1.0, 1.0), (0.0, 0.0), (1.0, 1.0), 0.0)
    means = BlockMeans(values, FACTOR, 'physical', False, bounds, (1.0, 1.0))
    rng = np.random.default_rng(0)
    truths = rng.normal(0, [1, 5], (3, *SHAPE, 2)).astype('f4')
    mask = np.ones(SHAPE, bool)
    prepared = SimpleNamespace(
        kind='block_means',
        coarse_input=lambda record: means.coarsen(record['fine'], prepared.area),
        field_transform=means,
        transform_as=lambda kind: means,
        mask=mask,
        area=np.ones((*SHAPE, 1), 'f4'),
        periodic=False,
    )
    # the store has the scored times alone
    store = xr.Dataset(
        {
            **{name: (('member', 'time', 'y', 'x'), truths[[0, 2], ..., v][None] + 1) for v, name in enumerate('ab')},
            'clipped_share': (('unit', 'time'), np.zeros((1, 2))),
        }
    ).chunk(member=1, time=1)
    times = np.array(['2001-01-31', '2001-02-28', '2001-07-01'], 'datetime64[ns]')
    baselines = Baselines(('bicubic', 'linear'), prepared)
    records = [{'fine': truth} for truth in truths]
    _, sample = samples({'gan': store}, {}, baselines, prepared, records, times, [0, 2])
    assert list(sample.methods) == ['bicubic', 'linear', 'gan']
    np.testing.assert_array_equal(sample.truth, truths[2])
    np.testing.assert_array_equal(sample.methods['gan'], truths[2:] + 1)
    np.testing.assert_allclose(sample.blocks, block_mean(truths[2], FACTOR), rtol=1e-4, atol=1e-6)
    for name, kernel in (('bicubic', 'cubic'), ('linear', 'linear')):
        free = interpolate(sample.blocks, FACTOR, False, kernel)
        expected = free.clip(*np.transpose(bounds))
        np.testing.assert_array_equal(sample.methods[name], expected[None])
    np.testing.assert_array_equal(sample.coarse, sample.methods['linear'][0])
    assert sample.clipped == {'gan': (0.0, 2.0 * 16 * 24)}
