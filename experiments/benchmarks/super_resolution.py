"""Full fields through SRGAN's generator: memory and speed against the size of the field, and the seams of its tiles.

    python -m experiments.benchmarks.super_resolution [--config=configs/srgan.py]      about a minute on 2 CPU cores

An untrained generator refines coarse noise with the tiles of the config, by `downscale.field_generator`, each size in a
process of its own. A field is all variables of one time; a domain is the size of such a field in float32. Program: the
exact memory of the compiled program without its arguments. Peak: memory of the whole process, with libraries and
compiler. Both grow, from line to line, by a few domains; in the first the tiles are smaller too. Lift: seconds on the
host to bring block means to the fine grid, before the network.

Then the largest field is made in one piece too. The two differ, in standard deviations of the field, in the overlaps
of tiles, where the network sees the edges of tiles from afar; elsewhere by rounding (1e-4 at most, or the script exits
with an error). Trained networks look farther than untrained ones: their seams may be larger.
"""

import sys
import time
from typing import Any

from experiments.benchmarks.processes import MIB, in_new_process, peak_mib
from experiments.benchmarks.scaling import domain_of, unit_arguments
from experiments.command_line import Parser, run_program
from experiments.configs import read_config

SIZES = (320, 640), (640, 1280), (1280, 2560)  # fine cells
ROUNDING = 1e-4


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/srgan.py')
    config = read_config(parser.parse_args().config)
    factor, count = config['data']['factor'], len(config['data']['variables'])
    print('| fine | coarse | tiles | domain, MiB | program, MiB | it grows by, domains | peak, MiB '
          '| it grows by, domains | fields a second | lift, s |\n' + '|---' * 10 + '|')  # fmt: skip
    before: dict[str, float] = {}
    for shape in SIZES:
        found = {**in_new_process(measure, config, shape), 'domain': 4 * count * shape[0] * shape[1] / MIB}
        grown = [f'{(found[key] - before[key]) / (found["domain"] - before["domain"]):.1f}' if before else ''
                 for key in ('program_mib', 'peak_mib')]  # fmt: skip
        print(f'| {shape[0]} x {shape[1]} | {shape[0] // factor} x {shape[1] // factor} | {found["tiles"]} '
              f'| {found["domain"]:.1f} | {found["program_mib"]:.0f} | {grown[0]} | {found["peak_mib"]:.0f} '
              f'| {grown[1]} | {found["fields_a_second"]:.3g} | {found["lift_seconds"]:.2g} |', flush=True)  # fmt: skip
        before = found
    seams = in_new_process(compare, config, SIZES[-1])
    print(f'{SIZES[-1][0]} x {SIZES[-1][1]} in tiles against one piece, in standard deviations: in overlaps '
          f'{seams["overlaps"]:.2g} at most, {seams["typical"]:.2g} in the mean square, {seams["elsewhere"]:.2g} at '
          f'most elsewhere; one piece: program {seams["program_mib"]:.0f} MiB, peak {seams["peak_mib"]:.0f} MiB'
          )  # fmt: skip
    if seams['elsewhere'] > ROUNDING:
        sys.exit(f'tiles and one piece differ by {seams["elsewhere"]:.2g} where they should not: {ROUNDING} at most')


def measure(config: dict, shape: tuple[int, int], rounds: int = 3) -> dict[str, float]:
    """Memory and speed of one size, in this process; the fastest of the rounds of the network."""
    import numpy as np

    from downscale_jax.downscale.fitting import program_memory

    generator, coarse = untrained(config), coarse_field(config, shape)
    program, arguments = compiled(generator, shape)
    start = time.perf_counter()
    lifted = generator.transform.lift(coarse, np.zeros((*shape, 0), np.float32), periodic=False)
    lifting, refining = time.perf_counter() - start, []
    for _ in range(rounds):
        start = time.perf_counter()
        refine(program, arguments, lifted)
        refining.append(time.perf_counter() - start)
    return {
        'tiles': len(generator.tiling(domain_of(generator, shape)).origins),
        'program_mib': program_memory(program) / MIB,
        'peak_mib': peak_mib(),
        'fields_a_second': 1 / min(refining),
        'lift_seconds': lifting,
    }


def compare(config: dict, shape: tuple[int, int]) -> dict[str, float]:
    """Largest differences of the network output in tiles from that in one piece, in its standard deviations."""
    import numpy as np

    from downscale_jax.downscale.fitting import program_memory

    tiled = untrained(config)
    one = {**config['sampling'], 'tile': -(-max(shape) // config['data']['factor']) * config['data']['factor']}
    whole = untrained({**config, 'sampling': {**one, 'overlap': 0}})
    lifted = tiled.transform.lift(coarse_field(config, shape), np.zeros((*shape, 0), np.float32), periodic=False)
    programs = [compiled(generator, shape) for generator in (tiled, whole)]
    fields = [tiled.transform.values.encode(refine(*program, lifted)) for program in programs]
    away = np.abs(fields[0] - fields[1]).max(-1) / fields[1].std()
    tiling = tiled.tiling(domain_of(tiled, shape))
    overlaps, blind = (inner_edges(tiling, cells) for cells in (tiling.overlap, max(tiling.overlap, sight(tiled))))
    return {
        'overlaps': float(away[overlaps].max(initial=0)),
        'typical': float(np.sqrt(np.square(away[overlaps]).mean())),
        'elsewhere': float(away[~blind].max(initial=0)),
        'program_mib': program_memory(programs[-1][0]) / MIB,
        'peak_mib': peak_mib(),
    }


def untrained(config: dict) -> Any:
    """A generator with initial parameters, for values that need no standardisation."""
    import jax
    import numpy as np

    from downscale_jax.downscale.field_generator import FieldGenerator
    from downscale_jax.fields.transforms.block_means import BlockMeans
    from downscale_jax.fields.transforms.standardisation import Standardisation
    from downscale_jax.systems.downscaler import sampling_of
    from downscale_jax.systems.srgan import PRETRAINED, build

    data = config['data']
    names, count, patch = tuple(data['variables']), len(data['variables']), data['patch']
    zeros, ones = (0.0,) * count, (1.0,) * count
    transform = Standardisation(names, ('1',) * count, zeros, ones, zeros, ones)
    task = build(config)[PRETRAINED]
    condition = np.zeros((1, patch, patch, 2 * count + 1), np.float32)
    params = jax.device_get(jax.jit(task.init)(jax.random.key(0), {'condition': condition}).params)
    blocks = BlockMeans(transform, data['factor'], data['mean'], False, tuple(data['bounds']), ones)
    return FieldGenerator(task, params, blocks, sampling_of(config))


def coarse_field(config: dict, shape: tuple[int, int]) -> Any:
    """Noise [h, w, V] under a fine domain of that shape."""
    import numpy as np

    factor, count = config['data']['factor'], len(config['data']['variables'])
    return np.random.default_rng(0).standard_normal((shape[0] // factor, shape[1] // factor, count), np.float32)


def compiled(generator: Any, shape: tuple[int, int]) -> tuple[Any, tuple]:
    """(program, its arguments) for domains of that shape without missing cells."""
    import numpy as np

    domain = domain_of(generator, shape)
    lifted = np.zeros((*shape, domain.channels), np.float32)
    return generator.program(domain), unit_arguments(generator, lifted, members=1)


def refine(program: Any, arguments: tuple, lifted: Any) -> Any:
    """A lifted field (`BlockMeans.lift`) -> the fine field [H, W, V] in physical units, both on the host."""
    import numpy as np

    from downscale_jax.runtime import parallel

    params, shared, unit = arguments
    coarse = parallel.split_rows(lifted[None].astype(np.float32), local=True)
    return np.asarray(program(params, shared, unit._replace(coarse=coarse)).fields)[0, 0]


def sight(generator: Any) -> int:
    """Fine cells, at most, from a cell to the farthest one that the network sees for it."""
    network = generator.task.network
    cells, coarse = network.stride, network.kernel // 2 + 2 * network.blocks + 1
    reach = cells * (coarse + 1)  # what a block of fine cells has of its own coarse cell
    for factor in network.factors:
        reach += cells  # its 3 x 3, before the cells are divided
        cells //= factor
    return reach + network.kernel // 2


def inner_edges(tiling: Any, cells: int) -> Any:
    """[H, W] bool: fewer than `cells` inside an edge of a tile that is not an edge of the domain."""
    import numpy as np

    near = []
    for axis, (n, size) in enumerate(zip(tiling.shape, tiling.sizes, strict=True)):
        at, found = np.arange(n), np.zeros(n, bool)
        for origin in set(tiling.origins[:, axis].tolist()):
            end = origin + size
            found |= (origin > 0) & (at >= origin) & (at < origin + cells)
            found |= (end < n) & (at < end) & (at >= end - cells)
        near.append(found)
    return near[0][:, None] | near[1][None]


if __name__ == '__main__':
    run_program(main)
