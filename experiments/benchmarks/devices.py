"""One against several simulated devices: how far apart are the losses of the first steps?

    python -m experiments.benchmarks.devices [--devices 1 4 8] [--steps 20]      about a minute on 2 CPU cores

Trains the diffusion with its first guess on synthetic batches through the training loop, in float32 by SGD (Adam hides
wrong factors), once for each number of devices in a process of its own. Prints the largest relative difference from
the first number of devices; exits with status 1 where one exceeds 1e-5.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from experiments.command_line import Parser, at_least, run_program

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--devices', type=at_least(1), nargs='+', default=[1, 4, 8])
    parser.add_argument('--steps', type=at_least(1), default=20)
    parser.add_argument('--batch', type=at_least(1), default=16)
    parser.add_argument('--patch', type=at_least(1), default=32)
    parser.add_argument('--width', type=at_least(1), default=32)
    parser.add_argument('--worker', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        train(Path(args.worker), args.steps, args.batch, args.patch, args.width)
    else:
        found = losses(args.devices, args.steps, args.batch, args.patch, args.width)
        apart = {devices: difference(found[args.devices[0]], found[devices]) for devices in args.devices}
        print('devices   first loss    last loss   largest relative difference')
        for devices, values in found.items():
            print(f'{devices:7} {values[0]:12.6f} {values[-1]:12.6f}   {apart[devices]:.2e}')
        sys.exit(max(apart.values()) > TOLERANCE)


def difference(one: list[float], other: list[float]) -> float:
    """Largest relative difference of two equally long series."""
    return max(abs(a - b) / abs(a) for a, b in zip(one, other, strict=True))


def losses(devices: list[int], steps: int, batch: int, patch: int, width: int) -> dict[int, list[float]]:
    """{devices: loss of each step}."""
    settings = [f'--steps={steps}', f'--batch={batch}', f'--patch={patch}', f'--width={width}']

    def measure(count: int) -> list[float]:
        flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={count}'
        env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags}
        with tempfile.TemporaryDirectory() as workdir:
            command = [sys.executable, '-m', 'experiments.benchmarks.devices', f'--worker={workdir}', *settings]
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f'{count} devices: {done.stderr}')
            rows = map(json.loads, (Path(workdir) / 'metrics.jsonl').read_text().splitlines())
            return [row['train/loss'] for row in rows if 'train/loss' in row]

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(devices, pool.map(measure, devices), strict=True))


def train(workdir: Path, steps: int, batch: int, patch: int, width: int) -> None:
    """Fills workdir/metrics.jsonl on the devices that this process has."""
    import jax
    import numpy as np

    from downscale_jax.diffusion.schedule import CosineSchedule
    from downscale_jax.models.unet import UNet
    from downscale_jax.runtime import parallel
    from downscale_jax.tasks.diffusion import Diffusion
    from downscale_jax.tasks.first_guess import FirstGuess
    from downscale_jax.tasks.regression import Regression
    from downscale_jax.training.log import Log
    from downscale_jax.training.loop import LoopSettings, TrainingData
    from downscale_jax.training.loop import train as train_task
    from downscale_jax.training.optimizer import Phase

    phases = (Phase('main', steps, learning_rate=0.2, optimizer='sgd'),)
    network = UNet(1, widths=(width,), bottleneck=width, blocks=1, stem=4, tail=width, time='blocks')
    regression = Regression(network.clone(channels=2), phases)
    task = Diffusion(network, phases, CosineSchedule(), regression=regression)

    def batches(start, limit=0):
        rows = parallel.local_rows(batch)
        for step in range(start, steps + 1):
            rng = np.random.default_rng(step)
            condition = rng.normal(size=(batch, patch, patch, 2)).astype(np.float32)
            target = condition[..., :1] + 0.5 * rng.normal(size=(batch, patch, patch, 1)).astype(np.float32)
            whole: dict[str, Any] = {'target': target, 'condition': condition, 'mask': rng.random(target.shape) > 0.2}
            yield {name: array[rows.start : rows.stop] for name, array in whole.items()}

    example: Any = next(batches(0))
    shapes = jax.eval_shape(regression.init, jax.random.key(0), example).params
    rng = np.random.default_rng(0)
    # an untrained network predicts zero: give the first guess nonzero parameters
    guess = jax.tree.map(lambda s: (0.1 * rng.normal(size=s.shape)).astype(np.float32), shapes)

    def init(key: Any, batch: Any) -> Any:
        return task.init(key, batch, FirstGuess(guess, np.float32(0.5)))

    log = Log(workdir)
    train_task(
        task,
        'diffusion',
        init=init,
        data=TrainingData(batches, validation=lambda: [example]),
        settings=LoopSettings(log_every=1, validate_every=steps, keep=1, seed=0),
        directory=workdir / 'checkpoints',
        log=log,
    )
    log.close()


if __name__ == '__main__':
    run_program(main)
