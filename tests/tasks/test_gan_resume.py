"""A GAN that dies in any of its phases goes on and ends with the same numbers."""

import dataclasses

import jax
import numpy as np
import pytest

from downscale_jax.models.atmodist import Encoder
from downscale_jax.models.srgan import Discriminator, GeneratorNetwork
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.tasks.content import Content, Learned
from downscale_jax.tasks.gan import Gan
from downscale_jax.tasks.super_resolution import SuperResolution
from downscale_jax.training.log import Log, read
from downscale_jax.training.loop import LoopSettings, TrainingData, abstract_state, train, weights_key
from downscale_jax.training.optimizer import Phase

FIRST = Phase('gan', 4, 1e-3, schedule='constant', clip=0.0)
PHASES = (FIRST, dataclasses.replace(FIRST, name='late', learning_rate=1e-4))
ALONE = SuperResolution(GeneratorNetwork(2, (2,), width=4, blocks=1, kernel=3), PHASES)
ENCODER = Encoder((4,), blocks=1, stem=3, pool=False)
GAN = Gan(
    ALONE,
    Discriminator((4,), 4),
    Content('atmodist', ENCODER, 1, shifts=3),
    tuple(dataclasses.replace(phase, per_network=True) for phase in PHASES),
    balance=(0.5, 0.6),
)


class Died(Exception):
    pass


def batch_of(step):
    rng = np.random.default_rng(step)
    coarse = rng.normal(size=(8, 6, 6, 2))
    fine = coarse.repeat(2, 1).repeat(2, 2)
    mask = np.ones((8, 12, 12, 1), bool)
    return {
        'target': (fine + 0.3 * rng.normal(size=fine.shape)).astype('f4'),
        'condition': np.concatenate([fine, mask], -1).astype('f4'),
        'mask': mask,
    }


def init(key, batch):
    """The state of a GAN to which a generator and an encoder are handed over."""
    variables = ENCODER.init(weights_key(7), batch['target'][:1])
    generator = ALONE.init(weights_key(8), batch).params
    return GAN.init(key, batch, generator, Learned(variables, np.float32(0.5)))


def run(workdir, dies_at=None):
    def batches(start, limit=0):
        step = start
        while True:
            if step == dies_at:
                raise Died
            yield batch_of(step)
            step += 1

    workdir.mkdir(exist_ok=True)
    log = Log(workdir)
    try:
        train(
            GAN, 'gan', init=init, data=TrainingData(batches, validation=lambda: [batch_of(1000)]),
            settings=LoopSettings(log_every=1, validate_every=2, keep=2, seed=5),
            directory=workdir / 'checkpoints', log=log,
        )  # fmt: skip
    finally:
        log.close()
    saved = Checkpoints(workdir / 'checkpoints', read_only=True)
    state = saved.restore_state(8, abstract_state(GAN, init, batch_of(0), 8))
    rows = [{k: v for k, v in row.items() if 'second' not in k} for row in read(workdir / 'metrics.jsonl')]
    return jax.device_get(state), rows


def test_killed_in_either_phase_it_ends_with_the_same_numbers(tmp_path):
    whole, rows = run(tmp_path / 'whole')
    assert int(whole.step) == 8
    assert int(whole.phase) == 1
    for dies_at in (3, 7):  # in the first phase, in the second
        with pytest.raises(Died):
            run(tmp_path / 'cut', dies_at)
    resumed, again = run(tmp_path / 'cut')
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert again == rows
