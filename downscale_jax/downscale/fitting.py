"""Tile and members of a work unit, made so small that it fits into memory."""

import math

from downscale_jax.downscale.generate import Generator
from downscale_jax.runtime import memory
from downscale_jax.runtime.errors import UserError

SHARE = 0.8  # of the memory that is free: results wait to be written, inputs to be used


def takes(generator: Generator, shape: tuple[int, int], inputs: int, periodic: bool) -> int:
    """Bytes that the compiled program of a work unit needs on a device; 0 where its compiler does not tell."""
    found = generator.program(shape, inputs, periodic).memory_analysis()
    if found is None:
        return 0
    return found.temp_size_in_bytes + found.output_size_in_bytes + found.argument_size_in_bytes


def fitted(generator: Generator, shape: tuple[int, int], inputs: int, periodic: bool) -> Generator:
    """The generator itself where a unit fits, else with fewer `members`, then with a smaller `tile`.

    A large tile is kept for long, since small ones compute their overlaps twice and see less around them. Raises
    UserError where one member in the smallest tile is too much.
    """
    most = SHARE * memory.free()
    while (needed := takes(generator, shape, inputs, periodic)) > most:
        members, stride = generator.members, generator.task.network.stride
        tile = max(generator.tiling(shape, periodic)[0].sizes)
        least = -(-(2 * generator.sampling.overlap + 2 * stride) // stride) * stride
        if members > 1:
            generator = generator.changed(members=max(1, min(members - 1, math.floor(members * most / needed))))
        elif tile > least:
            smaller = math.floor(tile * math.sqrt(most / needed) / stride) * stride
            generator = generator.changed(tile=max(least, min(tile - stride, smaller)))
        else:
            raise UserError(
                f'one member on {shape[0]} x {shape[1]} cells in tiles of {tile} takes {needed / 2**30:.2g} GiB, '
                f'{most / 2**30:.2g} are there: a smaller sampling.overlap allows smaller tiles'
            )
    return generator
