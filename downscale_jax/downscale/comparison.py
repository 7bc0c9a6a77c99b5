"""Inputs of a downscaling that are compared with the range of values in training as they are read."""

import numpy as np

from downscale_jax.downscale.inputs import Inputs
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.kinds import FieldTransform
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.training_range import TrainingRange


class ComparedInputs:
    """`inputs`, of which each field is compared with `trained` (`TrainingRange.check`), the first and the last at once.

    Raises UserError for values far beyond those of training.
    """

    def __init__(self, inputs: Inputs, transform: FieldTransform, trained: TrainingRange, source: str):
        self._inputs, self._transform, self._trained, self._source = inputs, transform, trained, source
        self.times, self.domain = inputs.times, inputs.domain
        ends = [self._coarse(inputs[index]) for index in sorted({0, len(inputs) - 1})]
        trained.check(np.stack(ends), source, first=True)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> np.ndarray:
        """See `Inputs`."""
        channels = self._inputs[index]
        self._trained.check(self._coarse(channels), self._source)
        return channels

    def _coarse(self, channels: np.ndarray) -> np.ndarray:
        if isinstance(self._transform, BlockMeans):
            return self._transform.small(channels)
        return (
            channels[..., self._transform.lifted.predictors] if isinstance(self._transform, PairTransform) else channels
        )
