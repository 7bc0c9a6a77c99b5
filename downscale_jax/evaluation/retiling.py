"""Seams of the tiles that a generator works in, or, where one tile holds the domain, of tiles as small as its patches.

A few fields are generated twice with the same noise: in these tiles, and in others that end elsewhere, or in one piece,
as their control, see `seams`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import Inputs, open_inputs
from downscale_jax.evaluation.evaluate import coarse_dataset
from downscale_jax.evaluation.statistics import seams
from downscale_jax.evaluation.statistics.bootstrap import stacked, total
from downscale_jax.fields.geometry.grid import valid_area
from downscale_jax.pipeline.records import Prepared, Split

MEMBERS, TIMES = 2, 2  # of the default DPDM some 10 s on two cores, half of them to compile
LEAST, TINY = 4, 16  # strides of the network a side


def borders_of(generator: Generator, shape: tuple[int, int], periodic: bool) -> seams.Lines:
    """Where tiles end on a grid; those of a periodic one begin outside of it."""
    tiling, halo = generator.tiling(shape, periodic)
    return seams.borders(shape, tiling.origins - [0, halo], tiling.sizes)


def in_tiles(generator: Generator, strides: int) -> Generator:
    """The same in tiles of so many strides of the network a side, LEAST or more, that overlap by a quarter."""
    stride, strides = generator.task.network.stride, max(LEAST, strides)
    return generator.changed(tile=strides * stride, overlap=round(strides / 4) * stride)


def pair(made: Generator, shape: tuple[int, int], periodic: bool, patch: int) -> tuple[Generator, Generator]:
    """(generator with the tiles to be looked at, its control): `made`, with those tiles beside that share the fewest
    borders, no larger unless its own are tiny; or, where one tile holds the domain, tiles of a patch beside that one.
    """
    stride, lines = made.task.network.stride, borders_of(made, shape, periodic)
    if not np.concatenate(lines).size:
        return in_tiles(made, -(-patch // stride)), made
    most = max(TINY, max(made.tiling(shape, periodic)[0].sizes) // stride)
    others = [in_tiles(made, strides) for strides in range(most, LEAST - 1, -1)]
    return made, max(others, key=lambda other: seams.own_share(lines, borders_of(other, shape, periodic)))


def look(
    made: Generator,
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: Sequence[int],
    patch: int,
    seed: int,
) -> dict[str, Any]:
    """Of the chosen times of a split, generator `made` with the tiles of its ensemble: {'seam', 'step': [V] of tiles of
    'sizes' (h, w) that share 'overlap' cells, 'against': sizes of the others, 'times', 'members'}; {} in a domain of a
    patch."""
    inputs = open_inputs(coarse_dataset(prepared, split, times, list(chosen)), made.transform, prepared.statics)
    shape, weight = prepared.mask.shape, valid_area(prepared.statics)
    # what memory holds of the ensemble's own units holds of these
    both = [one.changed(members=min(MEMBERS, made.members)) for one in pair(made, shape, inputs.periodic, patch)]
    lines, control = (borders_of(one, shape, inputs.periodic) for one in both)
    if not np.concatenate(lines).size:
        return {}
    truth = np.stack([split[index]['fine'] for index in chosen])
    fields, others = (generated(one, inputs, weight, seed) for one in both)
    found = scored(fields, others, weight[..., None] * np.isfinite(truth), lines, control)
    sizes, against = (one.tiling(shape, inputs.periodic)[0].sizes for one in both)
    told = {'sizes': sizes, 'overlap': both[0].sampling.overlap, 'against': against}
    return {**found, **told, 'times': len(chosen), 'members': MEMBERS}


def scored(
    fields: np.ndarray, others: np.ndarray, weight: np.ndarray, lines: seams.Lines, control: seams.Lines
) -> dict[str, np.ndarray]:
    """{'seam', 'step': [V]} of fields [T, M, H, W, V] in tiles with these borders against the control's, all times
    together; weight [T, H, W, V]."""
    by_variable = []
    for v in range(fields.shape[-1]):
        times = zip(fields[..., v], others[..., v], weight[..., v], strict=True)
        by_variable.append(seams.summarise(total([seams.day_sums(*time, lines, control) for time in times])))
    return stacked(by_variable)


def generated(generator: Generator, inputs: Inputs, area: np.ndarray, seed: int) -> np.ndarray:
    """Members of all times [T, M, H, W, V]; the tile is as asked for, whatever memory there is."""
    units = ensemble.all_units(generator, len(inputs), MEMBERS)
    found: list[list[np.ndarray]] = [[] for _ in inputs.times]
    for (time, _), fields, _ in ensemble.generate(generator, inputs, area, MEMBERS, seed, units):
        found[time].append(fields)
    return np.stack([np.concatenate(parts) for parts in found])
