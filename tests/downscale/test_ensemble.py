import itertools
import json
import shutil
from dataclasses import replace
from datetime import timedelta

import jax
import numpy as np
import pytest
import xarray as xr
import zarr

from downscale_jax.diffusion.schedule import CosineSchedule
from downscale_jax.downscale import ensemble, fitting
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.models.unet import UNet
from downscale_jax.runtime.errors import UserError
from downscale_jax.tasks.diffusion import Diffusion, FirstGuess, Params
from downscale_jax.tasks.regression import Regression
from downscale_jax.training.optimizer import Phase

H, W, TIMES, MEMBERS = 30, 38, 3, 3
REQUEST = {'input': 'coarse.nc', 'model': 'abc'}


def drawn(task, *inputs):
    """Parameters of an untrained network whose output is not zero."""
    shapes = jax.eval_shape(task.network.init, jax.random.key(0), *inputs)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: (0.2 * rng.normal(size=s.shape)).astype(np.float32), shapes)


@pytest.fixture(scope='module')
def generators(transform) -> dict[str, Generator]:
    phases = (Phase('main', 1, 0.1),)
    network = UNet(1, widths=(8,), bottleneck=8, blocks=1, embedding=8, stem=2, tail=8, time='blocks')
    regression = Regression(network.clone(channels=2), phases)
    diffusion = Diffusion(network, phases, CosineSchedule(), regression=regression)
    plane = np.zeros((1, 8, 8, 1), np.float32)
    condition, shown = np.tile(plane, 3), np.tile(plane, 5)
    guess = drawn(regression, None, condition)
    params = Params(drawn(diffusion, plane, shown, np.zeros(1)), FirstGuess(guess, np.float32(0.5)))
    sampling = Sampling('ddim', 2, 't', 0.0, temperature=1.0, correlation_hours=0.0, tile=24, overlap=8, members=2)
    correlated = replace(sampling, sampler='dpm_solver_sde', steps=3, correlation_hours=36.0)
    return {
        'diffusion': Generator(diffusion, params, transform, sampling),
        'correlated': Generator(diffusion, params, transform, correlated),
        'regression': Generator(regression, guess, transform, sampling),
    }


@pytest.fixture(scope='module', params=['diffusion', 'correlated'])
def generator(generators, request):
    """Deterministic with noise of its own for each time, and stochastic with noise that lasts 36 hours."""
    return generators[request.param]


@pytest.fixture(scope='module')
def statics():
    mask = np.ones((H, W), np.int8)
    mask[:8, :10] = 0
    axes = {name: (name, 4e3 * np.arange(n), {'units': 'm'}) for name, n in (('y', H), ('x', W))}
    return xr.Dataset({'mask': (('y', 'x'), mask)}, axes)


@pytest.fixture(scope='module')
def coarse():
    """On a grid of 25 km that reaches over the fine one."""
    rng = np.random.default_rng(1)
    axes = {name: (name, 25e3 * np.arange(n) - 12e3, {'units': 'm'}) for name, n in (('y', 7), ('x', 8))}
    return xr.Dataset(
        {
            'sit': (('time', 'y', 'x'), 1.5 + 0.5 * rng.normal(size=(TIMES, 7, 8)).astype(np.float32), {'units': 'm'}),
            'sic': (('time', 'y', 'x'), 0.8 + 0.1 * rng.normal(size=(TIMES, 7, 8)).astype(np.float32), {'units': '1'}),
        },
        {'time': np.array(['2020-01-01', '2020-01-02T12', '2020-03-01'], 'datetime64[ns]'), **axes},
    )


@pytest.fixture(scope='module')
def whole(generator, coarse, statics):
    return ensemble.in_memory(generator, coarse, statics, MEMBERS, 0, {'title': 'a test'})


def store(generator, coarse, statics, path, members=MEMBERS, seed=0, anew=False, **request):
    attrs = {'title': 'a test', 'variables': {'sit': {'standard_name': 'sea_ice_thickness'}}}
    ensemble.to_store(generator, coarse, statics, members, seed, attrs, path, {**REQUEST, **request}, anew)


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


@pytest.fixture(scope='module')
def stored(generator, coarse, statics, tmp_path_factory):
    path = tmp_path_factory.mktemp('stored') / 'out.zarr'
    store(generator, coarse, statics, path)
    return path


class KilledError(Exception):
    pass


def killed_after(units):
    generate = ensemble.generate

    def some(*args):
        for count, unit in enumerate(generate(*args)):
            if count == units:
                raise KilledError
            yield unit

    return some


def test_shape_coordinates_and_attributes(whole, coarse, statics):
    sit = whole['sit']
    assert (sit.dims, sit.shape, sit.dtype) == (('member', 'time', 'y', 'x'), (MEMBERS, TIMES, H, W), np.float32)
    for name in ('x', 'y'):
        np.testing.assert_array_equal(whole[name], statics[name])
    np.testing.assert_array_equal(whole['time'], coarse['time'])
    assert sit.attrs['units'] == 'm'
    # in the precision of the data, which reach it
    assert (sit.attrs['valid_min'], sit.attrs['valid_max']) == (0.0, np.float32(2.4))
    assert (sit.min(), sit.max()) == (sit.attrs['valid_min'], sit.attrs['valid_max'])
    assert whole.attrs['title'] == 'a test'


def test_values_exactly_where_the_mask_says(whole, statics):
    valid = np.broadcast_to(statics['mask'].values > 0, whole['sit'].shape)
    np.testing.assert_array_equal(np.isfinite(whole['sit'].values), valid)


def test_members_times_and_seeds_differ(generator, coarse, statics, whole):
    values = whole['sit'].values[:, :, 8:, 10:].reshape(MEMBERS * TIMES, -1)
    assert len(np.unique(values, axis=0)) == MEMBERS * TIMES
    other = ensemble.in_memory(generator, coarse.isel(time=[0]), statics, 1, 1, {})['sit'].values[0, 0]
    assert (other != whole['sit'].values[0, 0])[8:, 10:].mean() > 0.5


def test_a_member_of_a_time_is_the_same_in_every_request(generator, coarse, statics, whole):
    part = ensemble.in_memory(generator, coarse.isel(time=[1]), statics, 2, 0, {})
    np.testing.assert_array_equal(part['sit'].values[:, 0], whole['sit'].values[:2, 1])
    alone = ensemble.in_memory(generator, coarse.isel(time=[1]), statics, 1, 0, {})  # a unit of one member
    np.testing.assert_allclose(alone['sit'].values[0, 0], whole['sit'].values[0, 1], rtol=0, atol=1e-4)


@pytest.mark.parametrize(('asked', 'unit'), [(1, 1), (2, 2), (3, 2), (4, 2), (11, 11), (12, 6), (16, 8), (33, 11)])
def test_units_of_no_more_members_than_are_asked_for(generator, asked, unit):
    most = generator.changed(members=2 if asked < 5 else 11)
    assert ensemble.shared_out(most, asked).members == unit


def test_clipped_to_the_bounds_and_the_share_is_told(generators, coarse, statics, whole):
    values = whole['sit'].values
    assert np.nanmin(values) == 0
    assert np.nanmax(values) == np.float32(2.4)
    # of the units: members 0 and 1 together, member 2 alone, for each time
    at_bounds = (values == 0) | (values == np.float32(2.4))
    shares = [at_bounds[group, time].sum() / np.isfinite(values[group, time]).sum()
              for time in range(TIMES) for group in (slice(0, 2), slice(2, 3))]  # fmt: skip
    assert whole.attrs['clipped_share'] == pytest.approx(np.mean(shares), rel=1e-6)
    assert 0 < whole.attrs['clipped_share'] < 1


def test_store_and_memory_agree_bit_for_bit(whole, stored):
    with xr.open_zarr(stored, consolidated=False) as dataset:
        np.testing.assert_array_equal(dataset['sit'].values, whole['sit'].values)
        assert dataset['sit'].encoding['chunks'] == (2, 1, H, W)
        assert float(dataset['clipped_share'].isel(unit=0).min()) >= 0
        assert dataset['sit'].attrs['standard_name'] == 'sea_ice_thickness'


@pytest.mark.parametrize('units', [0, 1, 4])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(
    generator, coarse, statics, stored, tmp_path, monkeypatch, units
):
    path = tmp_path / 'out.zarr'
    monkeypatch.setattr(ensemble, 'generate', killed_after(units))
    with pytest.raises(KilledError):
        store(generator, coarse, statics, path)
    monkeypatch.undo()
    with xr.open_zarr(path, consolidated=False) as dataset:
        assert int(np.isfinite(dataset['clipped_share'].values).sum()) == units
    left = []
    generate = ensemble.generate
    monkeypatch.setattr(ensemble, 'generate', lambda *args: left.extend(args[-1]) or generate(*args))
    store(generator, coarse, statics, path)
    # three times, two units of two members each
    assert len(left) == 6 - units
    assert contents(path) == contents(stored)


def test_a_unit_without_its_mark_is_computed_again(generator, coarse, statics, stored, tmp_path):
    path = tmp_path / 'out.zarr'
    store(generator, coarse, statics, path)
    (path / 'clipped_share' / 'c' / '1' / '2').unlink()
    (path / 'sit' / 'c' / '1' / '2' / '0' / '0').write_bytes(b'cut')
    store(generator, coarse, statics, path)
    assert contents(path) == contents(stored)


@pytest.mark.parametrize('sizes', [None, [24, 24]])
def test_a_store_begun_in_other_tiles(generator, coarse, statics, stored, tmp_path, sizes):
    """As before stores told their tiles, or these were no larger than needed: left alone where finished, else refused,
    and begun anew by what may replace it."""
    path = tmp_path / 'out.zarr'
    shutil.copytree(stored, path)
    attrs = zarr.open_group(path, mode='r+').attrs
    if sizes:
        attrs['unit'] = json.dumps({**json.loads(str(attrs['unit'])), 'sizes': sizes})
    else:
        del attrs['unit']
    before = contents(path)
    store(generator, coarse, statics, path)
    assert contents(path) == before
    (path / 'clipped_share' / 'c' / '1' / '2').unlink()
    with pytest.raises(UserError, match='begun by an earlier version in other tiles') as error:
        store(generator, coarse, statics, path)
    assert '\n' not in str(error.value)
    store(generator, coarse, statics, path, anew=True)
    assert contents(path) == contents(stored)


def test_a_finished_store_is_left_alone(generator, coarse, statics, stored, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in stored.rglob('*')}
    monkeypatch.setattr(ensemble, 'generate', None)
    store(generator, coarse, statics, stored)
    assert {file: file.stat().st_mtime_ns for file in stored.rglob('*')} == before


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'members': 4}, 'members 3 there, 4 asked for'),
        ({'seed': 1}, 'seed 0 there, 1 asked for'),
        ({'input': 'other.nc'}, "input 'coarse.nc' there, 'other.nc' asked for"),
        ({'input': 'other.nc', 'input_state': [1]}, r"input 'coarse.nc' there, 'other.nc' asked for\): "),
        ({'model': 'def'}, "model 'abc' there, 'def' asked for"),
    ],
)
def test_another_request_is_refused(generator, coarse, statics, stored, change, told):
    before = contents(stored)
    with pytest.raises(UserError, match=f'holds an ensemble of another request .{told}'):
        store(generator, coarse, statics, stored, **change)
    assert contents(stored) == before


def test_an_input_that_has_changed(generator, coarse, statics, stored):
    with pytest.raises(
        UserError, match=r'^coarse\.nc has changed since .* was begun: choose another --output'
    ) as error:
        store(generator, coarse, statics, stored, input_state=[2])
    assert '[2]' not in str(error.value)


def test_something_else_in_the_way_is_left_alone(generator, coarse, statics, tmp_path):
    (tmp_path / 'out.zarr').mkdir()
    (tmp_path / 'out.zarr' / 'thesis.txt').write_text('years of work')
    with pytest.raises(UserError, match='is not an ensemble of this program'):
        store(generator, coarse, statics, tmp_path / 'out.zarr')
    assert (tmp_path / 'out.zarr' / 'thesis.txt').read_text() == 'years of work'


def test_regression_has_one_member(generators, coarse, statics):
    generator = generators['regression']
    assert generator.members == 1
    result = ensemble.in_memory(generator, coarse, statics, 1, 0, {})
    other = ensemble.in_memory(generator, coarse, statics, 1, 7, {})
    np.testing.assert_array_equal(result['sit'], other['sit'])
    assert result.sizes['member'] == 1


def test_zero_sample_is_the_coarse_field(generators, transform, coarse, statics):
    # an anomaly of zero: what comes out is what came in, brought to the fine grid bilinearly and clipped
    trained = generators['regression']
    zero = jax.tree.map(np.zeros_like, jax.device_get(trained.params))
    generator = Generator(trained.task, zero, transform, trained.sampling)
    found = ensemble.in_memory(generator, coarse, statics, 1, 0, {})['sit'].isel(member=0)
    expected = coarse['sit'].interp(x=statics['x'], y=statics['y']).clip(0, 2.4)
    sea = statics['mask'].values > 0
    np.testing.assert_allclose(found.values[:, sea], expected.values[:, sea], atol=1e-5)


def test_missing_coarse_values_stay_missing(generator, coarse, statics):
    holed = coarse.isel(time=[0]).copy(deep=True)
    holed['sit'][0, :, 4:] = np.nan
    found = ensemble.in_memory(generator, holed, statics, 1, 0, {})['sit'].values[0, 0]
    # the last column with values is at 63 km, the gap is filled for two coarse cells at most
    assert np.isnan(found[:, 30:]).all()
    assert np.isfinite(found[8:, 10:16]).all()


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        (lambda d: d.drop_vars('sic'), r"the data set: no variable 'sic'; it has sit"),
        (lambda d: d.rename(sic='siconc'), r"no variable 'sic'; it has siconc, sit; did you mean"),
        (lambda d: d.assign(sit=d.sit.assign_attrs(units='K')), r"'sit' .*K"),
        (lambda d: d.assign_coords(x=d.x + 1e6), r'no value of sit, sic falls on the fine grid'),
    ],
)
def test_inputs_that_do_not_fit(generator, coarse, statics, change, told):
    with pytest.raises(UserError, match=told) as error:
        ensemble.in_memory(generator, change(coarse), statics, 1, 0, {})
    assert '\n' not in str(error.value)


def test_what_does_not_fit_leaves_no_store(generator, coarse, statics, tmp_path):
    with pytest.raises(UserError, match='falls on the fine grid'):
        store(generator, coarse.assign_coords(x=coarse.x + 1e6), statics, tmp_path / 'out.zarr')
    assert not list(tmp_path.iterdir())


def test_units_are_converted(generator, coarse, statics, whole):
    in_cm = coarse.assign(sit=(coarse['sit'] * 100).assign_attrs(units='cm'))
    found = ensemble.in_memory(generator, in_cm, statics, 1, 0, {})
    np.testing.assert_allclose(found['sit'].values[0], whole['sit'].values[0], atol=3e-4)  # a unit of other members


def test_callers_attributes_are_left_alone(generator, coarse, statics):
    attrs = {'title': 'mine', 'variables': {'sit': {'long_name': 'thickness'}}}
    result = ensemble.in_memory(generator, coarse.isel(time=[0]), statics, 1, 0, attrs)
    assert result['sit'].attrs['long_name'] == 'thickness'
    assert attrs == {'title': 'mine', 'variables': {'sit': {'long_name': 'thickness'}}}


def test_netcdf(stored, whole, tmp_path):
    ensemble.export_netcdf(stored, tmp_path / 'out.nc')
    assert [path.name for path in tmp_path.iterdir()] == ['out.nc']
    with xr.open_dataset(tmp_path / 'out.nc', decode_cf=False) as raw:
        assert raw.attrs['Conventions'] == 'CF-1.8'
        assert raw['sit'].attrs['units'] == 'm'
        assert raw['sit'].attrs['standard_name'] == 'sea_ice_thickness'
        assert raw['sit'].attrs['cell_methods'] == 'area: mean'
        assert np.isnan(raw['sit'].attrs['_FillValue'])
        assert raw['member'].attrs['standard_name'] == 'realization'
        assert raw['time'].attrs['standard_name'] == 'time'
        assert ' since ' in raw['time'].attrs['units']
        assert raw['x'].attrs['units'] == 'm'
        assert 'clipped_share' not in raw.variables
    with xr.open_dataset(tmp_path / 'out.nc') as dataset:
        np.testing.assert_array_equal(dataset['sit'].values, whole['sit'].values)
        np.testing.assert_array_equal(dataset['time'], whole['time'])
        assert dataset.attrs['clipped_share'] == pytest.approx(whole.attrs['clipped_share'])


def with_memory(monkeypatch, size):
    monkeypatch.setattr(fitting.memory, 'free', lambda: (size + 1) / fitting.SHARE)


def test_units_shrink_until_they_fit_members_first(generators, capsys):
    generator = generators['diffusion']
    domain, narrow = ((H, W), 2, False), replace(generator.sampling, overlap=4)
    generator = Generator(generator.task, generator.host_params, generator.transform, narrow)
    whole, one = (fitting.memory_needed(generator.changed(members=n), domain, 1) for n in (2, 1))
    smaller = fitting.memory_needed(generator.changed(members=1, tile=16), domain, 1)
    assert whole > one > smaller
    for size, members, tile in ((whole, 2, 24), (one, 1, 24), (smaller, 1, 16)):
        found = fitting.fitted(generator, domain, lambda _: 1, size)
        assert (found.sampling.members, found.sampling.tile) == (members, tile)
        said = capsys.readouterr().out
        assert ('sampling.members=2 does not fit into the' in said) == (members < 2)
        assert ('memory that are free: 16 instead' in said) == (tile < 24)
    with pytest.raises(UserError, match=r'one member on 30 x 38 cells in tiles of 16 takes .* GiB'):
        fitting.fitted(generator, domain, lambda _: 1, smaller / 2)


def test_units_of_a_circle_and_of_one_that_draws_nothing_fit_too(generators, capsys):
    narrow = replace(generators['diffusion'].sampling, overlap=4)
    for name, periodic in (('diffusion', True), ('regression', False)):
        one = generators[name]
        generator = Generator(one.task, one.host_params, one.transform, narrow)
        domain = (H, W), 2, periodic
        least = fitting.memory_needed(generator.changed(members=1, tile=16), domain, 1)
        found = fitting.fitted(generator, domain, lambda _: 1, least)
        assert fitting.memory_needed(found, domain, 1) <= least
        assert found.members == 1
        assert ('sampling.members' in capsys.readouterr().out) == one.draws


@pytest.mark.parametrize('unit', [{'members': 1}, {'members': 1, 'tile': 16}], ids=['members', 'tile'])
def test_a_store_keeps_the_units_that_it_was_begun_with(
    generators, coarse, statics, tmp_path, monkeypatch, unit, capsys
):
    """On a machine with more memory the rest is made as it was begun, the same bytes; with less it is refused."""
    one = generators['diffusion']
    generator = Generator(one.task, one.host_params, one.transform, replace(one.sampling, overlap=4))
    needed = fitting.memory_needed(generator.changed(**unit), ((H, W), 2, False), 9)
    with_memory(monkeypatch, needed)
    store(generator, coarse, statics, tmp_path / 'small.zarr')
    monkeypatch.setattr(ensemble, 'generate', killed_after(2))
    with pytest.raises(KilledError):
        store(generator, coarse, statics, tmp_path / 'killed.zarr')
    with_memory(monkeypatch, needed / 2)
    with pytest.raises(UserError, match='was begun with units that take'):
        store(generator, coarse, statics, tmp_path / 'killed.zarr')
    monkeypatch.undo()
    capsys.readouterr()
    store(generator, coarse, statics, tmp_path / 'killed.zarr')
    assert '7 of 9 units to do' in capsys.readouterr().out
    assert contents(tmp_path / 'killed.zarr') == contents(tmp_path / 'small.zarr')


def test_an_evaluation_keeps_its_store_where_the_next_cannot_be(generators, coarse, statics, tmp_path, monkeypatch):
    generator = generators['diffusion']
    store(generator, coarse, statics, tmp_path / 'out.zarr')
    before = contents(tmp_path / 'out.zarr')
    with_memory(monkeypatch, 1)
    other = (coarse, statics, MEMBERS, 1, {}, tmp_path / 'out.zarr', REQUEST)
    with pytest.raises(UserError, match='one member'):
        ensemble.to_store(generator, *other, replace=True)
    assert contents(tmp_path / 'out.zarr') == before
    monkeypatch.undo()
    ensemble.to_store(generator, *other, replace=True)
    assert contents(tmp_path / 'out.zarr') != before


@pytest.mark.parametrize('seconds', [(9, 7, 1), (20, 14)], ids=['short', 'long'])
def test_what_it_will_take_is_said(generator, coarse, statics, tmp_path, monkeypatch, capsys, seconds):
    """A short evaluation is made again, what is first is slow; last comes reading alone. Either leaves six seconds."""
    clock = itertools.chain.from_iterable((100 * i, 100 * i + took) for i, took in enumerate(seconds))
    monkeypatch.setattr(ensemble, 'perf_counter', lambda: next(clock))
    monkeypatch.setattr(ensemble, 'SOON', 0)
    store(generator, coarse, statics, tmp_path / 'out.zarr')
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith('3 members x 3 times of 30 x 38 cells: 6 of 6 units to do, 6 here; out.zarr takes at most')
    assert first.endswith('GiB of memory')
    assert 'a unit of 2 members in tiles of 20 x 24 cells' in first
    told = timedelta(seconds=max(6 * 6 * generator.sampling.steps, 6 * seconds[-1]))  # of six units
    assert second.startswith(f'about {told} (hours:minutes:seconds) for all units here')
    monkeypatch.undo()
    store(generator, coarse, statics, tmp_path / 'again.zarr')
    assert len(capsys.readouterr().out.splitlines()) == 1  # soon done


def test_files_of_others_are_left_alone(generator, coarse, statics, tmp_path):
    (tmp_path / 'out.zarr').mkdir()
    (tmp_path / 'out.zarr' / 'mine.partial').touch()
    with pytest.raises(UserError, match='is not an ensemble of this program'):
        store(generator, coarse, statics, tmp_path / 'out.zarr')
    assert (tmp_path / 'out.zarr' / 'mine.partial').exists()
