"""Packed models: equal bytes, digests, and a work directory after opening."""

import hashlib
import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems.storage import packing


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """A work directory with two checkpoints of one task; the cache of the user is beside it."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(packing, 'read_config', lambda folder: {})
    monkeypatch.setattr(packing, 'best_step', lambda folder: 2)
    folder = tmp_path / 'run'
    others = ('statics.nc', 'scores.json', 'metrics.jsonl', 'checkpoints/main/1/a', 'checkpoints/main/2/d/b')
    for name in (*packing.NEEDED, *others):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def names(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


def test_what_use_needs_comes_back(workdir, tmp_path):
    packing.pack(workdir, tmp_path / 'a.zip')
    packing.pack(workdir, tmp_path / 'b.zip')
    assert (tmp_path / 'a.zip').read_bytes() == (tmp_path / 'b.zip').read_bytes()
    opened = packing.unpacked(tmp_path / 'a.zip')
    assert names(opened) == {*packing.NEEDED, 'statics.nc', 'scores.json', 'checkpoints/main/2/d/b'}
    assert all((opened / name).read_bytes() == (workdir / name).read_bytes() for name in names(opened))
    assert packing.unpacked(tmp_path / 'b.zip') == opened  # once for equal models
    assert not list(opened.parent.glob('.partial*'))


def rewritten(source, target, change):
    """The archive with changed files: change(files) by name."""
    with zipfile.ZipFile(source) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    with zipfile.ZipFile(target, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target


def outside(files):
    files['../evil'] = b''
    files[packing.MANIFEST] = json.dumps({'../evil': 'e3b0c442'}).encode()


@pytest.mark.parametrize(
    ('change', 'part'),
    [
        (lambda files: files.update({'statics.nc': b'other'}), 'statics.nc'),
        (lambda files: files.pop('prepared.json'), 'prepared.json'),
        (lambda files: files.pop(packing.MANIFEST), packing.MANIFEST),
        (lambda files: files.update({packing.MANIFEST: b'[1'}), 'not a packed model'),
        (lambda files: files.update({packing.MANIFEST: b'[1]'}), 'not a packed model'),
        (outside, '../evil'),
    ],
)
def test_a_changed_file_is_refused_and_nothing_is_left(workdir, tmp_path, change, part):
    packing.pack(workdir, tmp_path / 'a.zip')
    with pytest.raises(UserError, match=part) as error:
        packing.unpacked(rewritten(tmp_path / 'a.zip', tmp_path / 'changed.zip', change))
    assert 'changed.zip' in str(error.value)
    assert names(tmp_path / 'cache') == set()
    assert not (tmp_path / 'evil').exists()


def test_no_archive(workdir, tmp_path):
    (tmp_path / 'text.zip').write_text('no archive')
    with pytest.raises(UserError, match='not a packed model'):
        packing.unpacked(tmp_path / 'text.zip')


class Silent(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_):
        pass


def test_a_cache_that_cannot_be_written(workdir, tmp_path, monkeypatch):
    packing.pack(workdir, tmp_path / 'model.zip')
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    with pytest.raises(UserError, match=r'cannot write .*XDG_CACHE_HOME'):
        packing.unpacked(tmp_path / 'model.zip')
    with pytest.raises(UserError, match=r'cannot read .*directory'):
        packing.unpacked(tmp_path)


def test_a_url_is_downloaded_once_and_compared_with_its_digest(workdir, tmp_path):
    packing.pack(workdir, tmp_path / 'model.zip')
    digest = hashlib.sha256((tmp_path / 'model.zip').read_bytes()).hexdigest()
    with ThreadingHTTPServer(('127.0.0.1', 0), partial(Silent, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/model.zip'
        with pytest.raises(UserError, match=f'digest {digest}, not {"0" * 64}'):
            packing.unpacked(f'{url}#sha256={"0" * 64}')
        assert not (tmp_path / 'cache').exists()
        opened = packing.unpacked(f'{url}#sha256={digest}')
        assert packing.unpacked(url) == opened == packing.unpacked(tmp_path / 'model.zip')
        with pytest.raises(UserError, match=r'cannot read .*none\.zip: .*404'):
            packing.unpacked(url.replace('model', 'none'))
        server.shutdown()
    assert packing.unpacked(f'{url}#sha256={digest}') == opened  # from the cache
    with pytest.raises(UserError, match=f'cannot read {url}: .*refused'):
        packing.unpacked(url)
    with pytest.raises(UserError, match=r'ftp://a/m\.zip: .*https://'):
        packing.unpacked('ftp://a/m.zip')


@pytest.mark.parametrize(
    ('output', 'missing', 'part'),
    [
        ('model.tar', '', '.zip'),
        ('none/model.zip', '', 'no folder'),
        ('model.zip', 'prepared.json', 'prepared.json'),
        ('run/statics.zip', '', 'exists'),
    ],
)
def test_mistakes(workdir, tmp_path, output, missing, part):
    (workdir / 'statics.zip').touch()
    if missing:
        (workdir / missing).unlink()
    with pytest.raises(UserError, match=part):
        packing.pack(workdir, tmp_path / output)
    assert not list(tmp_path.rglob('*.partial'))
