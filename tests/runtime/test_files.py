import resource
from contextlib import contextmanager

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import append_line, disk_error, write_json, write_text


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
