"""Batches of examples, in an order that is a pure function of (seed, epoch, index).

Step n of a resumed run sees the batch it would have seen, without replaying the past, on any number of processes.
"""

import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.parallel import local_rows

Batch = dict[str, np.ndarray]
READY = (4, 64)  # least and most batches kept ready; in between as many as fit into ..
READY_BYTES = 2**27


class Source(Protocol):
    """An opened split of examples, from which batches are drawn."""

    @property
    def seed(self) -> int: ...

    @property
    def count(self) -> int:
        """Examples per epoch."""
        ...

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        """The examples of these epochs and indices (below `count`), [B] each, stacked; a pure function."""
        ...


def batches(source: Source, batch_size: int, start: int = 0, limit: int = 0) -> Iterator[Batch]:
    """This process's rows of the global batches from step `start` on, endlessly, reshuffled in every epoch.

    `limit`: examples per epoch, always the same ones; 0 means all. Two batches are assembled in parallel and many kept
    ready, so that reading overlaps computing: most of a small data set is read while the first step compiles; later, on
    few cores, reading would cost the first epoch a tenth of its time. Raises UserError where a record is damaged.
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
        if count < source.count:  # a random subset: the first examples may be those of one season
            few = tf.constant([source.seed, -1], tf.int64)
            index = tf.random.experimental.index_shuffle(index, few, source.count - 1)
        return index

    failures: list[UserError] = []  # TensorFlow raises an error of its own in their place

    def assemble(epochs, indices):
        try:
            return list(source.batch(epochs, indices).values())
        except UserError as error:
            failures.append(error)
            raise

    def order(step):
        row = step * batch_size + tf.range(rows.start, rows.stop, dtype=tf.int64)
        return tf.numpy_function(assemble, [row // count, tf.map_fn(shuffled, row)], types)

    dataset = tf.data.Dataset.range(start, 2**62).map(order, num_parallel_calls=2, deterministic=True)
    dataset = dataset.prefetch(int(np.clip(ready, *READY)))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 2
    try:
        for arrays in dataset.with_options(options).as_numpy_iterator():
            yield dict(zip(first, arrays, strict=True))
    except tf.errors.OpError:
        if failures:
            raise failures[0] from None
        raise


def _tensorflow():
    """TensorFlow, silenced and without the accelerators, which belong to JAX."""
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')  # it would announce itself on stderr
    os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')  # not installed: else all of Keras is imported, half of the time
    import tensorflow as tf

    tf.config.set_visible_devices([], 'GPU')
    return tf
