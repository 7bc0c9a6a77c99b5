"""Files of prepared records: TFDS examples in array_record shards, `fields-SPLIT.array_record-00000` and so on.

They are opened here, not by TFDS, which imports the module that `pythonClassName` in features.json names: opening a
received folder would run its code. Of the JSON files beside the shards only shapes and numbers are read. Reading needs
no TensorFlow.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.files import read_json, reading

NAME = 'fields/1.0.0'  # TFDS requires a name and a version
Shape = tuple[int, ...]


def features(shapes: Mapping[str, Shape]) -> Any:
    """The TFDS features of a record: float32 arrays of these shapes; integers where the shape is ()."""
    import tensorflow_datasets as tfds

    def feature(shape: Shape) -> Any:
        if not shape:
            return tfds.features.Scalar(np.int64)
        return tfds.features.Tensor(shape=shape, dtype=np.float32, encoding=tfds.features.Encoding.BYTES)

    return tfds.features.FeaturesDict({name: feature(shape) for name, shape in shapes.items()})


class RecordFiles:
    """Random access to the records of one split, {name: array}. Raises UserError where files are missing or damaged."""

    def __init__(self, directory: Path, split: str):
        """`directory` is that of a prepared data set, which holds records/fields/1.0.0."""
        from array_record.python.array_record_data_source import ArrayRecordDataSource

        folder = directory / 'records' / NAME
        self._folder, self._remedy = folder, f'remove {directory} and run --mode=train to prepare the data again'
        self._features = features(read_shapes(folder / 'features.json', self._remedy))
        counts = shard_lengths(folder / 'dataset_info.json', split, self._remedy)
        shards = [folder / f'{folder.parent.name}-{split}.array_record-{index:05}' for index in range(len(counts))]
        for shard in shards:
            if not shard.is_file():
                raise UserError(f'{shard} is missing: {self._remedy}')
        with reading(folder, self._remedy):
            self._source = ArrayRecordDataSource([str(shard) for shard in shards]) if shards else ()
            if len(self._source) != sum(counts):
                raise ValueError(f'split {split} has {len(self._source)} of {sum(counts)} records')

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        with reading(self._folder, self._remedy):
            return self._features.deserialize_example_np(self._source[index])


def read_shapes(path: Path, remedy: str) -> dict[str, Shape]:
    """{name: shape} of a record from TFDS's features.json; all else in it is ignored."""
    listed = read_json(path, remedy)['featuresDict']['features']
    with reading(path, remedy):
        return {
            name: tuple(int(size) for size in feature['tensor']['shape'].get('dimensions', ()))
            for name, feature in listed.items()
        }


def shard_lengths(path: Path, split: str, remedy: str) -> list[int]:
    """Numbers of records in the shards of a split, from TFDS's dataset_info.json."""
    listed = read_json(path, remedy)['splits']
    with reading(path, remedy):
        lengths = {info['name']: info.get('shardLengths', ()) for info in listed}[split]
        return [int(length) for length in lengths]
