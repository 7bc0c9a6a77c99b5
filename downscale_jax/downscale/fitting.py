"""Tile and members of a work unit, made so small that it fits into memory."""

import math
from collections.abc import Callable

import jax

from downscale_jax.downscale.generate import Generator
from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError

SHARE = 0.8  # of the memory that is free: results wait to be written, inputs to be used
Domain = tuple[tuple[int, int], int, bool]  # of `Generator.program`: shape, channels of inputs, whether it is periodic


def needs(program: jax.stages.Compiled) -> int:
    """Bytes on a device beside the arguments; 0 where the compiler does not tell."""
    found = program.memory_analysis()
    return 0 if found is None else found.temp_size_in_bytes + found.output_size_in_bytes


def memory_needed(generator: Generator, domain: Domain, units: int) -> int:
    """Bytes that a work unit, of so many to do in this process, needs on a device beside its inputs and the network's
    parameters."""
    return needs(generator.program(*domain, generator.by_tiles(*domain[::2], units)))


def free_memory() -> float:
    """Bytes that are free on every device of every process; all processes have to ask together."""
    return parallel.least(memory.free() / parallel.on_this_host())


def fitted(generator: Generator, domain: Domain, units: Callable[[Generator], int], most: float) -> Generator:
    """The generator itself where a unit takes at most so many bytes, else, said in a line, with fewer `members`, then
    with a smaller `tile`. `units(generator)`: how many of its units this process has to do.

    A large tile is kept for long, since small ones compute their overlaps twice and see less around them. Raises
    UserError where one member in the smallest tile is too much.
    """
    stride, asked = generator.task.network.stride, generator.sampling
    least = -(-(2 * asked.overlap + 2 * stride) // stride) * stride
    while (needed := memory_needed(generator, domain, units(generator))) > most:
        shape, members = domain[0], generator.members
        tile = max(generator.tiling(shape, domain[2])[0].sizes)
        if members > 1:
            generator = generator.changed(members=max(1, min(members - 1, math.floor(members * most / needed))))
        elif tile > least:
            smaller = math.floor(tile * math.sqrt(most / needed) / stride) * stride
            generator = generator.changed(tile=max(least, min(tile - stride, smaller)))
        else:
            raise UserError(
                f'one member on {shape[0]} x {shape[1]} cells in tiles of {tile} needs {format_gib(needed)}, but '
                f'{format_gib(most)} are free: a smaller sampling.overlap allows smaller tiles'
            )
    for name in ('members', 'tile'):
        before, after = getattr(asked, name), getattr(generator.sampling, name)
        if before != after:
            messages.warning(
                f'sampling.{name}={before} does not fit into the {format_gib(most)} of free memory: using {after}'
            )
    return generator


def format_gib(size: float) -> str:
    return f'{size / 2**30:.3g} GiB' if size < 2**40 else f'{size / 2**40:.3g} TiB'
