"""Examples for the lag task: two patches of one place and how many steps lie between them."""

from dataclasses import dataclass

import numpy as np

from downscale_jax.pipeline.batches import Batch
from downscale_jax.pipeline.records import Prepared


@dataclass(frozen=True)
class Pairs:
    """Pairs of one split: first, second [B, P, P, C] transformed, lag [B] int32, the class, 0 for one step."""

    prepared: Prepared
    split: str
    seed: int

    def open(self) -> 'PairSource':
        return PairSource(self)


class PairSource:
    """An opened split."""

    def __init__(self, pairs: Pairs):
        self.records = pairs.prepared.split(pairs.split)
        self.transform = pairs.prepared.log_transform
        self.count = len(self.records)

    def batch(self, epochs: np.ndarray, indices: np.ndarray) -> Batch:
        records = [self.records[int(i)] for i in indices]
        first, second = (self.transform.encode(np.stack([r[name] for r in records])) for name in ('first', 'second'))
        return {'first': first, 'second': second, 'lag': np.array([r['lag'] - 1 for r in records], np.int32)}
