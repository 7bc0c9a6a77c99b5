"""The kinds of prepared data and their transforms: one reader for all of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.images import ImageTransform
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.errors import UserError, suggestion

FieldTransform = RefinementTransform | BlockMeans | PairTransform  # of downscalers: fine targets and coarse inputs
Transform = FieldTransform | ImageTransform | SceneTransform | Standardisation
TRANSFORMS: dict[str, type[Transform]] = {
    'images': ImageTransform,  # labelled images
    'refinement': RefinementTransform,  # fine fields and their coarse inputs
    'block_means': BlockMeans,  # fine fields, coarse ones being their block means
    'pairs': PairTransform,  # fine targets and coarse predictors, each on its own grid
    'lag_pairs': Standardisation,  # pairs of patches
    'scenes': SceneTransform,  # multispectral images and elevation
}


def read_transform(kind: str, values: Mapping[str, Any]) -> Transform:
    """The transform of prepared data of a kind (data.kind), from the JSON of its `to_json`.

    Raises UserError for an unknown kind.
    """
    if kind not in TRANSFORMS:
        raise UserError(f"prepared data of kind '{kind}': {suggestion(kind, TRANSFORMS)}")
    return TRANSFORMS[kind].from_json(_migrated(kind, values))


def _migrated(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Version 0.1.0 stored a single pair of bounds for all variables; scenes were standardised without mixing."""
    migrated = dict(values)
    if kind == 'scenes' and 'channels' not in migrated:
        return {'channels': migrated, 'mixing': np.eye(len(migrated['variables']) - 2).tolist()}
    bounds = migrated.get('bounds')
    if bounds is None or kind == 'pairs':
        return migrated
    count = len(migrated['values']['variables']) if kind == 'block_means' else 1
    if not isinstance(bounds[0], list | tuple):
        bounds = [bounds]
    return migrated | {'bounds': list(bounds) * count if len(bounds) == 1 else bounds}
