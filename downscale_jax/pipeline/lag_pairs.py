"""Examples for the lag task: two patches of one place and the number of steps between them."""

import numpy as np

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared


class LagPairs:
    """Pairs of one split: first, second [B, P, P, C] transformed, lag [B] int32, the class, 0 for one step."""

    def __init__(self, prepared: Prepared, split: str, seed: int):
        self.records = prepared.split(split)
        self.transform, self.seed = prepared.transform_as(Standardisation), seed
        self.count = len(self.records)

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        records = [self.records[int(i)] for i in indices]
        first, second = (self.transform.encode(np.stack([r[name] for r in records])) for name in ('first', 'second'))
        return {'first': first, 'second': second, 'lag': np.array([r['lag'] - 1 for r in records], np.int32)}
