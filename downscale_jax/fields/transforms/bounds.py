"""Physical bounds of variables."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.runtime.errors import UserError

Bounds = tuple[tuple[float, float], ...]  # physical (lower, upper) of each variable, infinite where unbounded


def limits(bounds: Sequence[Sequence[float]], variables: Sequence[str]) -> np.ndarray:
    """Lower and upper bounds [2, V] float32 of data.bounds, a pair for each variable.

    Raises UserError for any other form and for pairs in the wrong order.
    """
    try:
        array = np.asarray(bounds, 'float32')
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (len(variables), 2) or not (array[:, 0] < array[:, 1]).all():
        raise UserError(
            f'data.bounds={tuple(bounds)}: one pair (lower, upper) for each of the variables {tuple(variables)} was '
            f'expected, as in {((0.0, float("inf")),) * len(variables)}'
        )
    return array.T
