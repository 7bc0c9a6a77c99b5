"""Which patches of the test split a distance calls alike: the nearest neighbours of a few."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.evaluation.lags.figures import Neighbours
from downscale_jax.evaluation.lags.measures import BATCH, centres
from downscale_jax.fields.datasets.times import decode_times
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.systems.atmodist import LearnedDistance

CANDIDATES = 400  # patches among which neighbours are sought
QUANTILES = (0.4, 0.6, 0.8, 0.97)  # of the candidates' variance: from calm to wild
NEAREST = 3


def neighbours(opened: LearnedDistance, prepared: Prepared, split: Split, chosen: Sequence[int]) -> list[Neighbours]:
    """Queries from calm to wild among first patches of the split, with those nearest by the encoder and by MSE.

    Patches that overlap and lie within the longest lag do not count: they are near for being the same weather.
    """
    spread = np.unique(np.linspace(0, len(chosen) - 1, CANDIDATES).round().astype(int))
    records = [split[int(chosen[i])] for i in spread]
    patches = prepared.transform_as(Standardisation).encode(np.stack([r['first'] for r in records]))
    last = len(opened.task.encoder.widths)
    parts = [patches[i : i + BATCH] for i in range(0, len(patches), BATCH)]
    codes = np.concatenate([opened.embedding(opened.params, x, last) for x in parts])
    seconds, rows, columns = (np.array([r[name] for r in records]) for name in ('time', 'row', 'column'))
    apart = 3600 * prepared.meta['step_hours'] * prepared.meta['lags']
    names = words(prepared, seconds, rows, columns)
    y = prepared.statics['lat' if 'lat' in prepared.statics.dims else 'y']
    up = 1 if y[0] < y[-1] else -1  # north is up
    wildness = patches.var((1, 2, 3))
    order = np.argsort(wildness)
    found = []
    for quantile in QUANTILES:
        query = int(order[round(quantile * (len(order) - 1))])
        aside = np.abs(columns - columns[query])
        aside = np.minimum(aside, prepared.meta['grid'][1] - aside) if prepared.periodic else aside
        far = np.maximum(np.abs(rows - rows[query]), aside) >= prepared.meta['patch']
        free = far | (np.abs(seconds - seconds[query]) > apart)
        nearest = {}
        for measure, values in (('encoder', codes), ('MSE', patches)):
            distance = np.square(values - values[query]).mean((1, 2, 3))
            best = np.argsort(np.where(free, distance, np.inf))[: min(NEAREST, int(free.sum()))]
            nearest[measure] = [(patches[i, ::up, :, 0], names[i]) for i in best]
        if all(len(rows) == NEAREST for rows in nearest.values()):
            found.append(Neighbours((patches[query, ::up, :, 0], names[query]), nearest))
    return found


def words(prepared: Prepared, seconds: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> list[str]:
    """Day, hour and place of patches, [N] each."""
    times = decode_times(seconds, prepared.meta['calendar'])
    places = centres(prepared.statics, rows, columns, prepared.meta['patch'])
    if places is None:
        where = [f'row {row}, column {column}' for row, column in zip(rows, columns, strict=True)]
    else:
        where = [f'{abs(lat):.0f}°{"N" if lat >= 0 else "S"} {lon:.0f}°E' for lat, lon in zip(*places, strict=True)]
    return [f'{str(time)[5:13].replace("T", " ")} h\n{place}' for time, place in zip(times, where, strict=True)]
