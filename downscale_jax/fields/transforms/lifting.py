"""Coarse fields of pairs on the fine grid: interpolated by coordinates, with context and the regression."""

from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.context.planes import check_context, context_planes
from downscale_jax.fields.geometry.interpolation import ToFine
from downscale_jax.fields.transforms.grid_point_regression import PREFIX, from_statics, predict, regressors
from downscale_jax.fields.transforms.pairs import SPREAD, PairTransform
from downscale_jax.runtime.errors import UserError


class Lifter:
    """Called with a coarse field and its time, it returns the channels of `PairTransform.lift`.

    `coarse` is any grid with coordinates, `statics` the fine grid of training with its static variables. Raises
    UserError where the grids share no coordinates or do not overlap, and for another fine grid than that of training.
    """

    def __init__(self, transform: PairTransform, coarse: xr.Dataset, statics: xr.Dataset):
        if missing := [name for name in transform.targets if f'{PREFIX}{name}' not in statics]:
            raise UserError(
                'this model starts from a regression at each grid point, which is known on the training grid only '
                f'(the fine grid lacks that of {", ".join(missing)}): leave --statics out, or train on that region'
            )
        check_context(transform.context, statics, 'the fine grid')
        self._transform, self._statics = transform, statics
        self._to_fine = ToFine(coarse, statics)
        if not covered_share(self._to_fine, coarse, statics):
            raise UserError('the coarse grid does not overlap the fine grid: check the region of the two files')
        self._coefficients = from_statics(statics, transform.targets)
        self._spread = np.stack([statics[f'{SPREAD}{name}'].values for name in transform.targets], -1)

    def __call__(self, coarse: np.ndarray, time: Any) -> np.ndarray:
        """coarse [h, w, P] in physical units, NaN where missing; time: datetime64 or cftime -> [H, W, L] float32."""
        planes = context_planes(self._transform.context, self._statics, time)
        predictors = self.interpolated(coarse)
        linear = predict(self._coefficients, regressors(self._transform.predictors.encode(predictors), time))
        return self._transform.lift(predictors, planes, self._transform.values.decode(linear), self._spread)

    def interpolated(self, coarse: np.ndarray) -> np.ndarray:
        """[h, w, P] -> [H, W, P] float32."""
        return interpolate_fields(self._to_fine, coarse)


def covered_share(to_fine: ToFine, coarse: xr.Dataset, fine: xr.Dataset) -> float:
    """Share of the valid cells of the fine grid that the coarse grid reaches."""
    valid = fine['mask'].values > 0
    return float(np.isfinite(to_fine(np.ones(coarse['mask'].shape)))[valid].mean()) if valid.any() else 0.0


def interpolate_fields(to_fine: ToFine, coarse: np.ndarray) -> np.ndarray:
    """[h, w, P] -> [H, W, P] float32."""
    return np.moveaxis(to_fine(np.moveaxis(coarse, -1, 0)), 0, -1).astype(np.float32)
