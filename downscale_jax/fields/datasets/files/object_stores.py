"""Object stores behind URLs: s3, gs and abfs are read by obstore where it is installed (extra `archive`).

It takes credentials and endpoints from the environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL. Other protocols
of fsspec, such as memory and https, and s3, gs and abfs where their own libraries are installed instead, need nothing.
"""

import importlib.util

PROTOCOLS = ('s3', 'gs', 'abfs')


def register(url: str) -> None:
    """Makes the protocol of a URL known to fsspec."""
    protocol = url.partition('://')[0]
    if protocol in PROTOCOLS and importlib.util.find_spec('obstore') is not None:
        import obstore.fsspec

        obstore.fsspec.register(protocol)
