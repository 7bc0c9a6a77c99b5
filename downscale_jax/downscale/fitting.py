"""Memory of a work unit: how much it needs, and units that are small enough to fit."""

import math

import jax

from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.tiles import Domain
from downscale_jax.runtime import memory, messages, parallel
from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.memory import format_bytes

USABLE_SHARE = 0.8  # of the free memory; the rest holds results that wait to be written and inputs of the next units


def program_memory(program: jax.stages.Compiled) -> int:
    """Bytes on a device besides the arguments; 0 where the compiler does not say."""
    analysis = program.memory_analysis()
    return 0 if analysis is None else analysis.temp_size_in_bytes + analysis.output_size_in_bytes


def memory_needed(generator: FieldGenerator, domain: Domain, units: int) -> int:
    """Bytes on a device for a work unit, of `units` in this process, besides its inputs and the parameters."""
    return program_memory(generator.program(domain, generator.split(domain, units)))


def free_memory() -> float:
    """Bytes that are free on every device of every process; to be called by all processes together."""
    return parallel.min_over_processes(memory.available() / parallel.processes_on_this_host())


def fit_to_memory(ensemble: Ensemble, available: float, processes: int = 1) -> Ensemble:
    """The ensemble in work units of at most `available` bytes, for so many processes that share its units.

    Units get fewer members first and smaller tiles only then, since small tiles compute more overlaps and see less
    context; a warning says so. Raises UserError where one member in the smallest tiles does not fit.
    """
    domain, requested = ensemble.inputs.domain, ensemble.generator.partition
    stride = ensemble.generator.task.network.stride
    smallest = -(-(2 * requested.overlap + 2 * stride) // stride) * stride

    def needed() -> int:
        return memory_needed(ensemble.generator, domain, -(-len(ensemble.units()) // processes))

    while (size := needed()) > available:
        members, tile = ensemble.generator.partition.members, max(ensemble.generator.tiling(domain).sizes)
        if members > 1:
            ensemble = ensemble.with_partition(members=max(1, min(members - 1, math.floor(members * available / size))))
        elif tile > smallest:
            smaller = math.floor(tile * math.sqrt(available / size) / stride) * stride
            ensemble = ensemble.with_partition(tile=max(smallest, min(tile - stride, smaller)))
        else:
            raise UserError(
                f'one member on {domain.shape[0]} x {domain.shape[1]} cells in tiles of {tile} needs '
                f'{format_bytes(size)} of memory, but {format_bytes(available)} are free: free memory, or allow '
                'smaller tiles by a smaller sampling.overlap'
            )
    for name in ('members', 'tile'):
        before, after = getattr(requested, name), getattr(ensemble.generator.partition, name)
        if before != after:
            messages.warning(
                f'sampling.{name}={before} does not fit into {format_bytes(available)} of free memory: using {after}'
            )
    return ensemble
