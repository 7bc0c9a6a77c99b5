import resource
from contextlib import contextmanager

import pytest

from downscale_jax.runtime import files
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import append_line, disk_error, file_name, read_json, reading, write_json, write_text


@contextmanager
def largest_file(size):
    """The disk refuses what goes beyond `size` bytes in a file; Python ignores the signal."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'old': 1})
    with largest_file(1000), pytest.raises(UserError, match=r'cannot write .*a.json: File too large'):
        write_text(path, 'x' * 2000)
    assert path.read_text() == '{\n "old": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_replace_one_file(tmp_path, monkeypatch):
    path, replace = tmp_path / 'a.json', files.os.replace

    def after_another(aside, target):
        monkeypatch.setattr(files.os, 'replace', replace)
        write_text(path, 'other')
        replace(aside, target)

    monkeypatch.setattr(files.os, 'replace', after_another)
    write_text(path, 'own')
    assert path.read_text() == 'own'
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_is_appended_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a.jsonl'
    append_line(path, 'first')
    # 6 bytes are there and 1000 fit: without care a part of the second line would stay
    with largest_file(1000), pytest.raises(UserError, match=r'cannot write .*a.jsonl: File too large'):
        append_line(path, 'x' * 2000)
    assert path.read_text() == 'first\n'
    append_line(path, 'second')
    assert path.read_text() == 'first\nsecond\n'


def test_no_folder(tmp_path):
    for write in (write_text, append_line):
        with pytest.raises(UserError, match=r'cannot write .*nowhere.*: No such file or directory'):
            write(tmp_path / 'nowhere' / 'a', 'b')


@pytest.mark.parametrize(
    ('error', 'told'),
    [
        (OSError(28, 'No space left on device', 'x'), 'No space left on device'),
        (ValueError('RESOURCE_EXHAUSTED: writing "w/0": [OS error 28: ENOSPC No space left on device]'),
         'No space left on device'),
        (ValueError('shapes differ'), None),
    ],
)  # fmt: skip
def test_what_the_disk_said(error, told):
    assert disk_error(error) == told


@pytest.mark.parametrize('content', [b'', b'{"a": 1', b'[1]', b'\xff\xfe'])
def test_a_damaged_json_file_is_named(tmp_path, content):
    path = tmp_path / 'a.json'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'a\.json is damaged .*: copy it$'):
        read_json(path, 'copy it')


def test_a_missing_file_and_a_missing_key_are_named(tmp_path):
    path = tmp_path / 'a.json'
    with pytest.raises(UserError, match=r'a\.json is missing: copy it$'):
        read_json(path, 'copy it')
    write_json(path, {'data': {'patch': {}, 'lags': 3}})
    stored = read_json(path, 'copy it')
    assert (stored['data']['lags'], stored['data'].get('size')) == (3, None)
    with pytest.raises(UserError, match=r"a\.json has no 'data\.patch\.size'.*: copy it$"):
        _ = stored['data']['patch']['size']


def test_errors_of_damaged_content_become_one_line(tmp_path):
    def fail(error):
        with reading(tmp_path / 'a.nc', 'copy it'):
            raise error

    for error in (KeyError('mask'), TypeError('a\nb'), RuntimeError('NetCDF: HDF error')):
        with pytest.raises(UserError, match=r'a\.nc is damaged .*: copy it$'):
            fail(error)
    with pytest.raises(UserError, match='says what is wrong'):
        fail(UserError('says what is wrong'))
    with pytest.raises(AssertionError):
        fail(AssertionError())


def test_any_name_of_a_variable_can_be_part_of_a_file_name():
    assert file_name('sit') == 'sit'
    assert file_name('a/b: $x$') == 'a_b_x_'
    assert len(file_name('x' * 5000)) == 80
