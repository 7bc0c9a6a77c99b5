"""Distances of training patches by lag, to which the weight alpha of a learned content loss is fitted.

alpha brings the encoded distance to the size of the squared error: `tasks.content.fit_alpha`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.runtime.errors import UserError
from downscale_jax.tasks.content import Content, squared_error

PAIRS = 48  # of times, at most, for each lag


class LagClasses(NamedTuple):
    """The lags that the encoder was trained to predict: 1 to `classes` steps."""

    classes: int
    step_hours: float


def distances_by_lag(
    content: Content, encoder: Any, prepared: Prepared, patch: int, lags: LagClasses, scale: str = 'network'
) -> tuple[np.ndarray, np.ndarray]:
    """(encoded distance, squared error): means over pairs of patches for each lag of the upper half, [lags / 2].

    `scale` is 'network', squared errors of transformed values, or 'standard', of z-scores without the logarithm. The
    patches of a pair lie at one place of the training split. Lags without pairs are left out; raises UserError where
    all are.
    """
    split, values, rng = prepared.split('train'), prepared.transform_as(BlockMeans).values, np.random.default_rng(0)
    measure = jax.jit(partial(content.encoded_distance, encoder))
    shortest, means = lags.classes // 2 + 1, []
    for steps in range(shortest, lags.classes + 1):
        pairs = []
        for first, second in pairs_apart(split, round(3600 * steps * lags.step_hours), rng):
            row, column = (rng.integers(n - patch + 1) for n in prepared.mask.shape)
            pair = [split[i]['fine'][row : row + patch, column : column + patch] for i in (first, second)]
            if np.isfinite(pair).all():
                pairs.append(pair)
        if pairs:
            physical = [np.stack(side) for side in zip(*pairs, strict=True)]
            encoded = [values.encode(fields) for fields in physical]
            compared = encoded if scale == 'network' else [values.z_score(fields) for fields in physical]
            means.append([float(np.mean(measure(*encoded))), float(np.mean(squared_error(*compared)))])
    if not means:
        raise UserError(
            f'no two training times are {shortest} to {lags.classes} steps of {lags.step_hours} h apart: fitting the '
            'content loss needs such pairs, extend data.train'
        )
    distances, squared = np.array(means).T
    return distances, squared


def pairs_apart(split: Split, seconds: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Up to PAIRS random pairs of records `seconds` apart; records are in order of time."""
    count = len(split)

    def time(index: int) -> int:
        return int(split[index]['time'])

    mean_step = (time(count - 1) - time(0)) / max(count - 1, 1)
    step = min(time(1) - time(0), mean_step) if count > 1 else 0  # gaps make the mean step longer than the usual one
    offset = round(seconds / step) if step else count
    starts = rng.permutation(max(count - offset, 0))[: 4 * PAIRS]
    pairs = ((int(start), int(start) + offset) for start in starts)
    return [(a, b) for a, b in pairs if time(b) - time(a) == seconds][:PAIRS]
