"""From the command to the first training step, on prepared data with a warm compilation cache.

    python -m experiments.benchmarks.start [--config=configs/diffusion_sit.py] [--rounds 3]

Starts main.py in a process of its own with a new work directory, waits for the first row of metrics.jsonl (one per
step) and stops it by SIGTERM. A first start, which prepares data and fills the cache, is not counted.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.command_line import Parser, at_least, run_program


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/diffusion_sit.py')
    parser.add_argument('--rounds', type=at_least(1), default=3)
    parser.add_argument('--root', type=Path, default=Path('runs'), help='data are prepared under its folder data')
    options = parser.parse_args()
    options.root.mkdir(exist_ok=True)
    seconds = [until_first_step(options.config, options.root) for _ in range(options.rounds + 1)]
    print(f'first start: {seconds[0]:.1f} s, with data and cache ready: {", ".join(f"{s:.1f} s" for s in seconds[1:])}')
    print(f'slowest of them: {max(seconds[1:]):.1f} s, goal 8 s')


def until_first_step(config: str, root: Path) -> float:
    """Seconds."""
    workdir = Path(tempfile.mkdtemp(prefix='start-', dir=root))
    command = [sys.executable, 'main.py', f'--config={config}', f'--workdir={workdir}', '--config.training.log_every=1']
    start = time.perf_counter()
    with tempfile.TemporaryFile('w+') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            rows = workdir / 'metrics.jsonl'
            while not rows.exists():
                if process.poll() is not None:
                    output.seek(0)
                    sys.exit(f'{" ".join(command)} ended with status {process.returncode}: {output.read()}')
                time.sleep(0.02)
            return time.perf_counter() - start
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(workdir)


if __name__ == '__main__':
    run_program(main)
