"""One work unit of the diffusion in tiles: time and memory against the size of the domain and the number of members.

    python -m experiments.benchmarks.scaling [--config=configs/diffusion_dpdm.py] [--rounds 2]

An untrained network of the config refines noise with its tiles and its number of evaluations, each line in a process of
its own. A field is all variables of one member; a domain is the size of such a field in float32. Seconds, on the clock
and summed over all cores (hardly affected by other work on the machine), are those of the fastest of --rounds. Network:
seconds of the same number of plain evaluations of the compiled network on such tiles (four of them stand for all),
measured in turn with the unit, divided by those of the unit. Program: memory of the compiled program, temporary and
output; plain: that of one evaluation of the network on a tile. Peak: memory of the whole process, with libraries and
compiler. What a member takes besides the network, in domains, is the increase of (program - plain) per further member
of a unit, and the one domain of the previous unit, whose fields wait to be written. The time against the area is fitted
twice, since a domain of one tile computes no cell twice. About 8 minutes on 2 CPU cores.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.benchmarks.processes import MIB, in_new_process, peak_mib
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

SIZES, MANY, AT = (256, 512, 1024, 2048), (4, 8), 512
TILES = 4  # on which the plain network is timed
GOAL_EXPONENT, GOAL_DOMAINS, GOAL_NETWORK = 1.05, 8, 0.90
WAITING = 1  # domain per member: while a unit is computed, the fields of the previous one are written


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/diffusion_dpdm.py')
    parser.add_argument('--rounds', type=at_least(1), default=2)
    options = parser.parse_args()
    config = read_config(options.config)

    def measured(size: int, members: int, rounds: int = options.rounds) -> dict[str, Any]:
        return in_new_process(measure, config, size, members, rounds)

    print('| cells a side | members | tiles | seconds a field | of all cores | network | of all cores | program, MiB '
          '| plain, MiB | peak, MiB |\n' + '|---' * 10 + '|')  # fmt: skip
    found = {}
    for size, members in [*((size, 1) for size in SIZES), *((AT, members) for members in MANY)]:
        one = found[size, members] = measured(size, members)
        (clock, cores), (network, of_cores) = one['unit'], one['network']
        print(f'| {size} | {members} | {one["tiles"]} | {clock / members:.3g} | {cores / members:.3g} '
              f'| {network / clock:.3f} | {of_cores / cores:.3f} | {one["program_mib"]:.0f} | {one["plain_mib"]:.0f} '
              f'| {one["peak_mib"]:.0f} |',
              flush=True)  # fmt: skip
    found |= {(size, MANY[-1]): measured(size, MANY[-1], rounds=0) for size in SIZES if size != AT}
    for line in summary(found, len(config['data']['variables'])):
        print(line)


def summary(found: dict[tuple[int, int], dict[str, Any]], variables: int) -> list[str]:
    """What follows from {(cells a side, members): measured}, in lines."""
    timed = {key: one for key, one in found.items() if 'unit' in one}
    alone = {size**2: one['unit'] for (size, members), one in timed.items() if members == 1}
    tiled = {size**2: alone[size**2] for (size, _), one in timed.items() if one['tiles'] > 1}
    many = {members: one['unit'] for (size, members), one in timed.items() if size == AT}
    most = max(members for _, members in found)
    grown = {
        size: WAITING + (beside(one) - beside(found[size, 1])) / (most - 1) / (4 * variables * size**2 / MIB)
        for (size, members), one in found.items()
        if members == most
    }
    lines = [
        f'time, {kind}: grows as area^{exponent(alone, i):.3f}, in several tiles as area^{exponent(tiled, i):.3f}, '
        f'as members^{exponent(many, i):.3f}, goal {GOAL_EXPONENT}; share of the network '
        f'{min(one["network"][i] / one["unit"][i] for one in timed.values()):.3f} at least, goal {GOAL_NETWORK}'
        for i, kind in enumerate(('on the clock', 'of all cores'))
    ]
    by_size = ', '.join(f'{domains:.1f} domains at {size}' for size, domains in sorted(grown.items()))
    return ['', *lines, f'memory of a member besides the network: {by_size}; goal {GOAL_DOMAINS}']


def beside(one: dict[str, Any]) -> float:
    """MiB of a unit that are not those of the network."""
    return one['program_mib'] - one['plain_mib']


def exponent(times: dict[int, list[float]], kind: int) -> float:
    """Slope of ln(time) against ln(amount), {amount: times of two kinds}."""
    seconds = [one[kind] for one in times.values()]
    return float(np.polyfit(np.log(list(times)), np.log(seconds), 1)[0])


def measure(config: dict, size: int, members: int, rounds: int) -> dict[str, Any]:
    """One unit in this process; without rounds only what its program needs."""
    import jax

    from downscale_jax.downscale.fitting import program_memory

    generator = untrained(config)
    program, arguments = compiled(generator, size, members)
    tiling = generator.tiling(domain_of(generator, (size, size)))
    first, denoise, inputs = plain_network(generator, tiling.sizes, members)
    found = {'program_mib': program_memory(program) / MIB, 'plain_mib': program_memory(denoise) / MIB}
    if not rounds:
        return found

    def plain() -> Any:
        # one at a time, as in the unit
        results = [jax.block_until_ready(first(*inputs[0]))]
        for _ in range(generator.sampling.steps):
            results.append(denoise(*inputs[1]).block_until_ready())
        return results[-1]

    plain()  # the first call is slow
    tiles = len(tiling.origins)
    some = min(tiles, TILES)
    unit, network = in_turns([lambda: program(*arguments), lambda: [plain() for _ in range(some)]], rounds)
    return {
        **found,
        'tiles': tiles,
        'unit': unit,
        'network': [seconds * tiles / some for seconds in network],
        'peak_mib': peak_mib(),
    }


def in_turns(tasks: list[Callable[[], Any]], rounds: int) -> list[list[float]]:
    """Seconds on the clock and of all cores, the smallest of the rounds, of each task."""
    import jax

    clocks = time.perf_counter, time.process_time
    seconds = np.zeros((rounds, len(tasks), len(clocks)))
    for of_round in seconds:
        for of_task, task in zip(of_round, tasks, strict=True):
            start = [clock() for clock in clocks]
            jax.block_until_ready(task())
            of_task[:] = [clock() - begun for clock, begun in zip(clocks, start, strict=True)]
    return seconds.min(0).tolist()


def untrained(config: dict) -> Any:
    """A generator with small random parameters, for values that need no standardisation."""
    from downscale_jax.downscale.field_generator import FieldGenerator
    from downscale_jax.fields.context.planes import plane_count
    from downscale_jax.fields.transforms.block_means import BlockMeans
    from downscale_jax.fields.transforms.standardisation import Standardisation
    from downscale_jax.systems import dpdm
    from downscale_jax.systems.downscaler import sampling_of
    from downscale_jax.systems.workdir import zeros as examples
    from downscale_jax.tasks.first_guess import FirstGuess, Params

    data, rng = config['data'], np.random.default_rng(0)
    names, count, planes = tuple(data['variables']), len(data['variables']), plane_count(data['context'])
    zeros, ones = (0.0,) * count, (1.0,) * count
    transform = Standardisation(names, ('1',) * count, zeros, ones, zeros, ones, 0.0)
    blocks = BlockMeans(
        transform, data['factor'], data['mean'], data['anomaly'], tuple(data['bounds']), ones,
        tuple(data['interpolation']), tuple(data['context']), (0.0,) * planes, (1.0,) * planes,
    )  # fmt: skip
    tasks, batch = dpdm.build({**config, 'rivals': ()}), examples(dpdm.shapes(config), 1)
    task = tasks[dpdm.DPDM]
    guess = None
    if config['diffusion']['first_guess']:
        guess = FirstGuess(drawn(tasks[dpdm.REGRESSION], batch, rng), np.float32(1))
    return FieldGenerator(task, Params(drawn(task, batch, rng), guess), blocks, sampling_of(config))


def drawn(task: Any, batch: Any, rng: np.random.Generator) -> Any:
    """Small random parameters of the networks of a task."""
    import jax

    shapes = jax.eval_shape(task.init, jax.random.key(0), batch).params
    return jax.tree.map(lambda s: (0.02 * rng.normal(size=s.shape)).astype(np.float32), shapes)


def compiled(generator: Any, size: int, members: int) -> tuple[Any, tuple]:
    """(program, its arguments) for one unit on a square without missing cells."""
    domain = domain_of(generator, (size, size))
    lifted = np.random.default_rng(0).standard_normal((*domain.shape, domain.channels), np.float32)
    program = generator.with_partition(members=members).program(domain)
    return program, unit_arguments(generator, lifted, members)


def domain_of(generator: Any, shape: tuple[int, int]) -> Any:
    """A domain of block means that is not periodic."""
    from downscale_jax.downscale.tiles import Domain

    return Domain(shape, generator.transform.lifted.channels)


def unit_arguments(generator: Any, coarse: np.ndarray, members: int) -> tuple[Any, Any, Any]:
    """Arguments of the program of one work unit, on the device: coarse inputs [H, W, Cin], no missing cells."""
    import jax

    from downscale_jax.downscale.field_generator import SharedInputs, UnitInputs
    from downscale_jax.downscale.noise import time_kernel
    from downscale_jax.runtime import parallel

    shared = SharedInputs(np.ones((*coarse.shape[:2], 1), np.float32), np.uint32(0), np.float32(1))
    unit = UnitInputs(coarse, time_kernel(0, 0.0), np.arange(members, dtype=np.uint32))
    rows = jax.tree.map(lambda x: x[None], unit)
    return generator.params, parallel.replicate(shared, local=True), parallel.split_rows(rows, local=True)


def plain_network(generator: Any, tile: tuple[int, int], members: int) -> tuple[Any, Any, tuple]:
    """(first guess, denoiser, arguments of both) on one tile, compiled."""
    import jax
    import jax.numpy as jnp

    from downscale_jax.fields.transforms.block_means import condition_layout
    from downscale_jax.runtime import compiler

    task, transform, rng = generator.task, generator.transform, np.random.default_rng(0)
    count = len(transform.targets)
    inputs = condition_layout(count, transform.context).channels
    condition = jnp.asarray(rng.standard_normal((1, *tile, inputs), np.float32))
    z = jnp.asarray(rng.standard_normal((members, *tile, count), np.float32))
    params, gamma = generator.params, jnp.full(members, 0.5)
    guess = params.guess, condition
    first = jax.jit(task.condition, compiler_options=compiler.options()).lower(*guess).compile()
    noisy = params, z, gamma, jnp.repeat(first(*guess)[0], members, 0)
    denoise = jax.jit(task.denoise, compiler_options=compiler.options()).lower(*noisy).compile()
    return first, denoise, (guess, noisy)


if __name__ == '__main__':
    run_program(main)
