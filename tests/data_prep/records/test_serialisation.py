"""Records as TFDS itself serialises them."""

import numpy as np
import pytest

from data_prep.records.serialisation import serialised
from downscale_jax.pipeline.record_files import features


@pytest.mark.parametrize('number', [0, 127, 128, 2**40, -1])
def test_bytes_are_those_of_tfds(number):
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    fields = np.random.default_rng(0).standard_normal((2, 3, 50), np.float32)
    record = {'time': number, 'fine': np.moveaxis(fields, 0, -1), 'none': np.zeros((0, 2), np.float32), 'a': fields[0]}
    feature = features({name: np.shape(value) for name, value in record.items()})
    example = ExampleSerializer(feature.get_serialized_info()).get_tf_example(feature.encode_example(record))
    assert serialised(record) == example.SerializeToString(deterministic=True)
    for name, value in feature.deserialize_example_np(serialised(record)).items():
        np.testing.assert_array_equal(value, record[name])


def test_a_message_byte_by_byte():
    """Worked by hand: Example{1: Features{1: Entry{1: 'a', 2: Feature{3: Int64List{1: [300]}}}}}."""
    number = b'\x0a\x02\xac\x02'  # 300 = 0b10_0101100
    feature = b'\x1a\x04' + number
    entry = b'\x0a\x01a' + b'\x12\x06' + feature
    assert serialised({'a': 300}) == b'\x0a\x0d' + b'\x0a\x0b' + entry
