"""Pairs of patches -> what networks and simple measures say of each: arrays by pair, a batch of patches in memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from downscale_jax.evaluation.statistics import similarity as images
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Variables, part
from downscale_jax.pipeline.records import Prepared, Split
from downscale_jax.tasks.lags import Lags

BATCH = 64  # pairs at once
Networks = Mapping[str, tuple[Lags, Variables]]  # a task with its trained variables, by name


class Measured(NamedTuple):
    """N pairs, in the order of their records."""

    lag: np.ndarray  # [N] class, 0 for one step
    seconds: np.ndarray  # [N] time of the first patch, since 1970 in the data's calendar
    row: np.ndarray  # [N] first cell of the patch
    column: np.ndarray
    features: np.ndarray  # [N, F], see `features`
    probabilities: dict[str, np.ndarray]  # by network: of each lag, [N, classes]
    distances: dict[str, np.ndarray]  # by measure: [N], zero between equal patches


def measure(
    networks: Networks, prepared: Prepared, split: Split, chosen: Sequence[int], data_range: float = 0
) -> Measured:
    """What is known of the pairs `chosen`. With a `data_range` (that of the transformed training patches) also their
    distances: `NAME` and `NAME, stage S` of each network, its last stage and the one before, and those of `pixel`.
    """
    judge = {name: judging(task) for name, (task, _) in networks.items()}
    parts: list[dict[str, Any]] = []
    for start in range(0, len(chosen), BATCH):
        records = [split[int(i)] for i in chosen[start : start + BATCH]]
        encode = prepared.transform_as(Standardisation).encode
        first, second = (encode(np.stack([r[name] for r in records])) for name in ('first', 'second'))
        found: dict[str, Any] = {
            'lag': np.array([r['lag'] for r in records]) - 1,
            'seconds': np.array([r['time'] for r in records]),
            **{name: np.array([r[name] for r in records]) for name in ('row', 'column')},
            'features': features(first, second),
            'probabilities': {},
            'distances': pixel(first, second, data_range) if data_range else {},
        }
        for name, (task, params) in networks.items():
            padded = (np.resize(x, (BATCH, *x.shape[1:])) for x in (first, second))  # one shape, compiled once
            probabilities, distances = judge[name](params, *padded)
            found['probabilities'][name] = np.asarray(probabilities)[: len(records)]
            last = len(task.encoder.widths)
            for stage, distance in zip((last, last - 1), distances, strict=False):
                key = name if stage == last else f'{name}, stage {stage}'
                found['distances'][key] = np.asarray(distance)[: len(records)]
        parts.append(found)
    return Measured(**jax.tree.map(lambda *x: np.concatenate(x), *parts))


def judging(task: Lags) -> Callable[..., tuple[jax.Array, list[jax.Array]]]:
    """(params, first, second) -> probabilities [B, classes], distances [B] by the last stage and the one before."""

    def judge(params, first, second):
        stages: Any = task.encoder.apply(part(params, 'encoder'), jnp.concatenate([first, second]))
        pairs = [jnp.split(x.astype(jnp.float32), 2) for x in reversed(stages[-2:])]
        logits: Any = task.tail.apply(part(params, 'tail'), *jnp.split(stages[-1], 2))
        return jax.nn.softmax(logits), [jnp.square(a - b).mean((1, 2, 3)) for a, b in pairs]

    return jax.jit(judge)


def features(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of pairs [B, P, P, C]: logarithm of the MSE of each variable, then Fisher's z of its pattern correlation [B, 2C].

    Both are near normal, so that a classifier linear in them and their products loses little.
    """
    a, b = (x.astype(np.float64).reshape(len(x), -1, x.shape[-1]) for x in (first, second))
    squared_error = np.square(a - b).mean(1)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norms = np.sqrt(np.square(a).sum(1) * np.square(b).sum(1))
    correlation = (a * b).sum(1) / np.maximum(norms, 1e-12)
    limit = 1 - 1e-6
    return np.concatenate([np.log(squared_error + 1e-12), np.arctanh(np.clip(correlation, -limit, limit))], -1)


def pixel(first: np.ndarray, second: np.ndarray, data_range: float) -> dict[str, np.ndarray]:
    """Distances [B] of patches [B, P, P, C] cell by cell or window by window, all zero between equal patches."""
    difference = first.astype(np.float64) - second
    squared_error = np.square(difference).mean((1, 2, 3))
    found = {
        'MSE': squared_error,
        'L1': np.abs(difference).mean((1, 2, 3)),
        '1/PSNR': 1 / images.psnr(squared_error, data_range),
    }
    inner = slice(images.RADIUS, -images.RADIUS)  # centres of whole windows
    if first.shape[1] > 2 * images.RADIUS:
        similar = [
            np.mean([images.ssim(x[..., c], y[..., c], data_range)[inner, inner] for c in range(x.shape[-1])])
            for x, y in zip(first, second, strict=True)
        ]
        found['1 - SSIM'] = 1 - np.array(similar)
    return found


def span(prepared: Prepared, split: Split, chosen: Sequence[int]) -> float:
    """Largest minus smallest transformed value of first patches: the data range of PSNR and SSIM."""
    values = [prepared.transform_as(Standardisation).encode(split[int(i)]['first']) for i in chosen]
    return float(np.max([x.max() for x in values]) - np.min([x.min() for x in values]))


def centres(
    statics: xr.Dataset, row: np.ndarray, column: np.ndarray, patch: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Latitude and longitude (0 to 360) of the middle of patches; None on a grid without them."""
    if 'lat' not in statics.coords or 'lon' not in statics.coords:
        return None
    lat, lon = statics['lat'].values, statics['lon'].values
    if lat.ndim == 1:
        height, width = lat.size, lon.size
        middle = row + (patch - 1) / 2
        east = lon[(column + patch // 2) % width]
        return np.interp(middle, np.arange(height), lat), east % 360
    rows, columns = row + patch // 2, (column + patch // 2) % lat.shape[1]
    return lat[rows, columns], lon[rows, columns] % 360
