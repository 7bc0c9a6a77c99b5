"""Members generated twice from the same noise: in the tiles of a store, and in tiles that end elsewhere."""

from collections.abc import Sequence

import numpy as np

from downscale_jax.downscale.ensemble import Ensemble, generate
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.tiles import Domain
from downscale_jax.evaluation.measures import seams
from downscale_jax.evaluation.protocol import Retiled
from downscale_jax.fields.datasets.times import evenly
from downscale_jax.fields.geometry.grid import valid_area
from downscale_jax.pipeline.records import Prepared, Split

MEMBERS, TIMES = 2, 2
LEAST, TINY = 4, 16  # strides of the network a side


def retile(
    generator: FieldGenerator,
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
    domain, weight = inputs.domain, valid_area(prepared.statics)
    # memory that holds the units of the ensemble holds these, too; the program of its own tiles is compiled already
    members = min(MEMBERS, generator.partition.members)
    pair = [
        one if one is generator else one.with_partition(members=members) for one in tilings(generator, domain, patch)
    ]
    lines, control = (borders_of(one, domain) for one in pair)
    if not np.concatenate(lines).size:
        return None
    truth = np.stack([split[index]['fine'].reshape(*domain.shape, -1) for index in few])
    fields, others = (generated(Ensemble(one, inputs, prepared.statics, MEMBERS, seed)) for one in pair)
    sizes, against = (one.tiling(domain).sizes for one in pair)
    counted = weight[..., None] * np.isfinite(truth)
    return Retiled(fields, others, counted, lines, control, sizes, against, pair[0].partition.overlap)


def tilings(generator: FieldGenerator, domain: Domain, patch: int) -> tuple[FieldGenerator, FieldGenerator]:
    """(generator with the tiles to be scored, its control): the generator as it is beside tiles that share the fewest
    borders with its own, no larger unless its own are tiny; or, where one tile holds the domain, tiles of a patch
    beside that one."""
    stride, lines = generator.task.network.stride, borders_of(generator, domain)
    if not np.concatenate(lines).size:
        return in_tiles(generator, -(-patch // stride)), generator
    most = max(TINY, max(generator.tiling(domain).sizes) // stride)
    others = [in_tiles(generator, strides) for strides in range(most, LEAST - 1, -1)]
    return generator, max(others, key=lambda other: seams.own_share(lines, borders_of(other, domain)))


def borders_of(generator: FieldGenerator, domain: Domain) -> seams.Lines:
    """Borders of the tiles of a domain; those of a periodic domain start outside of it."""
    tiling = generator.tiling(domain)
    return seams.borders(domain.shape, tiling.origins - [0, tiling.halo], tiling.sizes)


def in_tiles(generator: FieldGenerator, strides: int) -> FieldGenerator:
    """In tiles of that many strides of the network a side, at least LEAST, that overlap by a quarter."""
    stride, strides = generator.task.network.stride, max(LEAST, strides)
    return generator.with_partition(tile=strides * stride, overlap=round(strides / 4) * stride)


def generated(ensemble: Ensemble) -> np.ndarray:
    """Members of all times [T, M, H, W, V]; the tile is as given, whatever memory is free."""
    members: list[list[np.ndarray]] = [[] for _ in ensemble.inputs.times]
    for part in generate(ensemble, ensemble.units(), len(ensemble.units())):
        members[part.unit.time].append(part.fields)
    return np.stack([np.concatenate(parts) for parts in members])
