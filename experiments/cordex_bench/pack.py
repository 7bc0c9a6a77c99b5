"""The archive of a submission."""

import os
import zipfile
from pathlib import Path

from downscale_jax.runtime import messages
from downscale_jax.runtime.errors import UserError
from experiments.cordex_bench.check import Expected


def pack(submission: Path, expected: Expected) -> Path:
    """Writes SUBMISSION.zip beside a submission that has been checked; its files are compressed already.

    Raises UserError where it cannot be written.
    """
    path = submission.resolve().with_name(f'{submission.resolve().name}.zip')
    partial = path.with_name(f'.{path.name}.partial')
    try:
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_STORED) as archive:
            for file in expected.predictions(submission):
                archive.write(file, Path(path.stem) / file.relative_to(submission))
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f'cannot write {path}: {error.strerror or error}; check space and permissions') from error
    finally:
        partial.unlink(missing_ok=True)
    messages.info(f'{path} is written')
    return path
