"""Atomic writing of small files: replaced or appended as a whole, so that readers never see a partial file."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces the content of `path` atomically. On a disk error raises UserError and leaves `path` unchanged."""
    aside = path.with_name(f'.{path.name}.partial')
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(f'cannot write {path}: {disk_error(error)}') from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_text` of `value` as JSON."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def append_line(path: Path, line: str) -> None:
    """Appends the whole line or nothing. Raises UserError on a disk error."""
    left = f'{line}\n'.encode()
    try:
        with path.open('ab', buffering=0) as file:
            end = file.tell()
            try:
                while left:  # a disk that fills up accepts part of the line and fails at the next call
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise UserError(f'cannot write {path}: {disk_error(error)}') from error


def disk_error(error: BaseException) -> str | None:
    """The operating system's message ('No space left on device') if `error` is a disk error, else None.

    Libraries wrap the system's error in exceptions of their own, so that the text has to be searched.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return next((os.strerror(code) for code in DISK_ERRORS if os.strerror(code) in str(error)), None)
