"""A small training by the real loop in a process of its own, to be killed, starved of disk or split over processes:

    python train_toy.py WORKDIR [NAME=NUMBER ...]

with steps (of the first of two phases), sgd (1: SGD throughout), pause (seconds before each step), slow (seconds that a
checkpoint waits before and after its mark is written), fail (step before which the first process raises UserError),
prepare (seconds for which the first process prepares data while the others wait). Ends with the state of the last
checkpoint in final.npz. What main.py does around the loop is done here too.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from downscale_jax.runtime import messages, parallel
from downscale_jax.runtime.checkpoints import Checkpoints, silence_write_errors
from downscale_jax.runtime.errors import UserError, exit_on_user_error
from downscale_jax.runtime.signals import raise_on_signals
from downscale_jax.training import state as states
from downscale_jax.training.log import Log
from downscale_jax.training.loop import LoopSettings, TrainingData, abstract_state, train
from downscale_jax.training.optimizer import Phase, create, gradient_step

BATCH, INPUTS, HIDDEN = 16, 6, 512


@dataclass(frozen=True)
class Toy:
    """A network with one hidden layer, noise keyed by row, fitted to a wave."""

    phases: tuple[Phase, ...]

    def init(self, key, batch):
        first, second = jax.random.split(key)
        params = {
            'in': jax.random.normal(first, (INPUTS, HIDDEN)) / INPUTS**0.5,
            'out': jax.random.normal(second, (HIDDEN,)) / HIDDEN**0.5,
        }
        return states.create(params, create(self.phases[0]))

    def losses(self, params, rows):
        loss = jnp.square(jnp.tanh(rows['x'] @ params['in']) @ params['out'] + 0.1 * rows['noise'] - rows['y'])
        return loss, {'loss': loss}

    def train_step(self, state, batch, key, phase):
        rows = {**batch, 'noise': parallel.row_normals(key, batch['y'].shape)}
        return gradient_step(self.losses, state, rows, phase, 1, 0.9)

    def eval_step(self, state, batch, key):
        return self.losses(state.ema_params, {**batch, 'noise': jnp.zeros_like(batch['y'])})[1]


def rows_of(step):
    """This process's rows of a global batch."""
    rows = parallel.local_rows(BATCH)
    x = np.random.default_rng(step).normal(size=(BATCH, INPUTS)).astype(np.float32)
    return {'x': x[rows.start : rows.stop], 'y': np.sin(x.sum(1))[rows.start : rows.stop]}


def run(workdir: Path, steps=20, sgd=0, pause=0.0, slow=0.0, fail=-1, prepare=0.0):
    def batches(start, limit=0):
        step = start
        while True:
            time.sleep(pause)
            if step == fail and jax.process_index() == 0:
                raise UserError('asked to fail')
            yield rows_of(step)
            step += 1

    seal = Checkpoints._seal

    def slowly(checkpoints):
        time.sleep(slow)
        seal(checkpoints)
        time.sleep(slow)

    Checkpoints._seal = slowly
    second = 'sgd' if sgd else 'adamw'
    task = Toy((Phase('first', int(steps), 0.1, optimizer='sgd'), Phase('second', 10, 0.02, 3, optimizer=second)))
    workdir.mkdir(exist_ok=True)
    if prepare:
        (workdir / f'{jax.process_index()}.preparing').touch()
        time.sleep(prepare if jax.process_index() == 0 else 0)
        parallel.barrier('data are prepared')
    log = Log(workdir)
    train(
        task,
        'toy',
        init=task.init,
        data=TrainingData(batches, validation=lambda: [rows_of(10**6)]),
        settings=LoopSettings(log_every=2, validate_every=4, keep=2, seed=3),
        directory=workdir / 'checkpoints',
        log=log,
    )
    log.close()
    total = int(steps) + 10
    state = Checkpoints(workdir / 'checkpoints', read_only=True).restore_state(
        total, abstract_state(task, task.init, rows_of(0), total)
    )
    if jax.process_index() == 0:
        leaves = {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(state)}
        np.savez(workdir / 'final.npz', **leaves)


if __name__ == '__main__':
    messages.to_terminal()
    silence_write_errors()
    parallel.initialize()
    raise_on_signals()
    with exit_on_user_error():
        run(Path(sys.argv[1]), **{name: float(value) for name, value in (a.split('=') for a in sys.argv[2:])})
