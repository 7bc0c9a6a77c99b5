"""Nearest neighbours of a few patches of the test split, by the encoder and by MSE."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from downscale_jax.evaluation.lags.geography import centres
from downscale_jax.evaluation.lags.predictions import Network
from downscale_jax.fields.datasets.times import decode_times, evenly
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.runtime.portions import in_portions

CANDIDATES = 400  # patches among which neighbours are sought
QUANTILES = (0.4, 0.6, 0.8, 0.97)  # of the candidates' variance: from calm to stormy
NEAREST = 3


class Patch(NamedTuple):
    """The first variable [P, P], north up, and its time and place in words."""

    values: np.ndarray
    label: str


class Neighbours(NamedTuple):
    """A patch and those nearest to it by each distance."""

    query: Patch
    nearest: Mapping[str, Sequence[Patch]]


def neighbours(network: Network, prepared: Prepared, split: Split, chosen: Sequence[int]) -> list[Neighbours]:
    """Neighbours of patches from calm to stormy, among first patches of the split.

    Patches that overlap within the longest lag do not count: they show the same weather.
    """
    records = [split[int(chosen[i])] for i in evenly(len(chosen), CANDIDATES)]
    patches = prepared.transform_as(Standardisation).encode(np.stack([r['first'] for r in records]))
    seconds, rows, columns = (np.array([r[name] for r in records]) for name in ('time', 'row', 'column'))
    texts = labels(prepared, seconds, rows, columns)
    y = prepared.statics['lat' if 'lat' in prepared.statics.dims else 'y']
    north_up = slice(None, None, 1 if y[0] < y[-1] else -1)
    shown = [Patch(patch[north_up, :, 0], label) for patch, label in zip(patches, texts, strict=True)]
    last_stage = jax.jit(partial(network.task.embed, stage=len(network.task.encoder.widths)))
    representations = {'encoder': in_portions(partial(last_stage, network.params), patches), 'MSE': patches}
    longest = 3600 * prepared.meta['step_hours'] * prepared.meta['lags']
    order = np.argsort(patches.var((1, 2, 3)))
    result = []
    for quantile in QUANTILES:
        query = int(order[round(quantile * (len(order) - 1))])
        aside = np.abs(columns - columns[query])
        aside = np.minimum(aside, prepared.meta['grid'][1] - aside) if prepared.periodic else aside
        apart = np.maximum(np.abs(rows - rows[query]), aside) >= prepared.meta['patch']
        eligible = apart | (np.abs(seconds - seconds[query]) > longest)
        if eligible.sum() < NEAREST:
            continue
        nearest = {}
        for name, values in representations.items():
            distance = np.square(values - values[query]).mean((1, 2, 3))
            nearest[name] = [shown[i] for i in np.argsort(np.where(eligible, distance, np.inf))[:NEAREST]]
        result.append(Neighbours(shown[query], nearest))
    return result


def labels(prepared: Prepared, seconds: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> list[str]:
    """Day, hour and place of patches, [N] each."""
    times = decode_times(seconds, prepared.meta['calendar'])
    places = centres(prepared.statics, rows, columns, prepared.meta['patch'])
    if places is None:
        where = [f'row {row}, column {column}' for row, column in zip(rows, columns, strict=True)]
    else:
        where = [f'{abs(lat):.0f}°{"N" if lat >= 0 else "S"} {lon:.0f}°E' for lat, lon in zip(*places, strict=True)]
    return [f'{str(time)[5:13].replace("T", " ")} h\n{place}' for time, place in zip(times, where, strict=True)]
