"""Predictions for pairs of patches: lag probabilities and distances by networks, and distances cell by cell."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.evaluation.statistics import similarity
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Variables, part
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.tasks.lags import Lags

BATCH = 64  # pairs at once


class Network(NamedTuple):
    """A lag classifier with its trained variables."""

    task: Lags
    params: Variables


class Predictions(NamedTuple):
    """N pairs, in the order of their records."""

    lag: np.ndarray  # [N] true class, 0 for one step
    seconds: np.ndarray  # [N] time of the first patch, since 1970 in the data's calendar
    row: np.ndarray  # [N] first cell of the patch
    column: np.ndarray
    features: np.ndarray  # [N, F], see `features`
    probabilities: dict[str, np.ndarray]  # by network: of each lag, [N, classes]
    distances: dict[str, np.ndarray]  # by distance: [N], zero between equal patches


def predict(
    networks: Mapping[str, Network],
    prepared: Prepared,
    split: Split,
    chosen: Sequence[int],
    data_range: float | None = None,
) -> Predictions:
    """Predictions for the pairs `chosen`.

    With a `data_range` (that of the transformed training patches) also their distances: `NAME` and `NAME, stage S` of
    each network, by its last stage and the one before, and those of `pixel_distances`.
    """
    apply = {name: applied(network.task) for name, network in networks.items()}
    parts: list[dict[str, Any]] = []
    for start in range(0, len(chosen), BATCH):
        records = [split[int(i)] for i in chosen[start : start + BATCH]]
        first, second = (
            prepared.transform_as(Standardisation).encode(np.stack([r[name] for r in records]))
            for name in ('first', 'second')
        )
        batch: dict[str, Any] = {
            'lag': np.array([r['lag'] for r in records]) - 1,
            'seconds': np.array([r['time'] for r in records]),
            **{name: np.array([r[name] for r in records]) for name in ('row', 'column')},
            'features': features(first, second),
            'probabilities': {},
            'distances': {} if data_range is None else pixel_distances(first, second, data_range),
        }
        for name, network in networks.items():
            padded = (np.resize(x, (BATCH, *x.shape[1:])) for x in (first, second))  # one shape, compiled once
            probabilities, distances = apply[name](network.params, *padded)
            batch['probabilities'][name] = np.asarray(probabilities)[: len(records)]
            last = len(network.task.encoder.widths)
            for stage, distance in zip((last, last - 1), distances, strict=False):
                key = name if stage == last else f'{name}, stage {stage}'
                batch['distances'][key] = np.asarray(distance)[: len(records)]
        parts.append(batch)
    return Predictions(**jax.tree.map(lambda *x: np.concatenate(x), *parts))


def applied(task: Lags) -> Callable[..., tuple[jax.Array, list[jax.Array]]]:
    """(params, first, second) -> probabilities [B, classes], distances [B] by the last stage and the one before."""

    def apply(params, first, second):
        encoder = part(params, 'encoder')
        # one after the other: the last bits of a convolution may depend on the place of a patch in its batch
        stages: Any = jax.lax.map(lambda patches: task.encoder.apply(encoder, patches), jnp.stack([first, second]))
        logits: Any = task.tail.apply(part(params, 'tail'), *stages[-1])
        squared = [jnp.square(a - b) for a, b in (x.astype(jnp.float32) for x in reversed(stages[-2:]))]
        return jax.nn.softmax(logits), [x.mean((1, 2, 3)) for x in squared]

    return jax.jit(apply)


def features(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Features [B, 2C] of pairs [B, P, P, C]: logarithm of each variable's MSE, then Fisher's z of its pattern
    correlation.

    Both are nearly normal, so that a classifier linear in them and their products loses little.
    """
    a, b = (x.astype(np.float64).reshape(len(x), -1, x.shape[-1]) for x in (first, second))
    squared_error = np.square(a - b).mean(1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norms = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
    correlation = (a * b).sum(1) / np.maximum(norms, 1e-12)
    limit = 1 - 1e-6
    return np.concatenate([np.log(squared_error + 1e-12), np.arctanh(np.clip(correlation, -limit, limit))], -1)


def pixel_distances(first: np.ndarray, second: np.ndarray, data_range: float) -> dict[str, np.ndarray]:
    """Distances [B] of patches [B, P, P, C] by cells and by windows, all zero between equal patches."""
    difference = first.astype(np.float64) - second
    squared_error = np.square(difference).mean((1, 2, 3))
    distances = {
        'MSE': squared_error,
        'L1': np.abs(difference).mean((1, 2, 3)),
        '1/PSNR': 1 / similarity.psnr(squared_error, data_range),
    }
    inner = slice(similarity.RADIUS, -similarity.RADIUS)  # centres of whole windows
    if first.shape[1] > 2 * similarity.RADIUS:
        similar = [
            np.mean([similarity.ssim(x[..., c], y[..., c], data_range)[inner, inner] for c in range(x.shape[-1])])
            for x, y in zip(first, second, strict=True)
        ]
        distances['1 - SSIM'] = 1 - np.array(similar)
    return distances


def value_range(prepared: Prepared, split: Split, chosen: Sequence[int]) -> float:
    """Largest minus smallest transformed value of first patches: the data range of PSNR and SSIM."""
    values = [prepared.transform_as(Standardisation).encode(split[int(i)]['first']) for i in chosen]
    return float(np.max([x.max() for x in values]) - np.min([x.min() for x in values]))
