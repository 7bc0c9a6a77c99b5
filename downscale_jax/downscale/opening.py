"""Inputs of a trained model, opened from a user's data set by the kind of model."""

import xarray as xr

from downscale_jax.downscale.inputs import BlockInputs, CoarseInputs, Inputs
from downscale_jax.downscale.pair_inputs import GridCorrection, PairInputs
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.kinds import FieldTransform
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap


def open_inputs(
    dataset: xr.Dataset,
    transform: FieldTransform,
    statics: xr.Dataset,
    source: str = 'the data set',
    correction: QuantileMap | GridCorrection | None = None,
) -> Inputs:
    """The inputs of a model of block means, of pairs or of a refinement, according to its transform.

    `correction`, not for a refinement, maps fields of another source to the distribution of the training data.
    """
    if isinstance(transform, PairTransform):
        assert not isinstance(correction, QuantileMap)
        return PairInputs(dataset, transform, statics, source, correction)
    assert not isinstance(correction, GridCorrection)
    if isinstance(transform, BlockMeans):
        return BlockInputs(dataset, transform, statics, source, correction)
    return CoarseInputs(dataset, transform, statics, source)
