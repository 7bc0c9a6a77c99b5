"""Examples -> batches. The order is a pure function of (seed, epoch, index), so that step n of a resumed run sees the
batch it would have seen, without replaying the past, on any number of processes."""

import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from downscale_jax.runtime.parallel import local_rows

Batch = dict[str, np.ndarray]
READY = (4, 64)  # batches kept ready, at least and at most; in between as many as ..
READY_BYTES = 2**27  # .. fit here


class Source(Protocol):
    """A split of examples, opened: what batches are drawn from."""

    @property
    def seed(self) -> int: ...

    @property
    def count(self) -> int:
        """Examples an epoch."""
        ...

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        """The examples of these epochs and indices below `count`, [B] each, stacked; pure."""
        ...


def batches(source: Source, batch_size: int, start: int = 0, limit: int = 0) -> Iterator[Batch]:
    """This process's rows of the global batches from step `start` on, without end, shuffled anew in every epoch.

    With a `limit` an epoch has so many examples only, always the same ones (0: all). Two batches are assembled in
    parallel and many kept ready, so that reading overlaps computing: most of a small data set is read while the first
    step is compiled; later, on few cores, reading would cost the first epoch a tenth of its time.
    """
    tf = _tensorflow()
    rows = local_rows(batch_size)
    count = min(limit or source.count, source.count)
    first = source.batch(np.zeros(1, np.int64), np.zeros(1, np.int64))
    types = [array.dtype for array in first.values()]
    ready = READY_BYTES // (len(rows) * sum(array.nbytes for array in first.values()))

    def shuffled(row):
        # a new permutation of all examples in each epoch, computed index by index
        seed = tf.stack([tf.constant(source.seed, tf.int64), row // count])
        index = tf.random.experimental.index_shuffle(row % count, seed, count - 1)
        if count < source.count:  # few of all, not the first, which may be those of a season
            few = tf.constant([source.seed, -1], tf.int64)
            index = tf.random.experimental.index_shuffle(index, few, source.count - 1)
        return index

    def assemble(epochs, indices):
        return list(source.batch(epochs, indices).values())

    def order(step):
        row = step * batch_size + tf.range(rows.start, rows.stop, dtype=tf.int64)
        return tf.numpy_function(assemble, [row // count, tf.map_fn(shuffled, row)], types)

    dataset = tf.data.Dataset.range(start, 2**62).map(order, num_parallel_calls=2, deterministic=True)
    dataset = dataset.prefetch(int(np.clip(ready, *READY)))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    for arrays in dataset.with_options(options).as_numpy_iterator():
        yield dict(zip(first, arrays, strict=True))


def _tensorflow():
    """TensorFlow, quiet and without the accelerators, which are JAX's."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # it only feeds batches, and would announce oneDNN on stderr
    import tensorflow as tf

    tf.config.set_visible_devices([], 'GPU')
    return tf
