"""Does reading overlap computing? A training step fed by the pipeline against one on a batch in memory.

    python -m experiments.benchmarks.pipeline [--config=configs/diffusion_sit.py] [--steps 25] [--rounds 9]

Prepares the config's data if need be, then times the regression's step, the cheapest of the config and so the worst
case, in alternating stretches on both kinds of batches. The first steps of a stretch do not count: they drain or fill
the pipeline's buffer. About 3 minutes on 2 CPU cores.
"""

import time
from itertools import repeat
from pathlib import Path

import jax
import numpy as np

from data_prep.prepare import prepare
from downscale_jax.pipeline.batches import batches
from downscale_jax.runtime import parallel
from downscale_jax.systems.diffusion import build, examples
from downscale_jax.training.loop import add_metrics, train_program, zero_sums
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

DRAINED = 8  # steps


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/diffusion_sit.py')
    parser.add_argument('--steps', type=at_least(1), default=25, help='of a stretch')
    parser.add_argument('--rounds', type=at_least(1), default=9)
    parser.add_argument('--data', type=Path, default=Path('runs/data'))
    options = parser.parse_args()
    config = read_config(options.config)
    prepared = prepare(config['data'], config['seed'], options.data)
    rows = batches(examples(config, prepared, 'train'), config['training']['batch_size'])
    fed = map(parallel.split_rows, rows)
    batch, key = next(fed), jax.random.key(0)
    task = build(config)['regression']
    state = parallel.replicate(task.init(key, jax.device_get(batch)))
    advance = train_program(task, task.phases[0], config['seed'])
    sums = zero_sums(task, state, batch, config['seed'])

    def stretch(source) -> float:
        """Seconds per step; the next batch is fetched while the device works, as in training."""
        nonlocal state, sums
        rows, running = next(source), None
        for step in range(options.steps + DRAINED):
            if step == DRAINED:
                start = time.perf_counter()
            state, metrics = advance(state, rows)
            sums = add_metrics(sums, metrics)
            rows = next(source)
            jax.block_until_ready(running)
            running = metrics['loss']
        jax.block_until_ready(running)
        return (time.perf_counter() - start) / options.steps

    stretch(repeat(batch))  # compiled, caches warm
    sources = {'in memory': repeat(batch), 'fed': fed}
    times: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(options.rounds):
        for name, source in sources.items():
            times[name].append(stretch(source))
    ratios = np.array(times['fed']) / np.array(times['in memory'])
    for name, seconds in times.items():
        print(
            f'{name:10} {1000 * np.median(seconds):8.1f} ms a step   ({", ".join(f"{1000 * s:.1f}" for s in seconds)})'
        )
    print(f'fed / in memory: {np.median(ratios):.3f}   ({", ".join(f"{r:.3f}" for r in ratios)}), goal 1.05')


if __name__ == '__main__':
    run_program(main)
