"""Inputs of a model of pairs: predictors on any coarse grid, interpolated to the fine grid of training."""

import numpy as np
import xarray as xr

from downscale_jax.downscale.inputs import checked
from downscale_jax.downscale.tiles import Domain
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.levels import levels_as_variables
from downscale_jax.fields.datasets.times import month_of
from downscale_jax.fields.geometry.grid import is_periodic
from downscale_jax.fields.transforms.lifting import Lifter
from downscale_jax.fields.transforms.pairs import PairTransform
from downscale_jax.fields.transforms.quantile_mapping import QuantileMap


class PairInputs:
    """Lazy inputs: `inputs[i]` reads one time and lifts it to the fine grid (`transforms.lifting`).

    `dataset` holds the predictors of training, levels as a dimension or as variables, on any grid with coordinates.
    Where a predictor is missing at a time or in a place, the fields are missing, too. Raises UserError where a variable
    is missing, units do not convert, or the grids share no coordinates.
    """

    def __init__(
        self,
        dataset: xr.Dataset,
        transform: PairTransform,
        statics: xr.Dataset,
        source: str = 'the data set',
        correction: QuantileMap | None = None,
    ):
        fields = checked(levels_as_variables(dataset, source), transform, source)
        self._fields, self._names, self._source, self._correction = fields, transform.inputs, source, correction
        self._lift = Lifter(transform, fields, statics)
        self.domain = Domain(statics['mask'].shape, transform.lifted.channels, is_periodic(statics))
        self.times: np.ndarray = fields['time'].values

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, index: int) -> np.ndarray:
        """[H, W, L] float32, as `PairTransform.lift` stacks them; NaN where a predictor is missing."""
        fields = store.load(self._fields.isel(time=index), self._source)
        coarse = np.stack([fields[name].values for name in self._names], -1).astype(np.float32)
        if self._correction:
            coarse = self._correction.apply(coarse, month_of(self.times[index]))
        return self._lift(coarse, self.times[index])
