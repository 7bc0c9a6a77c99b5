"""Linear regression of fine fields on coarse ones at each grid point: a baseline, and a first guess for networks.

    y[v] = a[0, v] + sum_p a[p, v] z[p]

z are the predictors, interpolated to the grid point and standardised, and two harmonics of the annual cycle; y are the
targets, transformed likewise, so that the logarithm of rain is regressed on logarithms (multiple linear regression, the
usual baseline of perfect-prognosis downscaling: Maraun and Widmann 2018, section 11.2). It is fitted by least
squares with a small ridge, since predictors on neighbouring levels are nearly collinear.
"""

from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.fields.context.planes import day_of_year, days_per_year

RIDGE = 1e-2  # of the standardised predictors, relative to their variance; the intercept is not penalised
PREFIX = 'regression_'  # of the names of the coefficients among static variables
HARMONICS = (1, 2)  # of the annual cycle
SEASONAL = 2 * len(HARMONICS)  # regressors of the annual cycle


def regressors(predictors: np.ndarray, time: Any) -> np.ndarray:
    """Standardised predictors [H, W, P] and a time, datetime64 or cftime -> [H, W, P + SEASONAL] float32."""
    angles = 2 * np.pi * day_of_year(time) / days_per_year(time) * np.array(HARMONICS)
    cycle = np.sqrt(2) * np.concatenate([np.cos(angles), np.sin(angles)])  # of unit variance over a year
    planes = np.broadcast_to(cycle.astype(np.float32), (*predictors.shape[:-1], SEASONAL))
    return np.concatenate([predictors, planes], -1)


class NormalEquations:
    """Sums over times from which the coefficients follow; their size does not depend on the number of times."""

    def __init__(self, squares: np.ndarray, products: np.ndarray):
        self.squares, self.products = squares, products  # [R + 1, R + 1, H, W], lower triangle, and [R + 1, V, H, W]

    @classmethod
    def empty(cls, shape: tuple[int, int], regressors: int, targets: int) -> 'NormalEquations':
        """Of no times."""
        squares = np.zeros((regressors + 1, regressors + 1, *shape))
        return cls(squares, np.zeros((regressors + 1, targets, *shape)))

    def add(self, regressors: np.ndarray, targets: np.ndarray) -> None:
        """regressors [H, W, R] and transformed targets [H, W, V]; a grid point counts where it has all of them."""
        counts = np.isfinite(regressors).all(-1) & np.isfinite(targets).all(-1)
        constant = np.ones(regressors.shape[:2])
        columns = [
            np.where(counts, plane, 0) for plane in (constant, *np.moveaxis(regressors.astype(np.float64), -1, 0))
        ]
        fine = [np.where(counts, plane, 0) for plane in np.moveaxis(targets.astype(np.float64), -1, 0)]
        for i, column in enumerate(columns):
            for j in range(i + 1):
                self.squares[i, j] += column * columns[j]
            for v, plane in enumerate(fine):
                self.products[i, v] += column * plane

    def solve(self) -> np.ndarray:
        """Coefficients [R + 1, V, H, W] float32; NaN where a grid point has no values."""
        count = self.squares[0, 0]
        lower = np.moveaxis(self.squares, (0, 1), (-2, -1))
        full = lower + np.swapaxes(np.tril(lower, -1), -1, -2)
        ridge = RIDGE * np.diag(np.arange(len(self.squares)) > 0)
        full = full + np.maximum(count, 1)[..., None, None] * ridge
        full[count == 0] = np.eye(len(self.squares))
        solved = np.linalg.solve(full, np.moveaxis(self.products, (0, 1), (-2, -1)))
        solved[count == 0] = np.nan
        return np.moveaxis(solved, (-2, -1), (0, 1)).astype(np.float32)


def predict(coefficients: np.ndarray, regressors: np.ndarray) -> np.ndarray:
    """Coefficients [R + 1, V, H, W] and regressors [H, W, R] -> [H, W, V] float32."""
    fields = coefficients[0].copy()
    for plane, slopes in zip(np.moveaxis(regressors, -1, 0), coefficients[1:], strict=True):
        fields += slopes * plane
    return np.moveaxis(fields, 0, -1)


def to_statics(statics: xr.Dataset, coefficients: np.ndarray, targets: tuple[str, ...]) -> xr.Dataset:
    """`statics` with the coefficients of each target (coefficient, y, x)."""
    dims = ('coefficient', *map(str, statics['mask'].dims))
    return statics.assign({f'{PREFIX}{name}': (dims, coefficients[:, v]) for v, name in enumerate(targets)})


def from_statics(statics: xr.Dataset, targets: tuple[str, ...]) -> np.ndarray:
    """Inverse of `to_statics`: [R + 1, V, H, W]."""
    return np.stack([statics[f'{PREFIX}{name}'].values for name in targets], 1)
