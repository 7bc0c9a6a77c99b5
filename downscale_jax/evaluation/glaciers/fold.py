"""`Fold`: the glaciers of prepared data in their splits, and the views of each split through a trained network."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from downscale_jax.downscale.probability import Mapper
from downscale_jax.evaluation.glaciers.view import View, view
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.pipeline.glaciers import Glaciers, Imagery, glaciers_of, imagery_of, split_of
from downscale_jax.pipeline.records import Prepared


@dataclass(frozen=True)
class Fold:
    """One fold that is tested by `mapper`, under the settings of `config`."""

    prepared: Prepared
    mapper: Mapper
    config: dict[str, Any]

    @cached_property
    def glaciers(self) -> Glaciers:
        return glaciers_of(self.prepared, self.config['data']['folds'])

    @cached_property
    def imagery(self) -> Imagery:
        return imagery_of(self.prepared)

    def members(self, split: str) -> np.ndarray:
        """Glaciers [N] of a split, bool."""
        data = self.config['data']
        return split_of(self.glaciers.fold, data['fold'], data['folds'], split)

    def view(self, split: str, date: int, mapped: bool = True) -> View:
        """The surroundings of the glaciers of a split; without `mapped` the network is not applied."""
        zone, transform = self.config['evaluation']['zone'], self.prepared.transform_as(SceneTransform)
        mapper = self.mapper if mapped else None
        return view(self.imagery, self.glaciers, self.members(split), date, zone, transform, mapper)
