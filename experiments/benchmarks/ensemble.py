"""An ensemble run: the share of its time spent in the network, and its memory against members and days.

    python -m experiments.benchmarks.ensemble [--config=configs/diffusion_sit.py] [--size 256] [--days 100]

An untrained network of the config (diffusion or dpdm) refines synthetic coarse files into Zarr stores, each run in a
process of its own; the number of members ranges from one work unit to many, in units of one member and in those of
the config. Share: time of the compiled program on inputs in memory, divided by the time of a run of the same number of
work units from reading to the last chunk written, without compilation. About 5 minutes on 2 CPU cores.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.benchmarks.processes import in_new_process, peak_mib
from experiments.benchmarks.scaling import drawn, unit_arguments, untrained
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

GOAL_SHARE, GOAL_MEMORY = 0.95, 1.10


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/diffusion_sit.py')
    parser.add_argument('--size', type=int, default=256, help='cells a side of the fine domain')
    parser.add_argument('--days', type=at_least(1), default=100, help='of a long run, compared with one of 10')
    options = parser.parse_args()

    def run(**settings: Any) -> dict[str, float]:
        return in_new_process(measure, options.config, options.size, **settings)

    shared = run(members=16, days=6)
    print(f'16 members, 6 days: {shared["seconds"]:.1f} s, of which the network {shared["network"]:.1f} s: '
          f'share {shared["network"] / shared["seconds"]:.3f}, goal {GOAL_SHARE}')  # fmt: skip
    unit = read_config(options.config)['sampling']['members']
    for name, of_unit, counts, settings in (
        ('members', 1, (1, 32), {'days': 4}),
        ('members', unit, (unit, 3 * unit), {'days': 4}),
        ('days', unit, (10, options.days), {'members': 1}),
    ):
        few, many = (run(**settings, **{name: n}, unit=of_unit, evaluations=1)['peak_mib'] for n in counts)
        print(f'{counts[0]} -> {counts[1]} {name}, units of at most {of_unit} members: peak memory {few:.0f} -> '
              f'{many:.0f} MiB, ratio {many / few:.3f}, goal {GOAL_MEMORY}', flush=True)  # fmt: skip


def measure(path: str, size: int, members: int, days: int, unit: int = 0, evaluations: int = 0) -> dict[str, float]:
    """One run in this process; where only memory is measured, `unit` and `evaluations` replace the config's members of
    a unit and evaluations of the network."""
    import numpy as np
    import xarray as xr

    from downscale_jax.downscale.ensemble import Ensemble
    from downscale_jax.downscale.opening import open_inputs
    from downscale_jax.downscale.output.filling import to_store
    from downscale_jax.downscale.request import Source

    config = read_config(path)
    config['sampling']['steps'] = evaluations or config['sampling']['steps']
    config['sampling']['members'] = unit or config['sampling']['members']
    generator, factor = {'diffusion': of_sea_ice, 'dpdm': of_blocks}[config['system']](config)
    names, units = generator.transform.inputs, generator.transform.input_units
    axes, fine_axes, side = grids(size, factor)
    stamps = np.datetime64('2000-01-01', 'ns') + np.arange(days + 1) * np.timedelta64(1, 'D')
    mask = {n: (('y', 'x'), np.ones((size, size), np.int8)) for n in ('mask', 'topography', 'land')}
    statics, rng = xr.Dataset(mask, fine_axes), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        values = rng.normal(1, 1, (days + 1, side, side)).astype(np.float32)
        fields = {n: (('time', 'y', 'x'), values, {'units': u}) for n, u in zip(names, units, strict=True)}
        xr.Dataset(fields, {'time': stamps, **axes}).to_netcdf(Path(folder) / 'coarse.nc')
        with xr.open_dataset(Path(folder) / 'coarse.nc', chunks={'time': 1}) as coarse:

            def ensemble(times: slice) -> Ensemble:
                inputs = open_inputs(coarse.isel(time=times), generator.transform, statics)
                return Ensemble(generator, inputs, statics, members, seed=0).balanced()

            def fill(times: slice) -> float:
                """Seconds from the coarse file to the finished store."""
                start, store = time.perf_counter(), Path(folder) / f'{times.start}.zarr'
                to_store(ensemble(times), store, Source(store.name))
                return time.perf_counter() - start

            fill(slice(days, days + 1))  # compiles
            if evaluations:
                seconds, network = fill(slice(days)), 0.0
            else:
                # in turn, so that other work on the machine slows both
                pairs = [slice(day, day + 2) for day in range(0, days, 2)]
                turns = [(fill(pair), alone(ensemble(pair))) for pair in pairs]
                seconds, network = (sum(part) for part in zip(*turns, strict=True))
    return {
        'seconds': seconds,
        'network': network,
        'peak_mib': peak_mib(),
    }


def grids(size: int, factor: int) -> tuple[dict, dict, int]:
    """(axes of the coarse field, axes of the fine one, coarse cells a side): blocks of `factor` cells of 4 km, or,
    where that is 0, points 24 km apart that reach beyond the fine grid."""
    import numpy as np

    fine = 4e3 * np.arange(size)
    coarse = fine.reshape(-1, factor).mean(1) if factor else 24e3 * np.arange(-(-size // 6) + 2) - 12e3
    axes, fine_axes = ({n: (n, at, {'units': 'm'}) for n in 'yx'} for at in (coarse, fine))
    return axes, fine_axes, coarse.size


def of_sea_ice(config: dict) -> tuple[Any, int]:
    """(generator with an untrained network, 0: coarse fields on a grid of their own)."""
    import numpy as np

    from downscale_jax.downscale.field_generator import FieldGenerator
    from downscale_jax.fields.transforms.refinement import RefinementTransform
    from downscale_jax.systems.diffusion import build
    from downscale_jax.systems.downscaler import sampling_of
    from downscale_jax.tasks.first_guess import FirstGuess, Params

    names, patch = config['data']['inputs'], config['data']['patch']
    count = len(names)
    transform = RefinementTransform(
        names[0], 'm', names, ('m',) * count, True, ((0.0, np.inf),), (1.0,) * count, (1.0,) * count, 0.0, 0.3
    )  # fmt: skip
    tasks, shown = build(config), np.zeros((1, patch, patch, count + 1), np.float32)
    batch, rng = {'condition': shown, 'target': shown[..., :1]}, np.random.default_rng(0)
    guess = FirstGuess(drawn(tasks['regression'], batch, rng), np.float32(1))
    params = Params(drawn(tasks['diffusion'], batch, rng), guess)
    return FieldGenerator(tasks['diffusion'], params, transform, sampling_of(config)), 0


def of_blocks(config: dict) -> tuple[Any, int]:
    """(the same for block means, cells a side of a block)."""
    generator = untrained(config)
    return generator, generator.transform.factor


def alone(ensemble: Any) -> float:
    """Seconds of the compiled program for all units of an ensemble, on inputs that lie on the device."""
    import jax
    import numpy as np

    generator, domain = ensemble.generator, ensemble.inputs.domain
    coarse = np.ones((*domain.shape, domain.channels), np.float32)
    arguments = unit_arguments(generator, coarse, generator.partition.members)
    program, start = generator.program(domain), time.perf_counter()
    for _ in ensemble.units():
        jax.block_until_ready(program(*arguments))
    return time.perf_counter() - start


if __name__ == '__main__':
    run_program(main)
