"""A bucket on a local server: the part of S3's protocol that Zarr stores and claims use, without signatures.

No server from PyPI fits the pins: moto needs botocore, which excludes the pinned dateutil.
"""

import hashlib
import http.server
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from xml.sax.saxutils import escape

import pytest

Objects = dict[str, bytes]  # by key


class Handler(http.server.BaseHTTPRequestHandler):
    """Objects are written, read whole or in ranges, listed and deleted; writes may depend on what exists."""

    protocol_version = 'HTTP/1.1'
    server: 'Server'

    def log_message(self, *_):
        pass

    def answer(self, status: int, data: bytes = b'', **headers: str) -> None:
        self.send_response(status)
        for name, value in {'Content-Length': str(len(data)), **headers}.items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(data)

    def parsed(self) -> tuple[str, dict[str, str]]:
        """The key and the query; also reads the body."""
        address = urllib.parse.urlsplit(self.path)
        self.body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        query = dict(urllib.parse.parse_qsl(address.query, keep_blank_values=True))
        return urllib.parse.unquote(address.path).partition('/bucket')[2].lstrip('/'), query

    def do_GET(self) -> None:
        key, query = self.parsed()
        if 'list-type' in query:
            return self.answer(200, listing(self.server.objects, query.get('prefix', '')).encode())
        data = self.server.objects.get(key)
        if data is None:
            return self.answer(404)
        headers = {'ETag': tag(data), 'Last_Modified': self.server.times.get(key, formatdate(0, usegmt=True))}
        if not (asked := self.headers.get('Range')):
            return self.answer(200, data, **headers)
        first, _, last = asked.removeprefix('bytes=').partition('-')
        begin = int(first) if first else len(data) - int(last)
        end = int(last) + 1 if first and last else len(data)
        headers['Content_Range'] = f'bytes {begin}-{end - 1}/{len(data)}'
        return self.answer(206, data[begin:end], **headers)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        key, _ = self.parsed()
        with self.server.lock:
            held = self.server.objects.get(key)
            wanted = self.headers.get('If-Match')
            if (self.headers.get('If-None-Match') == '*' and held is not None) or (
                wanted is not None and (held is None or tag(held) != wanted)
            ):
                return self.answer(412)
            self.server.objects[key] = self.body
            self.server.times[key] = formatdate(usegmt=True)
        return self.answer(200, ETag=tag(self.body))

    def do_DELETE(self) -> None:
        key, _ = self.parsed()
        self.server.objects.pop(key, None)
        self.answer(204)

    def do_POST(self) -> None:
        """Deletes the keys that the body lists."""
        self.parsed()
        keys = re.findall('<Key>(.*?)</Key>', self.body.decode())
        for key in keys:
            self.server.objects.pop(key, None)
        deleted = ''.join(f'<Deleted><Key>{key}</Key></Deleted>' for key in keys)
        self.answer(200, f'<DeleteResult>{deleted}</DeleteResult>'.encode())


class Server(http.server.ThreadingHTTPServer):
    """Of one bucket."""

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.objects: Objects = {}
        self.times: dict[str, str] = {}
        self.lock = threading.Lock()


def tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def listing(objects: Objects, prefix: str) -> str:
    entries = ''.join(
        f'<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size><ETag>{escape(tag(data))}</ETag>'
        '<LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>'
        for key, data in sorted(objects.items())
        if key.startswith(prefix)
    )
    return f'<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>'


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    """The objects of s3://bucket, to which the environment directs obstore."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {
            'AWS_ENDPOINT_URL': f'http://127.0.0.1:{server.server_port}', 'AWS_ALLOW_HTTP': 'true',
            'AWS_SKIP_SIGNATURE': 'true', 'AWS_REGION': 'us-east-1',
        }  # fmt: skip
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server.objects
        server.shutdown()
