"""Ensembles in a store: the bytes of memory, resumed after any interruption, refused for another request."""

import itertools
import json
import logging
import shutil
from datetime import timedelta

import numpy as np
import pytest
import xarray as xr
import zarr

from downscale_jax.downscale import fitting
from downscale_jax.downscale.dataset import Provenance, export_netcdf, in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.output import filling, zarr_store
from downscale_jax.downscale.output.zarr_store import with_units_of
from downscale_jax.downscale.request import Source, file_state
from downscale_jax.runtime.errors import UserError

H, W, TIMES, MEMBERS = 30, 38, 3, 3
PROVENANCE = Provenance('a test', variables={'sit': {'standard_name': 'sea_ice_thickness'}})
# for tests of the store alone, which does not depend on the kind of generator
DIFFUSION = pytest.mark.parametrize('generator', ['diffusion'], indirect=True)


def ensemble_of(generator, coarse, statics, members=MEMBERS, seed=0):
    return Ensemble(generator, open_inputs(coarse, generator.transform, statics), statics, members, seed)


@pytest.fixture(scope='module')
def whole(generator, coarse, statics):
    return in_memory(ensemble_of(generator, coarse, statics), Provenance(title='a test'))


@pytest.fixture(scope='module')
def whole_diffusion(generators, coarse, statics):
    return in_memory(ensemble_of(generators['diffusion'], coarse, statics))


@pytest.fixture
def store(coarse, statics):
    """Fills a store of a generator."""

    def fill(generator, path, source='coarse.nc', state='', replace=False, **changes):
        ensemble = ensemble_of(generator, changes.pop('coarse', coarse), statics, **changes)
        filling.to_store(ensemble, path, Source(source, state), PROVENANCE, replace)

    return fill


def contents(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob('*') if file.is_file()}


@pytest.fixture(scope='module')
def stored(generator, coarse, statics, tmp_path_factory):
    path = tmp_path_factory.mktemp('stored') / 'out.zarr'
    filling.to_store(ensemble_of(generator, coarse, statics), path, Source('coarse.nc'), PROVENANCE)
    return path


class KilledError(Exception):
    pass


def killed_after(units):
    generate = filling.generate

    def some(*args):
        for count, unit in enumerate(generate(*args)):
            if count == units:
                raise KilledError
            yield unit

    return some


def test_store_and_memory_agree_bit_for_bit(whole, stored):
    with xr.open_zarr(stored, consolidated=False) as dataset:
        np.testing.assert_array_equal(dataset['sit'].values, whole['sit'].values)
        assert dataset['sit'].encoding['chunks'] == (2, 1, H, W)
        assert float(dataset['clipped_share'].isel(unit=0).min()) >= 0
        assert dataset['sit'].attrs['standard_name'] == 'sea_ice_thickness'


def check_resumed_after(units, generator, store, stored, path, monkeypatch):
    """Kills the filling of a store after so many units: the same request computes the others, to the same bytes."""
    monkeypatch.setattr(filling, 'generate', killed_after(units))
    with pytest.raises(KilledError):
        store(generator, path)
    monkeypatch.undo()
    with xr.open_zarr(path, consolidated=False) as dataset:
        assert int(np.isfinite(dataset['clipped_share'].values).sum()) == units
    left = []
    generate = filling.generate
    monkeypatch.setattr(filling, 'generate', lambda *args: (left.append(unit) or unit for unit in generate(*args)))
    store(generator, path)
    # three times, two units of two members each
    assert len(left) == 6 - units
    assert contents(path) == contents(stored)


@pytest.mark.parametrize('units', [0, 1, 4])
@pytest.mark.parametrize('generator', ['correlated'], indirect=True)
def test_a_killed_run_resumes_and_ends_with_the_same_bytes(generator, store, stored, tmp_path, monkeypatch, units):
    check_resumed_after(units, generator, store, stored, tmp_path / 'out.zarr', monkeypatch)


@pytest.mark.parametrize('generator', ['diffusion', 'one_pass'], indirect=True)
def test_a_killed_run_of_another_generator_resumes(generator, store, stored, tmp_path, monkeypatch):
    check_resumed_after(1, generator, store, stored, tmp_path / 'out.zarr', monkeypatch)


@pytest.mark.parametrize(('claims', 'length', 'computed'), [(3, 2, 4), (1, 3, 3)])
def test_shards_hold_the_same_values_and_are_resumed(
    generators, store, whole_diffusion, tmp_path, monkeypatch, claims, length, computed
):
    """Three times of two groups of members, in shards of two times and of one, or of three."""
    monkeypatch.setattr(zarr_store, 'CLAIMS', claims)
    generator, alone, path = generators['diffusion'], tmp_path / 'alone.zarr', tmp_path / 'out.zarr'
    store(generator, alone)
    generate, left = filling.generate, []
    monkeypatch.setattr(filling, 'generate', killed_after(3))
    with pytest.raises(KilledError):
        store(generator, path)
    monkeypatch.setattr(filling, 'generate', lambda *args: (left.append(unit) or unit for unit in generate(*args)))
    store(generator, path)
    assert len(left) == computed
    assert contents(path) == contents(alone)
    assert len([name for name in contents(path) if name.startswith('sit/c/')]) == 2 * -(-TIMES // length)
    array = zarr.open_group(path, mode='r')['sit']
    assert (array.chunks, array.shards) == ((2, 1, H, W), (2, length, H, W))
    with xr.open_zarr(path, consolidated=False) as dataset:
        np.testing.assert_array_equal(dataset['sit'].values, whole_diffusion['sit'].values)
        assert np.isfinite(dataset['clipped_share'].values).all()


def test_length_of_shards(generators, coarse, statics, monkeypatch):
    ensemble = ensemble_of(generators['diffusion'], coarse, statics).balanced()  # six units of two members
    assert zarr_store.shard_length(ensemble) == 1
    monkeypatch.setattr(zarr_store, 'CLAIMS', 3)
    assert zarr_store.shard_length(ensemble) == 2
    monkeypatch.setattr(zarr_store, 'SHARD_BYTES', 2 * 2 * 4 * H * W - 1)
    assert zarr_store.shard_length(ensemble) == 1
    monkeypatch.setattr(zarr_store, 'SHARD_BYTES', 10)
    assert zarr_store.shard_length(ensemble) == 1


@DIFFUSION
def test_a_unit_without_its_mark_is_computed_again(generator, store, stored, tmp_path):
    path = tmp_path / 'out.zarr'
    store(generator, path)
    (path / 'clipped_share' / 'c' / '1' / '2').unlink()
    (path / 'sit' / 'c' / '1' / '2' / '0' / '0').write_bytes(b'cut')
    store(generator, path)
    assert contents(path) == contents(stored)


@DIFFUSION
def test_a_store_begun_in_other_tiles(generator, store, stored, tmp_path):
    """Left alone where finished, else refused, and begun anew by a request that may replace it."""
    path = tmp_path / 'out.zarr'
    shutil.copytree(stored, path)
    attrs = zarr.open_group(path, mode='r+').attrs
    attrs['unit'] = json.dumps({**json.loads(str(attrs['unit'])), 'sizes': [24, 24]})
    before = contents(path)
    store(generator, path)
    assert contents(path) == before
    (path / 'clipped_share' / 'c' / '1' / '2').unlink()
    with pytest.raises(UserError, match='begun in other tiles') as error:
        store(generator, path)
    assert '\n' not in str(error.value)
    store(generator, path, replace=True)
    assert contents(path) == contents(stored)


def test_a_finished_store_is_left_alone(generator, store, stored, monkeypatch):
    before = {file: file.stat().st_mtime_ns for file in stored.rglob('*')}
    monkeypatch.setattr(filling, 'generate', None)
    store(generator, stored)
    assert {file: file.stat().st_mtime_ns for file in stored.rglob('*')} == before


@DIFFUSION
@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'members': 4}, r'members: 3 in the store, 4 requested\)'),
        ({'seed': 1}, r'seed: 0 in the store, 1 requested\)'),
        ({'source': 'other.nc'}, r"input: 'coarse.nc' in the store, 'other.nc' requested\)"),
        ({'source': 'other.nc', 'state': 'a'}, r"input: 'coarse.nc' in the store, 'other.nc' requested\): "),
    ],
)
def test_another_request_is_refused(generator, store, stored, change, message):
    before = contents(stored)
    with pytest.raises(UserError, match=f'another request .{message}'):
        store(generator, stored, **change)
    assert contents(stored) == before


def test_other_settings_are_refused(generator, store, stored):
    other = generator.with_sampling(steps=5, temperature=0)
    with pytest.raises(UserError) as error:
        store(other, stored)
    steps = generator.sampling.steps
    assert f'(sampling.steps: {steps} in the store, 5 requested, sampling.temperature: 1.0 in the store, 0 req' in str(
        error.value
    )
    store(generator.with_sampling(temperature=1), stored)  # as when it is not set


def test_another_network_and_another_kind_of_model_are_refused(generator, generators, store, stored):
    generator.with_sampling()  # a copy; the identity is cached
    other = generator.with_sampling()
    other.__dict__['identity'] = 'another'
    with pytest.raises(UserError, match=r"model: '.*' in the store, 'another' requested"):
        store(other, stored)
    with pytest.raises(UserError, match='another kind of model'):
        store(generators['regression'], stored, members=1)


@DIFFUSION
def test_a_store_of_an_earlier_version_is_refused_or_replaced(generator, store, stored, tmp_path):
    path = tmp_path / 'out.zarr'
    shutil.copytree(stored, path)
    attrs = zarr.open_group(path, mode='r+').attrs
    attrs['request'] = json.dumps({'input': 'coarse.nc', 'model': 'abc', 'seed': 0, 'members': 3})
    with pytest.raises(UserError, match='another version of downscale_jax') as error:
        store(generator, path)
    assert '\n' not in str(error.value)
    store(generator, path, replace=True)
    assert contents(path) == contents(stored)


def test_an_input_that_has_changed(generator, store, stored):
    with pytest.raises(UserError, match=r'^coarse\.nc has changed since .* was begun: choose another --output'):
        store(generator, stored, state='b')


def test_state_of_files(tmp_path):
    path = tmp_path / 'a.nc'
    assert file_state('', str(path)) == ''
    path.write_bytes(b'1')
    first = file_state(str(path))
    path.write_bytes(b'12')
    assert '' != first != file_state(str(path)) == file_state('', str(path))


def test_other_files_at_the_path_are_left_alone(generator, store, tmp_path):
    for name in ('thesis.txt', 'mine.partial'):
        path = tmp_path / name / 'out.zarr'
        path.mkdir(parents=True)
        (path / name).write_text('years of work')
        with pytest.raises(UserError, match='holds no ensemble'):
            store(generator, path)
        assert (path / name).read_text() == 'years of work'


def test_inputs_that_do_not_fit_leave_no_store(generator, store, coarse, tmp_path):
    with pytest.raises(UserError, match='falls on the fine grid'):
        store(generator, tmp_path / 'out.zarr', coarse=coarse.assign_coords(x=coarse.x + 1e6))
    assert not list(tmp_path.iterdir())


def test_netcdf(stored, whole, tmp_path):
    export_netcdf(stored, tmp_path / 'out.nc')
    with xr.open_dataset(tmp_path / 'out.nc') as dataset:
        np.testing.assert_array_equal(dataset['sit'].values, whole['sit'].values)
        np.testing.assert_array_equal(dataset['time'], whole['time'])
        assert dataset.attrs['clipped_share'] == pytest.approx(whole.attrs['clipped_share'])


def with_memory(monkeypatch, size):
    monkeypatch.setattr(fitting.memory, 'available', lambda: (size + 1) / fitting.USABLE_SHARE)


@pytest.mark.parametrize('unit', [{'members': 1}, {'members': 1, 'tile': 16}], ids=['members', 'tile'])
def test_a_store_keeps_the_units_that_it_was_begun_with(
    generators, store, coarse, statics, tmp_path, monkeypatch, unit, caplog
):
    """With more memory the rest is computed in the same units, to the same bytes; with less it is refused."""
    generator = generators['diffusion'].with_partition(overlap=4)
    domain = ensemble_of(generator, coarse, statics).inputs.domain
    needed = fitting.memory_needed(generator.with_partition(**unit), domain, 9)
    with_memory(monkeypatch, needed)
    store(generator, tmp_path / 'small.zarr')
    monkeypatch.setattr(filling, 'generate', killed_after(2))
    with pytest.raises(KilledError):
        store(generator, tmp_path / 'killed.zarr')
    with_memory(monkeypatch, needed / 2)
    with pytest.raises(UserError, match='was begun with units that need'):
        store(generator, tmp_path / 'killed.zarr')
    monkeypatch.undo()
    caplog.set_level(logging.INFO, 'downscale_jax')
    store(generator, tmp_path / 'killed.zarr')
    assert '7 of 9 units to do' in caplog.text
    assert contents(tmp_path / 'killed.zarr') == contents(tmp_path / 'small.zarr')
    resumed = with_units_of(tmp_path / 'killed.zarr', generator).partition
    assert {name: getattr(resumed, name) for name in unit} == unit


def test_an_evaluation_keeps_its_store_where_the_next_cannot_be(generators, store, tmp_path, monkeypatch):
    generator, path = generators['diffusion'], tmp_path / 'out.zarr'
    store(generator, path)
    before = contents(path)
    with_memory(monkeypatch, 1)
    with pytest.raises(UserError, match='one member'):
        store(generator, path, seed=1, replace=True)
    assert contents(path) == before
    monkeypatch.undo()
    store(generator, path, seed=1, replace=True)
    assert contents(path) != before


@DIFFUSION
@pytest.mark.parametrize('seconds', [(9, 7, 1), (20, 14)], ids=['short', 'long'])
def test_work_and_duration_are_announced(generator, store, tmp_path, monkeypatch, caplog, seconds):
    """A short evaluation is repeated, since the first is slow; reading alone is measured last. Both leave 6 seconds."""
    clock = itertools.chain.from_iterable((100 * i, 100 * i + took) for i, took in enumerate(seconds))
    monkeypatch.setattr(filling, 'perf_counter', lambda: next(clock))
    monkeypatch.setattr(filling, 'LONG', 0)
    caplog.set_level(logging.INFO, 'downscale_jax')
    store(generator, tmp_path / 'out.zarr')
    first, second = caplog.messages
    assert first.startswith('3 members x 3 times of 30 x 38 cells: 6 of 6 units to do; out.zarr takes at most')
    assert first.endswith('iB of memory')
    assert 'a unit of 2 members in tiles of 20 x 24 cells' in first
    duration = timedelta(seconds=max(6 * 6 * generator.sampling.steps, 6 * seconds[-1]))  # of six units
    assert second.startswith(f'about {duration} (hours:minutes:seconds) by the processes')
    monkeypatch.undo()
    caplog.clear()
    store(generator, tmp_path / 'again.zarr')
    assert len(caplog.messages) == 1  # soon done
