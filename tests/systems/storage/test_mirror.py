"""A work directory behind a URL: what is uploaded, what another machine gets, what a killed one leaves."""

import json
import time

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.storage import mirror
from downscale_jax.systems.storage.mirror import Mirror

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
            folder, **{'config.json': '1', 'checkpoints__net__5__array': 'five', 'checkpoints__net__6.partial__a': ''}
        )
    assert list(objects) == [PREFIX + 'config.json', PREFIX + 'checkpoints/net/5/array']  # in the order of writing
    machine('second')
    with Mirror(URL) as other:
        assert contents(other) == {'config.json': '1', 'checkpoints/net/5/array': 'five'}
        write(other, checkpoints__net__9__array='nine', metrics='longer')
        (other / 'checkpoints/net/5/array').unlink()
    assert {name.removeprefix(PREFIX) for name in objects} == {'config.json', 'metrics', 'checkpoints/net/9/array'}
    machine('first')
    assert contents(Mirror(URL).download()).keys() - {'checkpoints/net/6.partial/a'} == {
        'config.json', 'metrics', 'checkpoints/net/9/array',
    }  # fmt: skip


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


def test_mistakes(objects, machine, monkeypatch):
    machine('first')
    with pytest.raises(UserError, match="--workdir 'memory://run': memory:// is read only"):
        Mirror('memory://run')
    objects[PREFIX + '../../../secret'] = b''
    with pytest.raises(UserError, match=f'cannot read {URL}: '):
        Mirror(URL).download()
    monkeypatch.setattr(mirror.jax, 'process_count', lambda: 2)
    with pytest.raises(UserError, match='several processes'), Mirror(URL):
        pass
