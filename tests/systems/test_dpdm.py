"""How a config becomes DPDM and its rivals: what goes together, who is handed what, the published network."""

import copy
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest

from data_prep.prepare import prepare
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.tiles import Domain
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.models.dpdm import DpdmUNet
from downscale_jax.models.unet import UNet
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import SYSTEMS, dpdm
from downscale_jax.systems.checks import before_training
from downscale_jax.systems.downscaler import check_drawn, sampling_of
from downscale_jax.systems.system import Trained
from downscale_jax.systems.workdir import zeros
from downscale_jax.training.loop import initialised

CONFIG = Path(__file__).parents[2] / 'configs' / 'diffusion_dpdm.py'
INFINITY = float('inf')


def config(variant='smoke', **changes):
    """`data__patch=30`: data.patch."""
    found = runpy.run_path(str(CONFIG))['get_config'](variant).to_dict()
    for key, value in changes.items():
        *sections, entry = key.split('__')
        inner = found
        for section in sections:
            inner = inner[section]
        inner[entry] = value
    return found


def states(settings):
    """Shapes of the states of all tasks; nothing is computed."""
    tasks, batch = dpdm.build(settings), zeros(dpdm.shapes(settings), 1)
    return {name: jax.eval_shape(dpdm.initialise(name, tasks), jax.random.key(0), batch) for name in tasks}


def sizes(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


def test_tasks_in_their_order():
    tasks = dpdm.build(config())
    assert list(tasks) == ['edsr', 'edsr_gan', 'regression', 'dpdm']
    assert [phase.name for phase in tasks['edsr'].phases] == ['edsr']
    assert [phase.name for phase in tasks['edsr_gan'].phases] == ['edsr_gan']
    assert tasks['edsr_gan'].pretraining == tasks['edsr']
    assert tasks['dpdm'].regression == tasks['regression']
    assert [phase.name for phase in tasks['dpdm'].phases] == ['main']
    assert [task.draws for task in tasks.values()] == [False, False, False, True]
    assert list(dpdm.build(config(rivals=('edsr',)))) == ['edsr', 'regression', 'dpdm']
    assert list(dpdm.build(config(rivals=()))) == ['regression', 'dpdm']
    assert dpdm.build(config(diffusion__first_guess=False))['dpdm'].regression is None
    assert SYSTEMS['dpdm'] is dpdm.SYSTEM


@pytest.mark.parametrize(('name', 'kind'), [('unet', UNet), ('dpdm', DpdmUNet)])
def test_the_network_that_is_named(name, kind):
    tasks = dpdm.build(config(model__network=name, data__patch=80))
    assert isinstance(tasks['dpdm'].network, kind)
    assert tasks['dpdm'].network.channels == 2
    assert tasks['regression'].network == tasks['dpdm'].network.clone(channels=4)  # a mean and its error


def test_the_published_network():
    """z, the interpolated field, topography and the mask of land."""
    settings = config('paper')
    found = states(settings)
    assert list(found) == ['edsr', 'edsr_gan', 'regression', 'dpdm']
    unet = dpdm.networks(found)['unet']['params']
    assert unet['stem']['kernel'].shape == (3, 3, 4, 64)
    assert sizes(unet) == 11_105_409
    schedule = dpdm.build(settings)['dpdm'].schedule
    assert (schedule.steps, schedule.betas, schedule.shown) == (1000, 'cosine', 'step')
    assert dpdm.build(config())['dpdm'].schedule.shown == 'angle'


def test_patches_that_are_no_whole_blocks():
    """Of 88 cells the rivals take the 80 that are eight blocks; their tiles are multiples of ten."""
    settings = config(data__patch=88, sampling__tile=488)
    tasks, batch = dpdm.build(settings), zeros(dpdm.shapes(settings), 2)
    assert {x.shape[1:3] for x in tasks['edsr'].whole(batch).values()} == {(80, 80)}
    for name in ('edsr', 'edsr_gan'):
        state = jax.eval_shape(tasks[name].init, jax.random.key(0), batch)
        assert jax.eval_shape(tasks[name].eval_step, state, batch, jax.random.key(0))['loss'].shape == (2,)
        generator = FieldGenerator(tasks[name], None, None, sampling_of(settings))
        assert generator.tiling(Domain((960, 960), 7)).tile == 480


def test_what_each_network_sees():
    """Of 2 V + S + 1 channels EDSR takes the repeated fields, the U-Nets the rest; the diffusion a first guess too."""
    shown = dpdm.shapes(config())['condition'].shape[-1]
    assert shown == 2 * 2 + (1 + 1 + 2) + 1
    found = states(config())
    assert list(dpdm.networks(found)) == ['edsr', 'regression', 'unet']
    assert found['edsr'].params['params']['in_conv']['kernel'].shape[2] == 2
    assert sizes(found['edsr'].params) == sizes(found['edsr_gan'].params['generator'])
    for first, guess in ((True, 2 * 2), (False, 0)):
        given = config(diffusion__first_guess=first, model__network='dpdm', data__patch=80, rivals=())
        found = states(given)
        assert list(dpdm.networks(found)) == ['regression', 'unet']
        stems = [found[name].params['params']['stem']['kernel'].shape[2] for name in ('regression', 'dpdm')]
        assert stems == [shown - 2, 2 + shown - 2 + guess]


def test_the_repeated_field_is_not_shown_to_the_unets():
    settings = config(diffusion__first_guess=False, rivals=())
    tasks, batch = dpdm.build(settings), zeros(dpdm.shapes(settings), 1)
    rng = np.random.default_rng(0)
    batch['condition'] = rng.normal(size=batch['condition'].shape).astype('f4')
    other = batch['condition'].copy()
    other[..., :2] += 1
    seen = [tasks['dpdm'].condition(None, one)[0] for one in (batch['condition'], other)]
    np.testing.assert_array_equal(*seen)
    np.testing.assert_array_equal(seen[0], batch['condition'][..., 2:])


@pytest.mark.parametrize(
    ('changes', 'parts'),
    [
        ({'model__network': 'unett'}, ["model.network='unett'", "'unet'"]),
        ({'model__dtype': 'float31'}, ["model.dtype='float31'", "'float32'"]),
        ({'rivals': ('edsr', 'srgan')}, ["rivals='srgan'", "'edsr_gan'"]),
        ({'rivals': ('edsr_gan',)}, ["rivals=('edsr_gan',)", "'edsr_gan' starts from 'edsr'"]),
        ({'rivals': ('edsr_gan', 'edsr')}, ["'edsr_gan' starts from 'edsr'"]),
        ({'edsr__factors': (2, 2)}, ['edsr.factors=(2, 2)', 'refine cells 4 times', 'data.factor=10', 'product']),
        ({'data__patch': 45}, ['data.patch=45', 'multiple of', 'the U-Net']),
        (
            {'data__patch': 44, 'model__network': 'dpdm', 'rivals': ()},
            ['data.patch=44', 'multiple of 8', 'the U-Net', '40 or 48'],
        ),
        ({'sampling__tile': 482}, ['sampling.tile=482', 'multiple of 8']),
        ({'sampling__overlap': 240}, ['sampling.tile=480', 'overlap=240']),
        ({'diffusion__betas': 'cosinus'}, ["'cosinus'", "'cosine'"]),
        ({'diffusion__steps': 10}, ['diffusion.steps=10', 'at least 50']),
        ({'diffusion__prediction': 'noise'}, ["'noise'", 'eps']),
        ({'training__phases': ()}, ['training.phases=()', 'not empty']),
        ({'training__phases': ('mian',)}, ['training.phases', "'mian'", "'main'"]),
    ],
)
def test_values_that_do_not_go_together(changes, parts):
    with pytest.raises(UserError) as error:
        before_training(dpdm.SYSTEM, config(**changes))
    assert all(part in str(error.value) for part in parts), error.value
    assert '\n' not in str(error.value)


@pytest.mark.parametrize(
    ('members', 'seed', 'message'),
    [
        (0, 0, '^members=0: .*at least 1'),
        (10**9, 0, '^members=1000000000: .*at most 10000'),
        (1, -1, '^seed=-1: .*at least 0'),
        (1, 2**32, '^seed=4294967296: .*at most'),
    ],
)
def test_an_ensemble_that_cannot_be_drawn(members, seed, message):
    """From Python as by the command line."""
    check_drawn(1, 2**32 - 1)
    with pytest.raises(UserError, match=message):
        check_drawn(members, seed)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('training__batch_size', 0, r'training\.batch_size=0: .*at least 1'),
        ('training__ema_decay', 2.0, r'training\.ema_decay=2\.0: .*at least 0 and less than 1'),
        ('training__edsr__learning_rate', -1.0, r'training\.edsr\.learning_rate=-1\.0: .*more than 0'),
    ],
)
def test_training_that_could_not_learn(key, value, message):
    settings = config(**{key: value})
    with pytest.raises(UserError, match=message):
        before_training(dpdm.SYSTEM, settings)


@pytest.mark.parametrize(
    ('changes', 'parts'),
    [
        ({'data__patches_per_record': 0}, ['data.patches_per_record=0: ', 'at least 1']),
        ({'evaluation__members': 1}, ['evaluation.members=1: ', 'at least 2']),
        ({'evaluation__records': 0}, ['evaluation.records=0', 'None']),
        ({'evaluation__calibration_records': -2}, ['evaluation.calibration_records=-2: ', 'at least 0']),
        ({'data__bounds': (1.0, 0.0)}, ['data.bounds=(1.0, 0.0)', '(lower, upper)']),
        ({'data__bounds': ((0.0, 1.0),) * 3}, ['data.bounds', '(lower, upper)', "('t2m', 'tp')"]),
        ({'diffusion__steps': 100}, ['model.unet.turns=100.0', 'diffusion.steps=100', 'use 10']),
        ({'sampling__sampler': 'euler'}, ["'euler'", 'heun']),
        ({'sampling__members': 0}, ['sampling.members=0']),
        ({'sampling__temperature': -1.0}, ['sampling.temperature=-1.0']),
        ({'evaluation__members': 1, 'data__patches_per_record': 0}, ['patches_per_record=0', 'evaluation.members=1']),
    ],
)
def test_values_that_would_fail_after_training(changes, parts):
    with pytest.raises(UserError) as error:
        before_training(dpdm.SYSTEM, config(**changes))
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize('variant', ['', 'smoke', 'paper'])
def test_every_variant_goes_together(variant):
    settings = config(variant)
    before = copy.deepcopy(settings)
    before_training(dpdm.SYSTEM, settings)
    assert settings == before


def test_edsr_gan_is_handed_edsr():
    settings = config(edsr__blocks=1)
    tasks, batch = dpdm.build(settings), zeros(dpdm.shapes(settings), 1)
    rng, shapes = np.random.default_rng(0), states(settings)['edsr']
    alone = shapes.replace(params=jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype('f4'), shapes.params))
    asked = []

    def restored(name):
        asked.append(name)
        return alone

    trained = Trained(restored, tuple, None, settings)
    initialise = dpdm.initialise('edsr_gan', tasks, trained)
    # trained weights are arguments: constants would make a new program, and a new file in the cache, of every run
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(initialise), jax.tree.leaves(alone.params))
    state = initialised(initialise, jax.random.key(2, impl='unsafe_rbg'), batch)
    assert asked == ['edsr']
    jax.tree.map(np.testing.assert_array_equal, state.params['generator'], alone.params)
    assert dpdm.initialise('edsr', tasks, trained) == tasks['edsr'].init
    assert asked == ['edsr']


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """Settings of a region of 40 x 40 cells, eighteen months, and its prepared data."""
    months = {
        'train': (('1981-01', '1981-12'),),
        'validation': (('1982-01', '1982-03'),),
        'test': (('1982-04', '1982-06'),),
    }
    settings = config()
    settings['data'].update(months)
    settings['data']['simulate'].update(rows=40, columns=40, months=18)
    return settings, prepare(settings['data'], 0, tmp_path_factory.mktemp('data'))


def test_shapes_are_those_of_the_examples(small):
    settings, prepared = small
    for split in ('train', 'validation'):
        patches = dpdm.examples(settings, prepared, split)
        batch = patches.batch(np.arange(3), np.arange(3))
        assert {
            name: jax.ShapeDtypeStruct(array.shape[1:], array.dtype) for name, array in batch.items()
        } == dpdm.shapes(settings)
        assert patches.count == prepared.meta['records'][split] * settings['data']['patches_per_record']
        assert not patches.flips
    assert np.isfinite(batch['condition']).all()
    assert np.isfinite(batch['target']).all()


def test_what_is_shown_is_normalised(small):
    """Interpolated fields and topography of the order of 1, what is left for the network of unit variance."""
    settings, prepared = small
    patches = dpdm.examples(settings, prepared, 'train')
    batch = patches.batch(np.zeros(40, int), np.arange(40))
    condition, target = batch['condition'], batch['target']
    np.testing.assert_allclose(condition[..., :4].std((0, 1, 2)), 1, atol=0.35)
    assert np.abs(condition[..., 4].mean()) < 0.3  # topography
    np.testing.assert_allclose(target.std((0, 1, 2)), 1, atol=0.2)
    np.testing.assert_allclose((condition[..., 6:8] ** 2).sum(-1), 1, rtol=1e-5)  # the season
    transform = prepared.transform_as(BlockMeans)
    assert transform.kernel == ('cubic', 'linear')
    assert transform.bounds == ((-INFINITY, INFINITY), (0.0, INFINITY))
