"""Local files behind a path: an existing file by its literal name, otherwise the matches of a pattern."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from downscale_jax.runtime.errors import UserError, suggestion

PathLike: TypeAlias = str | os.PathLike[str]
Paths: TypeAlias = PathLike | Sequence[PathLike]
LISTED = 50  # similar names are suggested only in folders with fewer files


def is_url(path: str) -> bool:
    return '://' in path


def as_list(paths: Paths) -> list[str]:
    """One path or several, as strings, also of URLs of local files."""
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    return [os.fspath(path).removeprefix('file://') for path in listed]


def name_of(paths: Paths) -> str:
    """The name in messages of one path or several."""
    listed = as_list(paths)
    return listed[0] if len(listed) == 1 else f'{listed[0]} to {listed[-1]}' if listed else 'an empty list of files'


def matches(path: str) -> list[str]:
    """The existing file or folder of that very name, else the sorted matches of the pattern; possibly none.

    Names may contain `[`, `*` and `?`, which a pattern reads differently; so may the name of a pattern's folder.
    """
    if os.path.lexists(path):
        return [path]
    folder = next((str(parent) for parent in Path(path).parents if parent.is_dir()), '')
    literal = path.startswith(f'{folder}{os.sep}')
    pattern = glob.escape(folder) + path.removeprefix(folder) if literal else path
    return sorted(glob.glob(pattern, recursive=True))


def files_of(paths: Paths) -> list[str]:
    """The files, folders and URLs that paths or patterns name. Raises UserError where a path names none."""
    return [file for path in as_list(paths) for file in ([path] if is_url(path) else _local(path))]


def fingerprint(paths: Paths) -> list[tuple[str, int, int]]:
    """(name, size, modification time in ns) of every local file behind the paths; empty for a URL or no path."""
    named = [Path(match) for path in as_list(paths) if path for match in matches(path)]
    files = [file for path in named for file in (sorted(path.rglob('*')) if path.is_dir() else [path])]
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.is_file()]


def _local(path: str) -> list[str]:
    if files := matches(path):
        for file in files:
            if not (os.path.isfile(file) or os.path.isdir(file)):
                raise UserError(f'{file}: is neither a file nor a folder, nor a link to one: check the path')
        return files
    if glob.has_magic(path):
        raise UserError(f'{path}: no file matches; check the pattern')
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder):
        raise UserError(f"{path}: no such file, and no folder '{folder}'; check the path")
    listed = os.listdir(folder)
    near = suggestion(os.path.basename(path), listed) if 0 < len(listed) < LISTED else 'check the path'
    raise UserError(f'{path}: no such file; {near}')
