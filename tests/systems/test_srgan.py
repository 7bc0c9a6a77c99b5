"""How a config becomes a generator and GANs, and which AtmoDist they take."""

import copy
import json
import runpy
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import atmodist, content_encoder, content_weight, srgan
from downscale_jax.systems.checks import before_training
from downscale_jax.systems.system import Trained
from downscale_jax.systems.workdir import zeros
from downscale_jax.training.optimizer import create

CONFIGS = Path(__file__).parents[2] / 'configs'
VALUES = Standardisation(
    ('vorticity', 'divergence'), ('s-1', 's-1'), (1e-6, 0.0), (3e-5, 1e-5), (0.0, 0.0), (0.16, 0.16)
)  # fmt: skip


def config(variant='smoke', name='srgan', **changes):
    found = runpy.run_path(str(CONFIGS / f'{name}.py'))['get_config'](variant).to_dict()
    for key, value in changes.items():
        section, _, entry = key.partition('__')
        if entry:
            found[section][entry] = value
        else:
            found[section] = value
    return found


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """An untrained AtmoDist of the smoke size in a work directory."""
    workdir = tmp_path_factory.mktemp('atmodist')
    settings = config(name='atmodist', evaluation__untrained_rival=False)
    (workdir / 'config.json').write_text(json.dumps(settings))
    (workdir / 'prepared.json').write_text(
        json.dumps({'kind': 'lag_pairs', 'transform': VALUES.to_json(), 'idealised': True})
    )
    tasks = atmodist.build(settings)
    batch = zeros(atmodist.shapes(settings), 2)
    state = jax.jit(atmodist.initialise('lags', tasks))(jax.random.key(3, impl='unsafe_rbg'), batch)
    saved = Checkpoints(workdir / 'checkpoints' / 'lags', 1)
    saved.save(2, state, {'steps': np.zeros(())}, 1.0)
    saved.close()
    return workdir


def sizes(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_the_published_sizes():
    settings = config('paper', contents=('mse', 'atmodist'))
    tasks = srgan.build(settings)
    states = {
        name: jax.eval_shape(srgan.initialise(name, tasks), jax.random.key(0), zeros(srgan.shapes(settings), 1))
        for name in tasks
    }
    networks = {name: sizes(variables) for name, variables in srgan.networks(states).items()}
    assert networks == {'discriminator': 10_611_201, 'generator': 1_534_850}
    assert sizes(states['gan_atmodist'].frozen.encoder) == 2_277_712
    assert states['gan_mse'].frozen is None


def test_each_network_of_a_gan_has_its_own_optimiser():
    tasks = srgan.build(config())
    state = jax.eval_shape(srgan.initialise('gan_mse', tasks), jax.random.key(0), zeros(srgan.shapes(config()), 1))
    assert set(state.opt_state) == {'generator', 'discriminator'}
    rule = create(tasks['gan_mse'].phases[0])
    assert jax.tree.structure(jax.eval_shape(rule.init, state.params)) == jax.tree.structure(state.opt_state)


@pytest.mark.parametrize(
    ('changes', 'parts'),
    [
        ({'contents': ('mes',)}, ["contents='mes'", "'mse'"]),
        ({'model__factors': (2, 5)}, ['model.factors=(2, 5)', 'refine cells 10 times', 'data.factor=4']),
        ({'data__patch': 18}, ['data.patch=18', 'multiple of 4', 'data.factor', '16 or 20']),
        ({'data__anomaly': True}, ['data.anomaly=True', 'whole field']),
        ({'model__padding': 'VALID'}, ["model.padding='VALID'", 'REFLECT, SAME']),
        ({'training__phases': ('mse',)}, ['training.phases', 'GANs']),
        ({'content__stage': 7, 'contents': ('atmodist',)}, ['content.stage=7', '1 to 3']),
        ({'sampling__tile': 30}, ['sampling.tile=30', '4']),
    ],
)
def test_values_that_do_not_go_together(changes, parts):
    with pytest.raises(UserError) as error:
        before_training(srgan.SYSTEM, config(**changes))
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize(
    ('changes', 'parts'),
    [
        ({}, ['content.workdir']),
        ({'content__workdir': 'nowhere'}, ['nowhere is not a work directory']),
        ({'data__variables': ('divergence', 'vorticity')}, ["('vorticity', 'divergence')", 'trained on']),
        ({'data__transform': 'standard'}, ['data.transform', 'log']),
        ({'content__model': {'widths': (8, 8), 'blocks': 1, 'stem': 3, 'pool': False, 'momentum': 0.9,
                             'dtype': 'float32'}}, ['content.model', '[8, 8, 8]']),
    ],
)  # fmt: skip
def test_another_atmodist_is_refused_before_training(teacher, changes, parts):
    workdir = {} if not changes or 'content__workdir' in changes else {'content__workdir': str(teacher)}
    with pytest.raises(UserError) as error:
        srgan.check(config(contents=('atmodist',), **workdir, **changes), training=True)
    assert all(part in str(error.value) for part in parts), error.value


def test_statistics_of_other_data_are_refused():
    content_encoder.check_transforms(VALUES, VALUES, Path('teacher'))
    other = Standardisation(**{**VALUES.__dict__, 'std': (3.1e-5, 1e-5)})
    with pytest.raises(UserError, match=r'teacher has other statistics .* same data.train'):
        content_encoder.check_transforms(VALUES, other, Path('teacher'))


class Records:
    """Three-hourly records of two variables; a gap of a day in the middle."""

    def __init__(self, count=40):
        rng = np.random.default_rng(0)
        self.seconds = 10_800 * (np.arange(count) + 8 * (np.arange(count) >= count // 2))
        noise = rng.normal(size=(count, 16, 32, 2)).astype('f4')
        self.fields = np.cumsum(noise, 0) * np.array([3e-5, 1e-5], 'f4')  # a walk: distances grow with the lag

    def __len__(self):
        return len(self.seconds)

    def __getitem__(self, index):
        return {'fine': self.fields[index], 'time': self.seconds[index]}


def test_pairs_are_found_by_their_times():
    records = Records()
    pairs = content_weight.pairs_apart(records, 10_800 * 3, np.random.default_rng(0))
    assert len(pairs) == 34  # 37 starts, less those whose partner lies across the gap
    assert all(records.seconds[b] - records.seconds[a] == 32_400 for a, b in pairs)
    assert not content_weight.pairs_apart(records, 5000, np.random.default_rng(0))


def test_a_gan_starts_from_the_generator_and_the_encoder(teacher, monkeypatch):
    """alpha makes the encoded distance as large as the squared error, over the upper half of the lags."""
    settings = config(contents=('mse', 'atmodist'), content__workdir=str(teacher))
    tasks = srgan.build(settings)
    batch = zeros(srgan.shapes(settings), 1)
    alone = jax.jit(tasks['pretrained'].init)(jax.random.key(1, impl='unsafe_rbg'), batch)

    class Prepared:
        mask = np.ones((16, 32), bool)

        def transform_as(self, kind):
            return kind(VALUES, 4, 'network', False, ((-np.inf, np.inf),) * 2, (1.0, 1.0))

        def split(self, name):
            assert name == 'train'
            return Records()

    trained = Trained(lambda name: {'pretrained': alone}[name], tuple, Prepared(), settings)
    states = {
        name: jax.jit(srgan.initialise(name, tasks, trained))(jax.random.key(2, impl='unsafe_rbg'), batch)
        for name in ('gan_mse', 'gan_atmodist')
    }
    for state in states.values():
        jax.tree.map(np.testing.assert_array_equal, state.params['generator'], alone.params)
    assert states['gan_mse'].frozen is None
    learned = states['gan_atmodist'].frozen
    content = tasks['gan_atmodist'].content
    encoded, squared = content_weight.distances_by_lag(
        content, learned.encoder, Prepared(), 16, content_weight.LagClasses(4, 3)
    )
    assert len(encoded) == 2  # lags 3 and 4
    np.testing.assert_allclose(learned.alpha, np.sum(encoded * squared) / np.sum(encoded**2), rtol=1e-5)
    assert squared[1] > squared[0] > 0
    _, of_z_scores = content_weight.distances_by_lag(
        content, learned.encoder, Prepared(), 16, content_weight.LagClasses(4, 3), 'standard'
    )
    z_scores = replace(VALUES, compression=0.0, log_mean=(0.0, 0.0), log_std=(1.0, 1.0))
    linear = type('T', (), {'values': z_scores})
    monkeypatch.setattr(Prepared, 'transform_as', lambda self, kind: linear)
    _, expected = content_weight.distances_by_lag(
        content, learned.encoder, Prepared(), 16, content_weight.LagClasses(4, 3)
    )
    np.testing.assert_allclose(of_z_scores, expected, rtol=1e-5)
    assert np.abs(of_z_scores / squared - 1).min() > 1e-3


def test_config_is_left_as_it_was():
    before = config(contents=('mse', 'spectral'))
    given = copy.deepcopy(before)
    srgan.build(given)
    srgan.check(given)
    assert given == before
    assert list(srgan.build(given)) == ['pretrained', 'gan_mse', 'gan_spectral']
