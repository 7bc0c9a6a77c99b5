"""The scored days, read one at a time, become sums: what is in memory does not grow with their number."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from downscale_jax.evaluation import records as days
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import ranks as calibration
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics import similarity as images
from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.consistency import MOMENTS, consistency
from downscale_jax.fields.datasets.times import encode_times
from downscale_jax.fields.geometry import grid
from downscale_jax.fields.transforms.refinement import RefinementTransform
from downscale_jax.pipeline.records import Prepared, Split

Methods = dict[str, np.ndarray]  # name -> members [M, H, W] of one day
ALL, ICE = 0, 1  # the first zones; the regimes follow
LAG = ('product', 'first', 'second')  # sums over cells of a b, a^2, b^2 for anomalies a, b of neighbouring records


class Collected(NamedTuple):
    """Sums of every scored day, in order."""

    scores: dict[str, list[dict[str, np.ndarray]]]  # by method; see `day_sums`, `ssim_sums`, `clipped`
    lags: dict[str, list[dict[str, np.ndarray]]]  # by method and for 'truth', a pair of neighbours each: {'lag': LAG}
    powers: list[dict[str, np.ndarray]]  # see `scales.day_powers`
    regimes: list[str]  # their names


def day_fields(
    opened: Mapping[str, xr.Dataset], prepared: Prepared, split: Split, day: int, index: int
) -> tuple[np.ndarray, Methods]:
    """(truth [H, W], {method: members}) of one day, the coarse field first: the chunks of this day alone are read."""
    record, transform = split[day], prepared.transform_as(RefinementTransform)
    low, high = transform.limits[:, 0]
    methods: Methods = {scales.COARSE: np.clip(record['coarse'][None, ..., transform.channel], low, high)}
    for name, dataset in opened.items():
        methods[name] = dataset[transform.target].isel(time=index).values
    return record['fine'], methods


def collect(
    opened: Mapping[str, xr.Dataset],
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: list[int],
    main: str,
    settings: dict,
) -> Collected:
    """times of the whole split; chosen: indices of the scored days in it; main: the ensemble whose mean has a spectrum.

    Besides the day itself the anomalies of the day before stay in memory while the two are neighbours.
    """
    area = prepared.statics['cell_area'].values.astype(np.float64)
    low, high = prepared.meta['range']
    next_to, stamps = days.neighbours(times), encode_times(times)
    sea, sizes = np.where(prepared.mask, area, 0.0), grid.cell_sizes_km(prepared.statics)
    transform, periodic = prepared.transform_as(RefinementTransform), grid.is_periodic(prepared.statics)
    kernel = prepared.meta['kernel_km'][transform.channel]
    collected = Collected({}, {}, [], [])
    before: Methods = {}
    for index, day in enumerate(chosen):
        truth, methods = day_fields(opened, prepared, split, day, index)
        coarse = methods[scales.COARSE][0]
        # every method is scored on the same cells: those where all of them and the truth have a value
        known = prepared.mask & np.isfinite(truth)
        known &= np.logical_and.reduce([np.isfinite(members).all(0) for members in methods.values()])
        weight = np.where(known, area, 0.0)
        names, classes = calibration.regimes(coarse, settings['regimes'])
        collected.regimes[:] = names
        # zones by the coarse field: known beforehand, so that the choice favours no ensemble
        ice = coarse > settings['ice']
        zones = np.concatenate([np.ones_like(ice)[None], ice[None], classes])
        for name, members in methods.items():
            # the same ties for all methods, whatever other days are scored
            ties = np.random.default_rng(int(stamps[day]) % 2**64)
            sums = scores.day_sums(members, truth, weight, zones, ties)
            sums |= images.ssim_sums(members, truth, weight, high - low)
            if name in opened:
                sums |= closure(members, coarse, sea, sizes, kernel, periodic)
                sums |= clipped(opened[name], transform.target, index, int(np.isfinite(members[0]).sum()))
            collected.scores.setdefault(name, []).append(sums)
        origins = spectra.windows(known, known & ice, settings['window'])
        collected.powers.append(scales.day_powers(truth, methods, main, origins, settings['window']))

        anomalies = {
            name: np.where(known, members - coarse, np.nan)
            for name, members in {scales.TRUTH: truth[None], **methods}.items()
        }
        if index and chosen[index - 1] == day - 1 and next_to[day - 1]:
            for name, now in anomalies.items():
                collected.lags.setdefault(name, []).append(lag_sums(before[name], now, area))
        before = anomalies
    return collected


def closure(
    members: np.ndarray,
    coarse: np.ndarray,
    sea: np.ndarray,
    sizes: tuple[np.ndarray, np.ndarray],
    kernel: float,
    periodic: bool,
) -> dict[str, np.ndarray]:
    """Sums of the squared difference of each of the members [M, H, W], filtered back to the kernel of the coarse field,
    to that field, and of its weight."""
    moments = consistency(members, coarse, sea, sizes, kernel, periodic)['member']
    return {'closure': moments[MOMENTS.index('square')], 'closure_weight': moments[MOMENTS.index('weight')]}


def clipped(dataset: xr.Dataset, target: str, index: int, cells: int) -> dict[str, np.ndarray]:
    """Number of values of a day outside the bounds before clipping, and of all values.

    The store holds the share of each work unit, a group of members; `cells` of each member have a value.
    """
    chunks = dataset[target].chunks
    assert chunks is not None  # a store is opened lazily
    values = np.asarray(chunks[0], np.float64) * cells
    return {'outside': np.sum(values * dataset['clipped_share'].isel(time=index).values), 'values': values.sum()}


def lag_sums(first: np.ndarray, second: np.ndarray, area: np.ndarray) -> dict[str, np.ndarray]:
    """{'lag': [3]}, see LAG, over members and the cells where the anomalies [M, H, W] of both records have values."""
    both = np.isfinite(first).all(0) & np.isfinite(second).all(0)
    a, b, w = first[:, both], second[:, both], area[both]
    return {'lag': np.array([np.einsum('mp,mp,p', x, y, w, dtype=np.float64) for x, y in ((a, b), (a, a), (b, b))])}
