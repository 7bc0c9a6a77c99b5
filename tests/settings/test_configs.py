"""Every key of every config is described; every value is refused in one line before work, or meaningful."""

import copy
import math
import runpy
import warnings
from dataclasses import fields
from pathlib import Path

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.runtime.settings import flatten
from downscale_jax.settings.check import PHASE, check, describe
from downscale_jax.settings.training import PhaseSettings
from downscale_jax.systems import SYSTEMS
from downscale_jax.systems.checks import before_training
from downscale_jax.training.optimizer import Phase

ROOT = Path(__file__).parents[2]
VARIANTS = {
    'pairs': ('', 'smoke'),
    'cordex_bench': ('ALPS', 'ALPS-smoke'),
    'rosettes': ('', 'resnet', 'smoke', 'paper'),
    'crystal_vae': ('', 'habits', 'smoke', 'paper'),
}  # of others: '', 'smoke', 'paper'
NAMES = [path.stem for path in sorted((ROOT / 'configs').glob('[a-z]*.py'))]
NAN, INFINITY = math.nan, math.inf
# what data_prep.choices chooses from the files
CHOSEN = {
    'data.predictors': ('t2m', 'tp'), 'data.targets': ('tp',), 'data.patch': 64, 'model.stem': 4,
    'data.target_units': ('mm day-1',), 'data.predictor_units': ('K', 'mm day-1'), 'data.sources': ('tp',),
    'data.bounds': ((0.0, INFINITY),), 'evaluation.baselines': ('interpolation',),
    'evaluation.window': 40,
}  # fmt: skip


def variants(name):
    return VARIANTS.get(name, ('', 'smoke', 'paper'))


def config(name, variant=None, **changes):
    """`data__patch=30`: data.patch. By default the first variant."""
    get_config = runpy.run_path(str(ROOT / 'configs' / f'{name}.py'))['get_config']
    found = get_config(variants(name)[0] if variant is None else variant).to_dict()
    if found['system'] == 'pairs':
        put_all(found, CHOSEN)
    for key, value in changes.items():
        put(found, key.replace('__', '.'), value)
    return found


def put_all(settings, values):
    for key, value in values.items():
        put(settings, key, value)


def put(settings, key, value):
    *sections, name = key.split('.')
    for section in sections:
        settings = settings[section]
    settings[name] = value


def described_as(key):
    """A key of a phase under the name that its description has."""
    parts = key.split('.')
    return f'training.{PHASE}.{parts[2]}' if parts[0] == 'training' and len(parts) == 3 else key


@pytest.mark.parametrize('system', SYSTEMS)
def test_every_key_is_described_and_every_description_is_used(system):
    configs = [config(name, variant) for name in NAMES for variant in variants(name)]
    used = {described_as(key) for settings in configs if settings['system'] == system for key in flatten(settings)}
    known = describe(SYSTEMS[system].settings)
    optional = {f'training.{PHASE}.{field.name}' for field in fields(Phase)} | {'data.simulate.seed'}
    assert used <= set(known)
    assert set(known) <= used | optional
    assert all(setting.valid and setting.meaning for setting in known.values())


def test_the_description_of_a_phase_is_that_of_its_record():
    described = {name: field.default for name, field in PhaseSettings.model_fields.items() if not field.is_required()}
    own = {field.name: field.default for field in fields(Phase) if field.name not in ('name', 'per_network')}
    assert described == {name: value for name, value in own.items() if name not in ('steps', 'learning_rate')}
    assert set(PhaseSettings.model_fields) == set(own)


def test_the_settings_that_accept_none_on_the_command_line():
    optional = runpy.run_path(str(ROOT / 'main.py'), run_name='settings')['OPTIONAL']
    none = {
        key
        for system in SYSTEMS.values()
        for key, setting in describe(system.settings).items()
        if setting.valid.endswith('or None')
    }
    assert set(optional) == none


def test_a_key_without_description_is_refused():
    with pytest.raises(UserError, match=r"'data\.ptch' is not a setting of this system: did you mean 'data\.patch'"):
        check(SYSTEMS['srgan'].settings, config('srgan', data__ptch=3))
    lacking = config('srgan')
    del lacking['data']['patch']
    with pytest.raises(UserError, match=r'data\.patch is missing: it must be an integer'):
        check(SYSTEMS['srgan'].settings, lacking)


def test_all_faults_are_named_at_once():
    with pytest.raises(UserError, match=r"seed=-1: .*; data\.patch='a': .*; model\.widths=\(0, 0\): [^;]*$"):
        check(SYSTEMS['diffusion'].settings, config('diffusion_sit', seed=-1, data__patch='a', model__widths=(0, 0)))


FAULTS = [
    ('diffusion_sit', 'data.noise', (-0.1, 0.0, 0.0, 0.0)),
    ('diffusion_sit', 'data.kernel_km', (NAN, 24.0, 120.0, 120.0)),
    ('diffusion_sit', 'data.kernel_km', (-120.0, 24.0, 120.0, 120.0)),
    ('diffusion_sit', 'data.kernel_km', (120.0, 24.0)),
    ('diffusion_sit', 'data.spacing_km', (NAN, 12.0, 60.0, 60.0)),
    ('diffusion_sit', 'data.spacing_km', (-25.0, 12.0, 60.0, 60.0)),
    ('diffusion_sit', 'data.spacing_km', (25.0,)),
    ('diffusion_sit', 'data.noise', (0.1,)),
    ('diffusion_sit', 'data.inputs', ('sic', 'divergence', 'shear', 'sid')),
    ('diffusion_sit', 'data.inputs', ('sit', 'sic', 'divergence', 'sit')),
    ('diffusion_sit', 'data.kind', 'refine'),
    ('diffusion_sit', 'data.patch', 512),
    ('diffusion_sit', 'data.bounds', ((2.0, 1.0),)),
    ('diffusion_sit', 'data.bounds', ((NAN, 1.0),)),
    ('diffusion_sit', 'data.simulate.size', 0),
    ('diffusion_sit', 'data.simulate.states', 0),
    ('diffusion_sit', 'seed', -1),
    ('diffusion_sit', 'seed', 2**40),
    ('diffusion_sit', 'model.stem', 0),
    ('diffusion_sit', 'model.widths', ()),
    ('diffusion_sit', 'model.blocks', -1),
    ('diffusion_sit', 'model.embedding', 7),
    ('diffusion_sit', 'model.time', 'typo'),
    ('diffusion_sit', 'diffusion.signal_rates', (0.01, 0.9995)),
    ('diffusion_sit', 'diffusion.signal_rates', (0.5, 0.5)),
    ('diffusion_sit', 'diffusion.signal_rates', (1.0, 0.01)),
    ('diffusion_sit', 'diffusion.signal_rates', (0.99, 0.0)),
    ('diffusion_sit', 'diffusion.signal_rates', (NAN, 0.1)),
    ('diffusion_sit', 'diffusion.level', 'varaince'),
    ('diffusion_sit', 'diffusion.prediction', 'noise'),
    ('diffusion_sit', 'training.validate_every', 0),
    ('diffusion_sit', 'training.validate_every', -200),
    ('diffusion_sit', 'training.validate_every', 201),
    ('diffusion_sit', 'training.batch_size', 10**9),
    ('diffusion_sit', 'training.main.clip', -1.0),
    ('diffusion_sit', 'training.main.warmup', -1),
    ('diffusion_sit', 'training.main.schedule', 'cosin'),
    ('diffusion_sit', 'training.phases', ('main', 'main')),
    ('diffusion_sit', 'sampling.temperature', 1e30),
    ('diffusion_sit', 'sampling.temperature', -0.1),
    ('diffusion_sit', 'sampling.correlation_hours', -1.0),
    ('diffusion_sit', 'sampling.sampler', 'dpmsolver'),
    ('diffusion_sit', 'sampling.spacing', 'snr'),
    ('diffusion_sit', 'sampling.steps', 0),
    ('diffusion_sit', 'sampling.members', 0),
    ('diffusion_sit', 'sampling.eta', 0.5),
    ('diffusion_sit', 'evaluation.baselines', ('linear',)),
    ('diffusion_sit', 'evaluation.baselines', ()),
    ('diffusion_sit', 'evaluation.measures', ('pointwise', 'pointwise')),
    ('diffusion_sit', 'evaluation.window', 25),
    ('diffusion_sit', 'evaluation.regimes', ((),)),
    ('diffusion_sit', 'evaluation.regimes', ((0.1, 0.2), (0.1,))),
    ('diffusion_dpdm', 'model.unet.widths', ()),
    ('diffusion_dpdm', 'model.unet.time', 'typo'),
    ('diffusion_dpdm', 'model.dpdm.inner', 48),
    ('diffusion_dpdm', 'model.dpdm.multipliers', ()),
    ('diffusion_dpdm', 'edsr.discriminator', (16, -32)),
    ('diffusion_dpdm', 'edsr.factors', (-2, -5)),
    ('diffusion_dpdm', 'training.edsr.steps', 0),
    ('diffusion_dpdm', 'data.level', NAN),
    ('diffusion_dpdm', 'data.variables', ('t2m', 't2m')),
    ('diffusion_dpdm', 'data.variables', ()),
    ('diffusion_dpdm', 'data.variables', ('t2m', 'tq')),
    ('diffusion_dpdm', 'data.units', ('K',)),
    ('diffusion_dpdm', 'data.units', 'K'),
    ('diffusion_dpdm', 'data.transform', 'logs'),
    ('diffusion_dpdm', 'data.transform', ('log', 'log1')),
    ('diffusion_dpdm', 'data.transform', ('log',) * 3),
    ('diffusion_dpdm', 'data.transform', ()),
    ('diffusion_dpdm', 'data.interpolation', 'cubik'),
    ('diffusion_dpdm', 'data.grid_point', 'ranges'),
    ('diffusion_dpdm', 'data.context', ('season', 'season')),
    ('diffusion_dpdm', 'data.simulate.world', 'moutains'),
    ('diffusion_dpdm', 'data.simulate.months', 0),
    ('diffusion_dpdm', 'data.factor', 1),
    ('diffusion_dpdm', 'rivals', ('edsr', 'edsr')),
    ('diffusion_dpdm', 'diffusion.steps', 49),
    ('diffusion_dpdm', 'diffusion.betas', 'cosin'),
    ('diffusion_dpdm', 'evaluation.baselines', ('linear', 'bicubik')),
    ('diffusion_dpdm', 'evaluation.baselines', ('coarse',)),
    ('srgan', 'model.factors', (-2, -2)),
    ('srgan', 'model.kernel', 0),
    ('srgan', 'discriminator.widths', (16, -1)),
    ('srgan', 'contents', ('mse', 'mse')),
    ('srgan', 'data.simulate.rows', 33),
    ('srgan', 'data.bounds', ((0.0, INFINITY),) * 2),
    ('srgan', 'data.mean', 'phisical'),
    ('srgan', 'training.balance', (0.6, 0.4)),
    ('srgan', 'sampling.overlap', -1),
    ('rosettes', 'data.arms', (5,)),
    ('rosettes', 'data.arms', (3, 4)),
    ('rosettes', 'data.arms', (4, 4)),
    ('rosettes', 'data.views', 3),
    ('rosettes', 'data.angle', 180.0),
    ('rosettes', 'data.test_share', 0.88),
    ('rosettes', 'data.split_by', 'images'),
    ('rosettes', 'data.size', 4),
    ('rosettes', 'model.trunk', 'resnet18'),
    ('rosettes', 'training.class_weight', -1.0),
    ('cloud_vae', 'data.split_by', 'image'),
    ('cloud_vae', 'data.simulate.lagrangian', 1),
    ('cloud_vae', 'model.latents', (2, 2)),
    ('cloud_vae', 'model.blocks', -1),
    ('cloud_vae', 'training.kl_weight', NAN),
    ('cloud_vae', 'evaluation.permutations', 0),
    ('crystal_vae', 'data.habits', ('sphere',)),
    ('crystal_vae', 'data.habits', ('sphere', 'cube')),
    ('crystal_vae', 'evaluation.splits', ('all',)),
    ('atmodist', 'data.simulate.days', 0),
    ('atmodist', 'data.latitudes', ()),
    ('atmodist', 'data.latitudes', (60.0, -60.0)),
    ('atmodist', 'data.lags', 0),
    ('atmodist', 'data.patch', 65),
    ('atmodist', 'data.variables', ('vortcity',)),
    ('atmodist', 'data.train', ()),
    ('atmodist', 'data.train', (('2001-05-20', '2001-01-01'),)),
    ('atmodist', 'pretexts', ('lags', 'lags')),
    ('atmodist', 'model.momentum', 1.0),
]


@pytest.mark.parametrize(('name', 'key', 'value'), FAULTS, ids=[f'{key}={value}' for _, key, value in FAULTS])
def test_a_fault_is_refused_by_name(name, key, value):
    settings = config(name, **{key: value})
    with pytest.raises(UserError) as error:
        before_training(SYSTEMS[settings['system']], settings)
    assert key in str(error.value)
    assert '\n' not in str(error.value)


ODD = (
    0, -1, 7, 0.5, NAN, INFINITY, -INFINITY, 2**40, 1e30, 'typo', None, True, (), (0,), (-1,), (NAN,), ('a', 'a'),
    (2**40,), ((1.0, 0.0),), {},
)  # fmt: skip
HUGE = (INFINITY, -INFINITY, 2**40, 1e30)
# numbers of steps, records, examples and pairs: as many as exist, or a very long training
UNLIMITED = (
    'seed',
    'steps',
    'warmup',
    'examples',
    'validate_every',
    'records',
    'calibration_records',
    'pairs',
    'level',
)
# settings that a size of the network must fit
FITTED = ('data.patch', 'data.factor', 'sampling.tile')


@pytest.mark.parametrize('name', [name for name in NAMES if name != 'cordex_bench'])  # a config of pairs
def test_odd_values_are_refused_by_name_or_meaningful(name):
    original = config(name)
    system = SYSTEMS[original['system']]
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for key, default in flatten(original).items():
            several = isinstance(default, tuple)
            settings = copy.deepcopy(original)
            for value in (*ODD, *((default[::-1], default + default[:1]) if several else ())):
                put(settings, key, value)
                try:
                    before_training(system, settings)
                except UserError as error:
                    message = str(error)
                    assert '\n' not in message
                    assert key in message or any(fitted in message for fitted in FITTED), (key, value, message)
                else:
                    entries = value if isinstance(value, tuple) else (value,)
                    assert not any(entry != entry for entry in entries), (key, value)  # NaN
                    assert not set(HUGE) & set(entries) or key.split('.')[-1] in UNLIMITED, (key, value)
