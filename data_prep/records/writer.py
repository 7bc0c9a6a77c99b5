"""Writer of TFDS records, by TFDS's sequential writer, which needs no TensorFlow."""

from pathlib import Path

import numpy as np

from downscale_jax.pipeline.record_files import NAME, features

SPLITS = ('train', 'validation', 'test')
SHARD_BYTES = 2**28
BUFFER_BYTES = 2**24  # small records are passed to TFDS in bulk: a call costs more than writing one


class Writer:
    """Writes records of float32 arrays and integers, {name: shape} with () for integers, to `directory`/records."""

    def __init__(self, directory: Path, shapes: dict[str, tuple[int, ...]], description: str):
        path = directory / 'records' / NAME
        path.mkdir(parents=True)
        info = tfds.core.DatasetInfo(
            builder=tfds.core.DatasetIdentity(
                name=path.parent.name, version=tfds.core.Version(path.name), data_dir=str(path), module_name=__name__
            ),
            features=features(shapes),
            description=description,
        )
        size = sum(4 * int(np.prod(shape)) for shape in shapes.values())
        self._writer = tfds.core.SequentialWriter(
            info, max(1, SHARD_BYTES // size), overwrite=True, file_format='array_record'
        )
        self._writer.initialize_splits(list(SPLITS))
        self._buffered = max(1, BUFFER_BYTES // size)
        self._waiting: dict[str, list[dict]] = {split: [] for split in SPLITS}

    def __enter__(self) -> 'Writer':
        return self

    def add(self, split: str, **record: np.ndarray | int) -> None:
        self._waiting[split].append(record)
        if len(self._waiting[split]) >= self._buffered:
            self._flush(split)

    def _flush(self, split: str) -> None:
        if self._waiting[split]:
            self._writer.add_examples({split: self._waiting[split]})
            self._waiting[split] = []

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:  # the records are discarded; closing on a full disk would raise again
            return
        for split in SPLITS:
            self._flush(split)
        self._writer.close_all()
