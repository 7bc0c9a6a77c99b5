"""Statistics of the training split that scores refer to: climatology, high values, thresholds of hot and dry."""

from collections.abc import Mapping

import numpy as np

from downscale_jax.evaluation.protocol import Reference
from downscale_jax.evaluation.statistics import compound, correlation, extremes
from downscale_jax.fields.datasets.times import decode_times, evenly, month_of
from downscale_jax.pipeline.records import Prepared

TIMES = 480  # of training, evenly spread: 40 years of months


def reference(prepared: Prepared, attributes: Mapping[str, Mapping[str, str]]) -> Reference:
    """Of fine fields, a record at a time; only temperature and precipitation are held in memory.

    attributes: CF attributes by variable.
    """
    split, variables = prepared.split('train'), prepared.field_transform.targets
    chosen = evenly(len(split), TIMES)
    weight = np.where(prepared.mask, prepared.statics['cell_area'].values, 0).astype(np.float64)
    edges = np.stack([extremes.edges(*limits) for limits in np.reshape(prepared.meta['range'], (-1, 2))])
    counts = np.zeros((len(variables), edges.shape[1] - 1))
    pair = compound.variables_of(variables, attributes)
    kept: list[np.ndarray] = []
    months: list[int] = []

    def fields():
        for index in chosen:
            record = split[index]
            fine = record['fine'].reshape(*weight.shape, -1)
            known = np.isfinite(fine)
            for v in range(len(variables)):
                seen = known[..., v]
                counts[v] += extremes.histogram(fine[seen, v], weight[seen], edges[v])
            months.append(month_of(decode_times(np.array([record['time']]), prepared.meta['calendar'])[0]))
            kept.extend([fine[..., list(pair)]] if pair else [])
            yield months[-1], fine

    # by calendar month, of all variables at once: [12, H, W V]
    flat = ((month, fine.reshape(weight.shape[0], -1)) for month, fine in fields())
    climatology = correlation.climatology(flat).reshape(12, *weight.shape, -1)
    hot_dry = None
    if pair:
        both = np.stack(kept)
        hot_dry = compound.HotDry(pair, compound.thresholds(both[..., 0], both[..., 1], np.array(months)))

    def quantiles(levels):
        return np.stack([extremes.quantiles(c, e, levels) for c, e in zip(counts, edges, strict=True)])

    return Reference(
        climatology.astype(np.float32),
        edges,
        extremes.LEVELS,
        quantiles(extremes.LEVELS),
        quantiles((1 / 3, 2 / 3)),
        hot_dry,
    )
