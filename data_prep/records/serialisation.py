"""Serialisation of records as `tf.train.Example`, in the wire format of protobuf.

TFDS's serialiser copies an array four times while it holds the lock of the interpreter; here it is copied once, without
the lock. Tasks that need no TFDS also avoid its import, which replaces `import` for all threads of a worker.

Sources: https://protobuf.dev/programming-guides/encoding, tensorflow/core/example/example.proto and feature.proto.
"""

from collections.abc import Mapping

import numpy as np

DELIMITED = 2  # the wire type of everything but single numbers
FEATURES, ENTRY, KEY, VALUE, LIST = 1, 1, 1, 2, 1  # numbers of fields of Example, Features, its map, and lists
BYTES_LIST, INT64_LIST = 1, 3  # of Feature


def serialised(record: Mapping[str, np.ndarray | int]) -> bytes:
    """The example of a record: arrays as bytes of float32 in C order, numbers as int64; entries in the order of names.

    The same bytes as those of TFDS's serialiser with `deterministic=True`.
    """
    entries = [piece for name in sorted(record) for piece in _field(ENTRY, _entry(name, record[name]))]
    return b''.join(_field(FEATURES, entries))


Pieces = list[bytes | memoryview]


def _entry(name: str, value: np.ndarray | int) -> Pieces:
    kind: int
    content: bytes | memoryview
    if isinstance(value, np.ndarray):
        kind, content = BYTES_LIST, np.ascontiguousarray(value, np.float32).reshape(-1).view(np.uint8).data
    else:
        kind, content = INT64_LIST, _varint(int(value) % 2**64)
    return [*_field(KEY, [name.encode()]), *_field(VALUE, _field(kind, _field(LIST, [content])))]


def _field(number: int, content: Pieces) -> Pieces:
    """A field with its tag and length before the content."""
    return [_varint(number << 3 | DELIMITED), _varint(sum(map(len, content))), *content]


def _varint(value: int) -> bytes:
    """Seven bits per byte, the lowest first; the high bit says that more follow."""
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])
