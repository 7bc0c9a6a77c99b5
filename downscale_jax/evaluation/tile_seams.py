"""Seams of the tiles that a generator works in, or, where one tile holds the domain, of tiles as small as its patches.

A few fields are generated twice with the same noise, in these tiles and in others that end elsewhere, or in one piece,
which are their control, see `seams`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import Inputs, open_inputs
from downscale_jax.evaluation import seams
from downscale_jax.evaluation.bootstrap import total
from downscale_jax.evaluation.evaluate import coarse_dataset
from downscale_jax.fields.grid import valid_area
from downscale_jax.pipeline.records import Prepared, Split

MEMBERS, TIMES = 2, 2  # of the default DPDM some 10 s on two cores, half of them to compile


def borders_of(generator: Generator, shape: tuple[int, int], periodic: bool) -> seams.Lines:
    """Where tiles end on a grid; those of a periodic one begin outside of it."""
    tiling, halo = generator.tiling(shape, periodic)
    return seams.borders(shape, tiling.origins - [0, halo], tiling.sizes)


def in_tiles(generator: Generator, strides: int) -> Generator:
    """The same in tiles of so many strides of the network a side, four at least, that overlap by a quarter."""
    stride, strides = generator.task.network.stride, max(4, strides)
    return generator.changed(tile=strides * stride, overlap=round(strides / 4) * stride)


def pair(made: Generator, shape: tuple[int, int], periodic: bool, patch: int) -> tuple[Generator, Generator]:
    """(generator with the tiles to be looked at, its control): `made` with smaller tiles beside, larger ones if its own
    are tiny, or, where one tile holds the domain, tiles of a patch with that one beside."""
    stride = made.task.network.stride
    own = max(made.tiling(shape, periodic)[0].sizes) // stride
    if np.concatenate(borders_of(made, shape, periodic)).size:
        return made, in_tiles(made, 2 * own // 3 if own >= 6 else own + 2)
    return in_tiles(made, -(-patch // stride)), made


def look(
    made: Generator,
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: Sequence[int],
    patch: int,
    seed: int,
) -> dict[str, Any]:
    """Of the chosen times of a split, generator `made` with the tiles of its ensemble: {'seam': [V] of tiles of 'sizes'
    (h, w) that share 'overlap' cells, 'against': sizes of the others, 'times', 'members'}; {} in a domain of a patch.
    """
    inputs = open_inputs(coarse_dataset(prepared, split, times, list(chosen)), made.transform, prepared.statics)
    shape, weight = prepared.mask.shape, valid_area(prepared.statics)
    both = [one.changed(members=MEMBERS) for one in pair(made, shape, inputs.periodic, patch)]
    tiles, others = (borders_of(one, shape, inputs.periodic) for one in both)
    if not np.concatenate(tiles).size:
        return {}
    truth = np.stack([split[index]['fine'] for index in chosen])
    fields = [generated(one, inputs, weight, seed) for one in both]
    found = scored((fields[0], fields[1]), weight[..., None] * np.isfinite(truth), (tiles, others))
    sizes, against = (one.tiling(shape, inputs.periodic)[0].sizes for one in both)
    told = {'sizes': sizes, 'overlap': both[0].sampling.overlap, 'against': against}
    return {'seam': found[0], **told, 'times': len(chosen), 'members': MEMBERS}


def scored(
    fields: tuple[np.ndarray, np.ndarray], weight: np.ndarray, lines: tuple[seams.Lines, seams.Lines]
) -> np.ndarray:
    """Seams [2, V] of two tilings, all times together: fields [T, M, H, W, V] of each, weight [T, H, W, V]."""
    by_variable = [
        [seams.day_sums((one, other), w, lines) for one, other, w in zip(*parts, strict=True)]
        for parts in zip(*(np.moveaxis(part, -1, 0) for part in (*fields, weight)), strict=True)
    ]
    return np.stack([seams.summarise(total(times)) for times in by_variable], -1)


def generated(generator: Generator, inputs: Inputs, area: np.ndarray, seed: int) -> np.ndarray:
    """Members of all times [T, M, H, W, V], a unit each; the tile is as asked for, whatever memory there is."""
    units = ensemble.all_units(generator, len(inputs), MEMBERS)
    return np.stack([fields for _, fields, _ in ensemble.generate(generator, inputs, area, MEMBERS, seed, units)])
