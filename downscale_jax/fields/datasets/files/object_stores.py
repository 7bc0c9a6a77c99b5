"""Object stores behind URLs: s3, gs and abfs are read and written by obstore (extra `archive`).

It takes credentials and endpoints from the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL. Other protocols
of fsspec, such as memory and https, and s3, gs and abfs where their own libraries are installed instead, are read only.
"""

import importlib.util
from datetime import timedelta
from typing import Any

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import first_line

PROTOCOLS = ('s3', 'gs', 'abfs')
RETRIES: Any = {'max_retries': 5, 'retry_timeout': timedelta(seconds=60)}  # obstore's own are ten in three minutes


def register(url: str) -> None:
    """Makes the protocol of a URL known to fsspec."""
    if protocol_of(url) in PROTOCOLS and _is_installed():
        import obstore.fsspec

        obstore.fsspec.register(protocol_of(url))


def check_output(url: str) -> None:
    """Raises UserError where --output is a URL to which no store can be written."""
    if protocol_of(url) in PROTOCOLS and not url.rstrip('/').endswith('.zarr'):
        raise UserError(f"--output '{url}' must end in .zarr: only Zarr is written to a URL")
    check_writable(url, '--output')


def check_writable(url: str, option: str) -> None:
    """Raises UserError where the URL that an option gives cannot be written."""
    protocol = protocol_of(url)
    if protocol not in PROTOCOLS:
        choices = ', '.join(f'{name}://' for name in PROTOCOLS)
        raise UserError(f"{option} '{url}': {protocol}:// is read only; write to {choices} or a folder")
    check_installed(url, option)


def check_installed(url: str, option: str) -> None:
    """Raises UserError where the library of object stores, which the URL that an option gives needs, is missing."""
    if not _is_installed():
        raise UserError(f"{option} '{url}' needs obstore: pip install downscale_jax[archive]")


def opened(url: str) -> Any:
    """The objects whose names begin with the URL, as a store of obstore."""
    from obstore.store import from_url

    return from_url(url, retry_config=RETRIES)


def read(url: str) -> bytes:
    """The object of a URL. Raises UserError where it cannot be read."""
    check_installed(url, 'the URL')
    folder, _, name = url.rpartition('/')
    try:
        return bytes(opened(folder).get(name).bytes())
    except failures() as error:
        raise UserError(f'cannot read {url}: {first_line(error)}') from error


def failures() -> tuple[type[Exception], ...]:
    """The errors of obstore."""
    from obstore.exceptions import BaseError

    return BaseError, FileNotFoundError


def protocol_of(url: str) -> str:
    return url.partition('://')[0]


def _is_installed() -> bool:
    return importlib.util.find_spec('obstore') is not None
