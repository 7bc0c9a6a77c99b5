"""Small files of a run: written or appended as a whole, so that readers never see a part, and read back with care.

What is read back may have been cut or edited since: `reading` and `read_json` name the file and what to do.
"""

import errno
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from downscale_jax.runtime.errors import UserError

RESTORE = 'restore it from a copy, or train again in another --workdir'  # of the files of a work directory
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces the content of `path` atomically. On a disk error raises UserError and leaves `path` unchanged."""
    aside = path.with_name(f'.{path.name}.{uuid.uuid4().hex}.partial')
    try:
        aside.write_bytes(data)
        os.replace(aside, path)
    except OSError as error:
        raise UserError(f'cannot write {path}: {disk_error(error)}') from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of `text` in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_text` of `value` as JSON."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def cache_folder(name: str) -> Path:
    """A folder of this project in the cache of the user (`XDG_CACHE_HOME`, else ~/.cache), which may not exist yet."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'downscale_jax' / name


def check_output(path: Path, *suffixes: str) -> None:
    """Raises UserError where --output has none of the suffixes, or lies in a folder that does not exist."""
    if path.suffix not in suffixes:
        raise UserError(f"--output '{path}' must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise UserError(f"--output '{path}': there is no folder '{path.parent}': make it first")


class Section(dict[str, Any]):
    """An object of a JSON file, with its inner objects. Raises UserError, not KeyError, for a missing key."""

    def __init__(self, values: Mapping[str, Any], path: Path, remedy: str, prefix: str = ''):
        super().__init__(
            (key, Section(value, path, remedy, f'{prefix}{key}.') if isinstance(value, dict) else value)
            for key, value in values.items()
        )
        self._message = f"{path} has no '{prefix}{{}}', so it was cut or edited: {remedy}"

    def __missing__(self, key: str) -> Any:
        raise UserError(self._message.format(key))


def read_json(path: Path, remedy: str) -> Section:
    """The object in a JSON file. Raises UserError where it is missing, cut or edited; `remedy` says what to do."""
    with reading(path, remedy):
        value = json.loads(path.read_text())
        if not isinstance(value, dict):
            raise TypeError(f'holds {type(value).__name__}, not an object')
    return Section(value, path, remedy)


@contextmanager
def reading(path: Path, remedy: str) -> Iterator[None]:
    """Context of code that fails only if the content of `path` is damaged: then raises UserError with the `remedy`."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f'{error.filename or path} is missing: {remedy}') from error
    except (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        fault = f'no {error}' if isinstance(error, KeyError) and ' ' not in str(error) else first_line(error)
        raise UserError(f'{path} is damaged or was edited ({fault}): {remedy}') from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


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


def file_name(text: str) -> str:
    """The name of a user's variable as a part of a file's name: at most 80 letters, digits and `_.+-`."""
    return re.sub(r'[^\w.+-]+', '_', text)[:80]


def disk_error(error: BaseException) -> str | None:
    """The operating system's message ('No space left on device') if `error` is a disk error, else None.

    Libraries wrap the system's error in exceptions of their own, so that the text has to be searched.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return next((os.strerror(code) for code in DISK_ERRORS if os.strerror(code) in str(error)), None)
