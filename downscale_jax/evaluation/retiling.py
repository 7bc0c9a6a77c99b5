"""Members generated twice from the same noise: in the tiles of a store, and in tiles that end elsewhere."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator
from downscale_jax.downscale.inputs import Inputs, open_inputs
from downscale_jax.evaluation.measures import seams
from downscale_jax.evaluation.protocol import Retiled
from downscale_jax.evaluation.stores import coarse_dataset
from downscale_jax.fields.grid import valid_area
from downscale_jax.fields.times import evenly
from downscale_jax.pipeline.records import Prepared, Split

MEMBERS, TIMES = 2, 2  # of the default DPDM some 10 s on two cores, half of them to compile
LEAST, TINY = 4, 16  # strides of the network a side


def retile(
    generator: Generator,
    prepared: Prepared,
    split: Split,
    times: np.ndarray,
    chosen: Sequence[int],
    patch: int,
    seed: int,
) -> Retiled | None:
    """Of a few of the chosen times, a generator with the tiles of its ensemble; None in a domain of one patch."""
    few = [chosen[i] for i in evenly(len(chosen), TIMES)]
    inputs = open_inputs(coarse_dataset(prepared, split, times, few), generator.transform, prepared.statics)
    shape, weight = prepared.mask.shape, valid_area(prepared.statics)
    # memory that holds the units of the ensemble holds these, too
    pair = [
        one.changed(members=min(MEMBERS, generator.members))
        for one in tilings(generator, shape, inputs.periodic, patch)
    ]
    lines, control = (borders_of(one, shape, inputs.periodic) for one in pair)
    if not np.concatenate(lines).size:
        return None
    truth = np.stack([split[index]['fine'].reshape(*shape, -1) for index in few])
    fields, others = (generated(one, inputs, weight, seed) for one in pair)
    sizes, against = (one.tiling(shape, inputs.periodic)[0].sizes for one in pair)
    counted = weight[..., None] * np.isfinite(truth)
    return Retiled(fields, others, counted, lines, control, sizes, against, pair[0].sampling.overlap)


def tilings(generator: Generator, shape: tuple[int, int], periodic: bool, patch: int) -> tuple[Generator, Generator]:
    """(generator with the tiles to be scored, its control): the generator as it is beside tiles that share the fewest
    borders with its own, no larger unless its own are tiny; or, where one tile holds the domain, tiles of a patch
    beside that one."""
    stride, lines = generator.task.network.stride, borders_of(generator, shape, periodic)
    if not np.concatenate(lines).size:
        return in_tiles(generator, -(-patch // stride)), generator
    most = max(TINY, max(generator.tiling(shape, periodic)[0].sizes) // stride)
    others = [in_tiles(generator, strides) for strides in range(most, LEAST - 1, -1)]
    return generator, max(others, key=lambda other: seams.own_share(lines, borders_of(other, shape, periodic)))


def borders_of(generator: Generator, shape: tuple[int, int], periodic: bool) -> seams.Lines:
    """Borders of the tiles on a grid; those of a periodic grid start outside of it."""
    tiling, halo = generator.tiling(shape, periodic)
    return seams.borders(shape, tiling.origins - [0, halo], tiling.sizes)


def in_tiles(generator: Generator, strides: int) -> Generator:
    """In tiles of that many strides of the network a side, at least LEAST, that overlap by a quarter."""
    stride, strides = generator.task.network.stride, max(LEAST, strides)
    return generator.changed(tile=strides * stride, overlap=round(strides / 4) * stride)


def generated(generator: Generator, inputs: Inputs, area: np.ndarray, seed: int) -> np.ndarray:
    """Members of all times [T, M, H, W, V]; the tile is as given, whatever memory is free."""
    units = ensemble.all_units(generator, len(inputs), MEMBERS)
    found: list[list[np.ndarray]] = [[] for _ in inputs.times]
    for (time, _), fields, _ in ensemble.generate(generator, inputs, area, MEMBERS, seed, units):
        found[time].append(fields)
    return np.stack([np.concatenate(parts) for parts in found])
