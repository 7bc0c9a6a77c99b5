"""Small files, written aside and renamed or appended whole: a reader never sees half of one."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step. Raises UserError where the disk refuses; `path` is then as it was."""
    aside = path.with_name(f'.{path.name}.partial')
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise UserError(f'cannot write {path}: {refusal(error)}') from error


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text` in UTF-8 in one step, as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` by `value` as JSON in one step, as `write_text` does."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def append_line(path: Path, line: str) -> None:
    """Appends a line, the whole of it or nothing. Raises UserError where the disk refuses."""
    left = f'{line}\n'.encode()
    try:
        with path.open('ab', buffering=0) as file:
            end = file.tell()
            try:
                while left:  # a disk that fills up takes a part first and complains at the next call
                    left = left[file.write(left) :]
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise UserError(f'cannot write {path}: {refusal(error)}') from error


def refusal(error: BaseException) -> str | None:
    """Why the disk refused, in the system's words ('No space left on device'); None for an error of another kind.

    Libraries that write for us hand the words on in exceptions of their own.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return next((os.strerror(code) for code in REFUSALS if os.strerror(code) in str(error)), None)
