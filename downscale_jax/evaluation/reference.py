"""Statistics of the training split that scores refer to: climatology, high values, thresholds of hot and dry."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from downscale_jax.evaluation.protocol import Reference
from downscale_jax.evaluation.statistics import compound, correlation, extremes
from downscale_jax.fields.datasets.times import decode_times, evenly, month_of
from downscale_jax.pipeline.records import Prepared

TIMES = 480  # of training, evenly spread: 40 years of months


def reference(prepared: Prepared) -> Reference:
    """Of fine fields, a record at a time."""
    variables = prepared.field_transform.targets
    weight = np.where(prepared.mask, prepared.statics['cell_area'].values, 0).astype(np.float64)
    edges = np.stack([extremes.edges(*limits) for limits in np.reshape(prepared.meta['range'], (-1, 2))])
    counts = np.zeros((len(variables), edges.shape[1] - 1))

    def counted() -> Iterator[tuple[int, np.ndarray]]:
        for month, fine in fields(prepared):
            known = np.isfinite(fine)
            for v in range(len(variables)):
                seen = known[..., v]
                counts[v] += extremes.histogram(fine[seen, v], weight[seen], edges[v])
            yield month, fine.reshape(weight.shape[0], -1)

    # by calendar month, of all variables at once: [12, H, W V]
    climatology = correlation.climatology(counted()).reshape(12, *weight.shape, -1)

    def quantiles(levels):
        return np.stack([extremes.quantiles(c, e, levels) for c, e in zip(counts, edges, strict=True)])

    return Reference(
        climatology.astype(np.float32),
        edges,
        quantiles(extremes.LEVELS),
        quantiles((1 / 3, 2 / 3)),
        partial(hot_dry, prepared),
    )


def hot_dry(prepared: Prepared) -> compound.HotDry | None:
    """Thresholds of hot and dry; None without a temperature and a precipitation, all fields of which are in memory."""
    pair = compound.variables_of(prepared.field_transform.targets, prepared.attributes)
    if pair is None:
        return None
    both = np.empty((2, min(len(prepared.split('train')), TIMES), *prepared.mask.shape), np.float32)
    months = np.empty(both.shape[1], int)
    for place, (month, fine) in enumerate(fields(prepared)):
        months[place] = month
        both[:, place] = np.moveaxis(fine[..., list(pair)], -1, 0)
    return compound.HotDry(pair, compound.thresholds(both[0], both[1], months))


def fields(prepared: Prepared) -> Iterator[tuple[int, np.ndarray]]:
    """(calendar month, fine field [H, W, V]) of `TIMES` times of the training split."""
    split = prepared.split('train')
    for index in evenly(len(split), TIMES):
        record = split[index]
        month = month_of(decode_times(np.array([record['time']]), prepared.meta['calendar'])[0])
        yield month, record['fine'].reshape(*prepared.mask.shape, -1)
