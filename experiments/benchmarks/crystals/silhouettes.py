"""Silhouettes of bullet rosettes per second.

    python -m experiments.benchmarks.crystals.silhouettes [--size 128] [--threads 2]        under a minute

Meshes of 4 to 10 arms are made beforehand. Prints the number per second of wall time, and per second of CPU time, which
other programs on the machine affect less.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from data_prep.simulators.crystals.habits import ARMS
from data_prep.simulators.crystals.rosettes import draw_mesh
from data_prep.simulators.crystals.silhouettes import Outline, outline, project, views
from experiments.command_line import Parser, at_least, run_program

ORIENTATIONS = 50  # of each mesh at once


def rates(meshes: list[Outline], size: int, threads: int, rounds: int) -> tuple[float, float]:
    """Silhouettes per second of wall time and of CPU time."""
    rotations = views(ORIENTATIONS, 1, 0.0, np.random.default_rng(0))[0]
    jobs = [mesh for _ in range(rounds) for mesh in meshes]
    with ThreadPoolExecutor(threads) as pool:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in pool.map(lambda mesh: project(mesh, rotations, size).shape, jobs):
            pass
    count = len(jobs) * ORIENTATIONS
    return count / (time.perf_counter() - wall), count / (time.process_time() - cpu)


def main() -> None:
    parser = Parser(__doc__)
    parser.add_argument('--size', type=at_least(8), default=128, help='pixels per side')
    parser.add_argument('--threads', type=at_least(1), default=2)
    parser.add_argument('--rounds', type=at_least(1), default=10)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    meshes = [outline(draw_mesh(arms, rng)[1]) for arms in range(ARMS[0], ARMS[1] + 1)]
    rates(meshes, options.size, options.threads, 1)  # the first round warms the caches
    wall, cpu = rates(meshes, options.size, options.threads, options.rounds)
    print(
        f'{options.size} x {options.size} pixels, {options.threads} threads: {wall:,.0f} silhouettes per second, '
        f'{cpu:,.0f} per CPU second'
    )


if __name__ == '__main__':
    run_program(main)
