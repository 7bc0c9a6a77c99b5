"""Seams of the tiles that a generator works in, and of tiles as small as its patches of training.

Where one tile holds the domain there is no border to look at. So a few fields are generated once more in tiles of the
size that the network was trained on, in two parts of the domain: one lacks half a tile at the end, the other at the
beginning. Tiles of the one lie half a tile beside those of the other: what is a border here is the inside of a tile
there, so that in the sums over both the terrain at borders drops out.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import open_inputs
from downscale_jax.evaluation import seams
from downscale_jax.evaluation.bootstrap import Sums, total
from downscale_jax.evaluation.evaluate import coarse_dataset
from downscale_jax.fields.grid import is_periodic, valid_area
from downscale_jax.pipeline.records import Prepared, Split

MEMBERS, TIMES = 2, 2  # of the default DPDM some 10 s on two cores, half of them to compile
Part = tuple[slice, slice]


def lines_of(generator: Generator, statics: xr.Dataset) -> seams.Lines:
    """Where tiles end on the grid; those of a periodic one begin outside of it."""
    rows, columns = statics['mask'].shape
    tiling, halo = generator.tiling((rows, columns), is_periodic(statics))
    return seams.lines((rows, columns), tiling.origins - [0, halo], tiling.sizes)


def in_patches(generator: Generator, patch: int) -> Generator:
    """The same in tiles of a patch, four strides of the network at least, that overlap by a quarter, both rounded to
    the stride; MEMBERS at a time."""
    stride = generator.task.network.stride
    strides = max(4, -(-patch // stride))
    sampling = dataclasses.replace(
        generator.sampling, tile=strides * stride, overlap=round(strides / 4) * stride, members=MEMBERS
    )
    return Generator(generator.task, generator.host_params, generator.transform, sampling)


def parts(shape: tuple[int, int], tile: int, factor: int) -> list[Part]:
    """Two parts of a domain, alike in shape, whole blocks of `factor` cells: one ends half a tile early, the other
    begins half a tile late. Along a side too short for that both span it; one part where both sides are."""
    half = round(tile / 2 / factor) * factor
    shift = [half if n - half > tile else 0 for n in shape]
    both: list[Part] = [
        (slice(0, shape[0] - shift[0]), slice(0, shape[1] - shift[1])),
        (slice(shift[0], shape[0]), slice(shift[1], shape[1])),
    ]
    return both if any(shift) else both[:1]


def look(
    generator: Generator,
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: Sequence[int],
    patch: int,
    seed: int,
) -> dict[str, Any]:
    """Of the chosen times of a split: {'tile', 'overlap', 'times', 'members', 'seam', 'truth': [V], over both parts,
    'parts': for each {'begins': (row, column), 'seam', 'truth': [V]}}; {} where the domain is no larger than a tile."""
    tiled, transform, dims = in_patches(generator, patch), prepared.block_means, prepared.statics['mask'].dims
    sampling = tiled.sampling
    if max(prepared.mask.shape) <= sampling.tile:
        return {}
    coarse = coarse_dataset(prepared, split, times, list(chosen))
    truth = np.stack([split[index]['fine'] for index in chosen])
    inside = parts(prepared.mask.shape, sampling.tile, transform.factor)
    found, own = [], []
    for part in inside:
        blocks = [slice(side.start // transform.factor, side.stop // transform.factor) for side in part]
        statics = prepared.statics.isel(dict(zip(dims, part, strict=True)))
        fields = generated(tiled, coarse.isel(dict(zip(dims, blocks, strict=True))), statics, seed)
        lines, weight = lines_of(tiled, statics), valid_area(statics)
        here = truth[:, None, *part]
        found.append(sums_of(np.where(np.isfinite(here), fields, np.nan), weight, lines))
        own.append(sums_of(here, weight, lines))
    return {
        'tile': sampling.tile,
        'overlap': sampling.overlap,
        'times': len(chosen),
        'members': MEMBERS,
        **scores(total(found), total(own)),
        'parts': [
            {'begins': [side.start for side in part], **scores(*sums)}
            for part, *sums in zip(inside, found, own, strict=True)
        ],
    }


def scores(found: Sums, truth: Sums) -> dict[str, np.ndarray]:
    return {name: seams.summarise(sums)['seam'] for name, sums in (('seam', found), ('truth', truth))}


def generated(generator: Generator, coarse: xr.Dataset, statics: xr.Dataset, seed: int) -> np.ndarray:
    """Members of all times [T, M, H, W, V], a unit each; the tile is as asked for, whatever memory there is."""
    inputs = open_inputs(coarse, generator.transform, statics)
    units = ensemble.all_units(generator, len(inputs), MEMBERS)
    return np.stack(
        [fields for _, fields, _ in ensemble.generate(generator, inputs, valid_area(statics), MEMBERS, seed, units)]
    )


def sums_of(fields: np.ndarray, weight: np.ndarray, lines: seams.Lines) -> Sums:
    """Sums of `seams` over times, [V, ..], of fields [T, M, H, W, V]."""
    by_variable = [
        total([seams.day_sums(one, weight, lines) for one in values]) for values in np.moveaxis(fields, -1, 0)
    ]
    return {name: np.stack([one[name] for one in by_variable]) for name in by_variable[0]}
