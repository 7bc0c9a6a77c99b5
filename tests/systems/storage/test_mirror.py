"""A work directory behind a URL: what is uploaded, what another machine gets, what a killed one leaves."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.storage import mirror
from downscale_jax.systems.storage.mirror import Mirror
from tests.bucket import Handler

pytest.importorskip('obstore')
URL, PREFIX = 's3://bucket/runs/ice', 'runs/ice/'


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Changes to the cache of a machine."""
    return lambda name: monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / name))


def contents(folder):
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob('*') if file.is_file()}


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace('__', '/')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_another_machine_continues(objects, machine):
    machine('first')
    with Mirror(URL) as folder:
        write(
            folder,
            **{'config.json': '1', 'checkpoints__net__5__array': 'five', 'checkpoints__net__5__whole.json': 'all'},
            **{'checkpoints__net__6.partial__a': ''},
        )
    step = {'checkpoints/net/5/array': 'five', 'checkpoints/net/5/whole.json': 'all'}
    assert list(objects) == [PREFIX + name for name in ('config.json', *step)]  # in the order of writing
    machine('second')
    with Mirror(URL) as other:
        assert contents(other) == {'config.json': '1', **step}
        write(other, checkpoints__net__9__array='nine', metrics='longer')
        for name in step:
            (other / name).unlink()
    assert {name.removeprefix(PREFIX) for name in objects} == {'config.json', 'metrics', 'checkpoints/net/9/array'}
    machine('first')
    assert contents(Mirror(URL).download()).keys() - {'checkpoints/net/6.partial/a'} == {'config.json', 'metrics'}


def test_a_checkpoint_whose_upload_was_interrupted_is_ignored(objects, machine):
    machine('second')
    objects |= {PREFIX + 'config.json': b'1', PREFIX + 'checkpoints/net/5/state/array': b'five'}
    with Mirror(URL) as folder:
        assert contents(folder) == {'config.json': '1'}
        assert Checkpoints(folder / 'checkpoints/net', read_only=True).latest() is None
    assert objects == {PREFIX + 'config.json': b'1'}


def test_the_machine_that_was_interrupted_uploads_the_rest_of_its_checkpoint(objects, machine):
    machine('first')
    step = {'checkpoints/net/5/state/array': 'five', 'checkpoints/net/5/whole.json': 'all'}
    with Mirror(URL) as folder:
        write(folder, **step)
    del objects[PREFIX + 'checkpoints/net/5/whole.json']
    record = folder.with_name(f'{folder.name}.json')
    versions = json.loads(record.read_text())
    record.write_text(json.dumps({name: versions[name] for name in list(step)[:1]}))
    with Mirror(URL) as folder:
        assert contents(folder) == step
    assert objects == {PREFIX + name: text.encode() for name, text in step.items()}


def test_claims_and_temporary_files_do_not_travel(objects, machine):
    machine('first')
    claim = 'ensembles/.a.zarr.claims/0.0'
    objects[PREFIX + claim] = b''  # by an earlier version
    with Mirror(URL) as folder:
        assert contents(folder) == {}
        write(folder, **{'.statics.nc.0f.tmp': '', 'metrics': 'row'})
        (folder / claim).parent.mkdir(parents=True)
        (folder / claim).symlink_to('x@host.lease')
        (folder / claim).with_name('x@host.lease').touch()
    assert objects == {PREFIX + 'metrics': b'row'}


def test_fields_are_uploaded_before_their_marks(objects, machine):
    machine('first')
    store = 'ensembles/a.zarr'
    with Mirror(URL) as folder:
        write(folder, **{f'{store}/clipped_share/c/0/0': 'mark', f'{store}/sit/c/0/0': 'field'})
        write(folder, **{f'{store}/clipped_share/zarr.json': 'array', f'{store}/zarr.json': 'root'})
    names = ('clipped_share/zarr.json', 'sit/c/0/0', 'zarr.json', 'clipped_share/c/0/0')
    assert list(objects) == [f'{PREFIX}{store}/{name}' for name in names]


def test_marks_of_a_replaced_ensemble_go_first(objects, machine, monkeypatch):
    machine('first')
    store, mark = 'ensembles/a.zarr', 'ensembles/a.zarr/clipped_share/c/0/0'
    with Mirror(URL) as folder:
        write(folder, **{mark: 'mark', f'{store}/sit/c/0/0': 'field'})
    marked, put = [], Handler.do_PUT

    def put_and_look(handler):
        marked.append(PREFIX + mark in objects)
        put(handler)

    monkeypatch.setattr(Handler, 'do_PUT', put_and_look)
    with Mirror(URL) as folder:
        (folder / mark).unlink()
        write(folder, **{f'{store}/zarr.json': 'of others', f'{store}/sit/c/0/0': 'another field'})
    assert marked == [False, False]


def test_the_name_of_the_cache_does_not_matter(objects, machine):
    machine('node.partial/checkpoints')
    with Mirror(URL) as folder:
        write(folder, metrics='row')
    assert objects == {PREFIX + 'metrics': b'row'}


def test_what_a_killed_machine_did_not_upload_is_kept_on_it(objects, machine):
    machine('first')
    with Mirror(URL) as folder:
        write(folder, metrics='old', config='same')
    write(folder, metrics='new', state='saved')  # by a run that is killed before it uploads
    with Mirror(URL):
        pass
    assert {name: data.decode() for name, data in objects.items()} == {
        PREFIX + 'metrics': 'new', PREFIX + 'config': 'same', PREFIX + 'state': 'saved',
    }  # fmt: skip


def test_only_changes_travel(objects, machine):
    machine('first')
    with Mirror(URL) as folder:
        write(folder, a='1', b='2')
    objects.pop(PREFIX + 'a')  # would come back if it were uploaded again
    record = json.loads(folder.with_name(f'{folder.name}.json').read_text())
    assert [len(version) for version in record.values()] == [3, 3]
    with Mirror(URL) as folder:
        assert contents(folder) == {'b': '2'}  # removed at the URL, removed here
        write(folder, b='3')
    assert objects == {PREFIX + 'b': b'3'}


def test_files_are_uploaded_while_a_run_goes_on(objects, machine, monkeypatch):
    machine('first')
    monkeypatch.setattr(mirror, 'INTERVAL', 0.01)
    with Mirror(URL) as folder:
        write(folder, metrics='row')
        while PREFIX + 'metrics' not in objects:
            time.sleep(0.001)


def test_uploads_continue_after_a_disk_error(objects, machine, monkeypatch, caplog):
    machine('first')
    monkeypatch.setattr(mirror, 'INTERVAL', 0.01)
    write_json = mirror.write_json
    refused: list[Path] = []

    def refuse_once(path, value):
        if not refused:
            refused.append(path)
            raise UserError(f'cannot write {path}: No space left on device')
        write_json(path, value)

    with Mirror(URL) as folder:
        monkeypatch.setattr(mirror, 'write_json', refuse_once)
        deadline = time.monotonic() + 30
        while not refused and time.monotonic() < deadline:
            time.sleep(0.001)
        write(folder, metrics='row')
        while PREFIX + 'metrics' not in objects and time.monotonic() < deadline:
            time.sleep(0.001)
        assert PREFIX + 'metrics' in objects  # before the end
    assert 'No space left on device' in caplog.text


def test_the_error_of_the_run_is_raised_where_the_last_upload_fails_too(objects, machine, monkeypatch, caplog):
    machine('first')

    def refuse(handler):
        handler.parsed()
        handler.answer(403)

    def fail():
        with Mirror(URL) as folder:
            write(folder, metrics='row')
            monkeypatch.setattr(Handler, 'do_PUT', refuse)
            raise UserError('the loss is not finite')

    with pytest.raises(UserError, match=r'^the loss is not finite'):
        fail()
    assert 'holds what was not uploaded' in caplog.text


def test_a_purged_cache_removes_nothing_at_the_url(objects, machine):
    machine('first')
    with Mirror(URL) as folder:
        write(folder, **{'config.json': '1', 'statics.nc': 'grid', 'checkpoints__net__5__whole.json': 'all'})
        write(folder, **{'ensembles/a.zarr/clipped_share/c/0/0': 'mark'})
    before = dict(objects)

    def purge():
        with Mirror(URL):
            (folder / 'statics.nc').unlink()
            (folder / 'checkpoints/net/5/whole.json').unlink()
            (folder / 'ensembles/a.zarr/clipped_share/c/0/0').unlink()

    with pytest.raises(UserError, match=rf'statics\.nc was removed .* nothing is removed at {URL}'):
        purge()
    assert objects == before
    with Mirror(URL):
        assert contents(folder) == {name.removeprefix(PREFIX): data.decode() for name, data in before.items()}


def test_a_grid_without_a_config_may_be_removed(objects, machine):
    machine('first')
    objects |= {PREFIX + 'statics.nc': b'grid', PREFIX + 'climate.nc': b'quantiles'}  # of a claim that failed
    with Mirror(URL) as folder:
        (folder / 'climate.nc').unlink()
        write(folder, **{'config.json': '1'})
    assert objects == {PREFIX + 'statics.nc': b'grid', PREFIX + 'config.json': b'1'}


def test_a_store_without_the_bucket_removes_nothing_from_the_record(objects, machine, monkeypatch):
    machine('first')
    with Mirror(URL) as folder:
        write(folder, metrics='row')
    record = folder.with_name(f'{folder.name}.json')
    before = record.read_text()

    class Gone:
        def put(self, name, content):
            raise FileNotFoundError('NoSuchBucket')

        def delete(self, name):
            raise AssertionError(name)

    def use():
        with Mirror(URL):
            write(folder, metrics='longer')
            monkeypatch.setattr(mirror.object_stores, 'opened', lambda url: Gone())

    with pytest.raises(UserError, match='NoSuchBucket'):
        use()
    assert record.read_text() == before


def test_processes_of_one_host_download_once(objects, machine, monkeypatch):
    machine('first')
    objects |= {PREFIX + 'config.json': b'1', PREFIX + 'statics.nc': b'grid'}
    write_bytes, written = mirror.write_bytes, []

    def slow(path, data):
        written.append(path.name)
        time.sleep(0.05)
        write_bytes(path, data)

    monkeypatch.setattr(mirror, 'write_bytes', slow)
    with ThreadPoolExecutor(3) as pool:
        folders = list(pool.map(lambda _: contents(Mirror(URL).download()), range(3)))
    assert folders == 3 * [{'config.json': '1', 'statics.nc': 'grid'}]
    assert sorted(written) == ['config.json', 'statics.nc']


def test_mistakes(objects, machine, monkeypatch, tmp_path):
    machine('first')
    with pytest.raises(UserError, match="--workdir 'memory://run': memory:// is read only"):
        Mirror('memory://run')
    objects[PREFIX + '../../../secret'] = b''
    with pytest.raises(UserError, match=f'cannot read {URL}: '):
        Mirror(URL).download()
    (tmp_path / 'file').touch()
    machine('file')
    with pytest.raises(UserError, match=r'cannot write .*file/downscale_jax.*: Not a directory'):
        Mirror(URL).download()
    monkeypatch.setattr(mirror.jax, 'process_count', lambda: 2)
    with pytest.raises(UserError, match='several processes'), Mirror(URL):
        pass
