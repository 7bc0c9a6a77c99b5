"""What scores need of the training split: its climatology and its high values."""

from typing import NamedTuple

import numpy as np

from downscale_jax.evaluation import correlation, extremes
from downscale_jax.fields.times import decode_times, evenly, month_of
from downscale_jax.pipeline.records import Prepared

TIMES = 480  # of training, evenly spread: 40 years of months


class Reference(NamedTuple):
    normal: np.ndarray  # [12, H, W, V], mean by calendar month
    edges: np.ndarray  # [V, B + 1], of bins for values
    thresholds: np.ndarray  # [V, L], quantiles at `levels` of all values
    levels: tuple[float, ...] = extremes.LEVELS


def reference(prepared: Prepared) -> Reference:
    """Of fine fields, a record at a time."""
    split, variables = prepared.split('train'), prepared.refinement.targets
    chosen = evenly(len(split), TIMES)
    weight = np.where(prepared.mask, prepared.statics['cell_area'].values, 0).astype(np.float64)
    edges = np.stack([extremes.edges(*limits) for limits in np.reshape(prepared.meta['range'], (-1, 2))])
    counts = np.zeros((len(variables), edges.shape[1] - 1))

    def fields():
        for index in chosen:
            record = split[index]
            fine = record['fine'].reshape(*weight.shape, -1)
            known = np.isfinite(fine)
            for v in range(len(variables)):
                seen = known[..., v]
                counts[v] += extremes.histogram(fine[seen, v], weight[seen], edges[v])
            yield month_of(decode_times(np.array([record['time']]), prepared.meta['calendar'])[0]), fine

    # by calendar month, of all variables at once: [12, H, W V]
    flat = ((month, fine.reshape(weight.shape[0], -1)) for month, fine in fields())
    normal = correlation.climatology(flat).reshape(12, *weight.shape, -1)
    return Reference(
        normal.astype(np.float32),
        edges,
        np.stack([extremes.quantiles(c, e) for c, e in zip(counts, edges, strict=True)]),
    )
