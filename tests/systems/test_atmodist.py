"""The learned distance on xarray, and how a config becomes tasks that hand their encoder on."""

import json
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime import parallel
from downscale_jax.runtime.checkpoints import Checkpoints
from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import atmodist, load
from downscale_jax.systems.checks import before_training
from downscale_jax.systems.system import Trained
from downscale_jax.tasks.lags import Lags

ROOT = Path(__file__).parents[2]
TRANSFORM = {
    'variables': ['vorticity', 'divergence'],
    'units': ['s-1', 's-1'],
    'mean': [1e-6, 0.0],
    'std': [3e-5, 1e-5],
    'log_mean': [0.0, 0.0],
    'log_std': [0.16, 0.16],
}
PHASE = {'steps': 2, 'learning_rate': 0.1, 'optimizer': 'sgd', 'schedule': 'constant'}


def config(**evaluation):
    """The smoke variant, smaller."""
    found = runpy.run_path(str(ROOT / 'configs' / 'atmodist.py'))['get_config']('smoke').to_dict()
    found['pretexts'] = ['lags']
    found['model'].update(widths=[4, 6, 8], tail=8)
    found['training'] |= {'main': PHASE, 'l2': 1e-2}
    found['evaluation'] |= {'pairs': 10, **evaluation}
    return found


def example(rows=8):
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, rows, 32, 32, 2)).astype('f4')
    return {'first': first, 'second': second, 'lag': np.arange(rows, dtype='i4') % 4}


@pytest.fixture(scope='module')
def opened(tmp_path_factory):
    """A work directory with random weights and batch statistics of a batch."""
    workdir = tmp_path_factory.mktemp('work')
    (workdir / 'config.json').write_text(json.dumps(config()))
    (workdir / 'prepared.json').write_text(json.dumps({'kind': 'lag_pairs', 'transform': TRANSFORM, 'idealised': True}))
    axes = {'lat': np.linspace(-80, 80, 33), 'lon': np.arange(64) * 5.625}
    xr.Dataset({'mask': (('lat', 'lon'), np.ones((33, 64)))}, axes).to_netcdf(workdir / 'statics.nc')
    tasks = atmodist.build(config())
    for seed, (name, task) in enumerate(tasks.items()):
        state = jax.jit(atmodist.initialise(name, tasks))(jax.random.key(seed, impl='unsafe_rbg'), example())
        saved = Checkpoints(workdir / 'checkpoints' / name, 1)
        saved.save(2, stepped(task, state)[0], {'steps': np.zeros(())}, 1.0)
        saved.close()
    return load(workdir)


def stepped(task, state):
    """The state after a step."""

    def step(state, batch):
        return task.train_step(state, batch, jax.random.key(0), task.phases[0])

    whole, rows = parallel.REPLICATED, parallel.SHARDED_ROWS
    return parallel.sharded(step, (whole, rows), (whole, whole))(
        parallel.replicate(state), parallel.split_rows(example(8 * jax.device_count()))
    )


def fields(times=3, rows=40, columns=72, seed=0):
    rng = np.random.default_rng(seed)
    dims = ('time', 'lat', 'lon')
    shape = (times, rows, columns)
    return xr.Dataset(
        {
            'vorticity': (dims, 3e-5 * rng.normal(size=shape), {'units': 's-1'}),
            'divergence': (dims, 1e-5 * rng.normal(size=shape), {'units': 's-1'}),
        },
        {
            'time': np.datetime64('2001-01-01', 'ns') + 3 * np.arange(times) * np.timedelta64(1, 'h'),
            'lat': ('lat', np.linspace(-60, 60, rows), {'units': 'degrees_north'}),
            'lon': ('lon', np.arange(columns) * 5.0, {'units': 'degrees_east'}),
        },
    )


@pytest.mark.parametrize(('stage', 'shape'), [(0, (10, 18, 8)), (3, (10, 18, 8)), (2, (20, 36, 6)), (1, (40, 72, 4))])
def test_embed_is_the_encoder_of_the_transformed_fields(opened, stage, shape):
    # the stem halves, stages 2 and 3 halve again
    shape = (shape[0] // 2, shape[1] // 2, shape[2])
    found = opened.embed(fields(), stage)
    assert found.dims == ('time', 'row', 'column', 'channel')
    assert found.shape == (3, *shape)
    np.testing.assert_array_equal(found['time'], fields()['time'])
    x = np.stack([fields()[name].values for name in TRANSFORM['variables']], -1).astype('f4')
    x = Prepared(opened.workdir).transform_as(Standardisation).encode(x)
    expected = opened.tasks['lags'].embed(opened.params, x, stage or 3)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_distance(opened):
    a, b = fields(), fields(seed=1)
    found = opened.distance(a, b)
    assert found.dims == ('time',)
    np.testing.assert_array_equal(found['time'], a['time'])
    assert (found > 0).all()
    np.testing.assert_array_equal(opened.distance(b, a), found)
    np.testing.assert_array_equal(opened.distance(a, a), 0)
    codes = opened.embed(a).values - opened.embed(b).values
    np.testing.assert_allclose(found, np.square(codes).mean((1, 2, 3)), rtol=1e-5)
    assert not np.allclose(opened.distance(a, b, stage=1), found)


def test_any_number_of_times_gives_what_single_ones_give(opened):
    a, b = (fields(times=20, rows=32, columns=40, seed=seed) for seed in (0, 1))  # more than a batch
    whole = opened.distance(a, b)
    single = [opened.distance(a.isel(time=[i]), b.isel(time=[i])).item() for i in (0, 15, 16, 19)]
    np.testing.assert_allclose(whole[[0, 15, 16, 19]], single, rtol=1e-5)
    np.testing.assert_allclose(opened.embed(a)[17], opened.embed(a.isel(time=[17]))[0], rtol=1e-4, atol=1e-5)


def test_units_are_converted_and_names_of_axes_known(opened):
    a, b = fields(), fields(seed=1)
    daily = b.assign(vorticity=(b['vorticity'] * 86_400).assign_attrs(units='day-1'))
    np.testing.assert_allclose(opened.distance(a, daily), opened.distance(a, b), rtol=1e-4)
    other = b.rename(lat='latitude', lon='longitude', time='valid_time').transpose(..., 'valid_time')
    np.testing.assert_allclose(opened.distance(a, other), opened.distance(a, b), rtol=1e-6)


def test_rows_may_run_either_way(opened):
    a, b = fields(), fields(seed=1)
    for turned in (b.isel(lat=slice(None, None, -1)), b.isel(lat=slice(None, None, -1), lon=slice(None, None, -1))):
        np.testing.assert_array_equal(opened.distance(a, turned), opened.distance(a, b))
        np.testing.assert_array_equal(opened.embed(turned), opened.embed(b))


def test_fields_on_disk_are_read_as_they_are_needed(opened, tmp_path):
    fields(times=5).to_netcdf(tmp_path / 'fields.nc')
    with xr.open_dataset(tmp_path / 'fields.nc', chunks={'time': 1}) as lazy:
        np.testing.assert_array_equal(opened.distance(lazy, lazy), 0)
        assert lazy['vorticity'].chunks


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda b: b.drop_vars('divergence'), "no variable 'divergence'"),
        (lambda b: b.isel(lat=slice(0, 33)), r'same shape, found \(3, 40, 72\) and \(3, 33, 72\)'),
        (lambda b: b.isel(time=[0]), r'same shape, found \(3, 40, 72\) and \(1, 40, 72\)'),
        (lambda b: b.isel(time=0, drop=True), 'no time axis'),
        (lambda b: b.assign(vorticity=b['vorticity'].assign_attrs(units='m s-1')), "cannot be converted to 's-1'"),
        (lambda b: b.assign(vorticity=b['vorticity'].drop_attrs()), "'vorticity' has no units"),
    ],
)
def test_mistakes(opened, change, message):
    with pytest.raises(UserError, match=message) as error:
        opened.distance(fields(), change(fields()))
    assert '\n' not in str(error.value)


def test_values_are_compared_with_those_of_training(opened, caplog):
    unlike = fields().map(lambda field: field * 86400, keep_attrs=True)  # per day, while the units say per second
    with pytest.raises(
        UserError, match=r"'vorticity' reaches from .* 's-1', but from -0\.0005\d* to 0\.0005\d* in training"
    ):
        opened.embed(unlike)
    stronger = fields().map(lambda field: field * 20, keep_attrs=True)
    assert not caplog.records
    opened.distance(fields(), stronger)
    assert len(caplog.records) == 2  # one for each variable


def test_a_stage_that_is_not_there(opened):
    with pytest.raises(UserError, match='stage=4: the encoder has stages 1 to 3'):
        opened.embed(fields(), 4)


def test_the_rival_comes_first_and_hands_nothing_on():
    tasks = atmodist.build({**config(), 'pretexts': ['inpainting', 'lags']})
    assert list(tasks) == ['untrained', 'inpainting', 'lags']
    assert [getattr(task, 'train_encoder', True) for task in tasks.values()] == [False, True, True]
    asked = []

    def restored(name):
        asked.append(name)
        return jax.jit(tasks[name].init)(jax.random.key(5, impl='unsafe_rbg'), example())

    states = {
        name: jax.jit(atmodist.initialise(name, tasks, Trained(restored, tuple, None, {})))(
            jax.random.key(0, impl='unsafe_rbg'), example()
        )
        for name in tasks
    }
    assert asked == ['inpainting']
    jax.tree.map(
        np.testing.assert_array_equal, states['lags'].params['encoder'], restored('inpainting').params['encoder']
    )
    networks = atmodist.networks(states)
    assert list(networks) == ['tail', 'encoder']
    assert networks['encoder']['params'] is states['lags'].params['encoder']
    assert list(atmodist.build(config(untrained_rival=False))) == ['lags']


def test_an_encoder_that_never_saw_lags_is_asked_for_them_by_a_tail():
    tasks = atmodist.build({**config(untrained_rival=False), 'pretexts': ['lags', 'inpainting']})
    assert list(tasks) == ['lags', 'inpainting', 'probe']
    assert isinstance(tasks['probe'], Lags)
    assert not tasks['probe'].train_encoder

    def restored(name):
        assert name == 'inpainting'
        return jax.jit(tasks[name].init)(jax.random.key(5, impl='unsafe_rbg'), example())

    initialise = jax.jit(atmodist.initialise('probe', tasks, Trained(restored, tuple, None, {})))
    state = initialise(jax.random.key(0, impl='unsafe_rbg'), example())
    jax.tree.map(np.testing.assert_array_equal, state.params['encoder'], restored('inpainting').params['encoder'])


def test_the_rivals_encoder_stays_as_it_was_drawn():
    task = atmodist.build(config())['untrained']
    assert isinstance(task, Lags)
    before = jax.jit(task.init)(jax.random.key(0, impl='unsafe_rbg'), example())
    before = jax.device_get(before)
    after, metrics = jax.device_get(stepped(task, before))
    jax.tree.map(np.testing.assert_array_equal, after.params['encoder'], before.params['encoder'])
    moved = [
        np.any(x != y)
        for x, y in zip(*map(jax.tree.leaves, (after.params['tail'], before.params['tail'])), strict=True)
    ]
    assert all(moved)
    # its statistics follow the data
    stats = [x.stats['encoder']['stem_norm']['var'] for x in (before, after)]
    assert np.all(stats[0] != stats[1])
    assert metrics['gradient_norm'] > 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'training': {**config()['training'], 'phases': []}}, r'training\.phases=\(\): .*not empty'),
        ({'training': {**config()['training'], 'phases': ['mein']}}, "unknown phase 'mein': did you mean 'main'"),
        ({'pretexts': []}, r"pretexts=\(\): .*'lags' or 'inpainting', not empty"),
        ({'pretexts': ['lag']}, "pretexts='lag' is unknown: did you mean 'lags'"),
        ({'model': {**config()['model'], 'dtype': 'float16'}}, "model.dtype='float16' is unknown: did you mean"),
    ],
)
def test_mistakes_of_a_config(changes, message):
    with pytest.raises(UserError, match=message):
        before_training(atmodist.SYSTEM, {**config(), **changes})


def test_no_pairs_to_evaluate():
    with pytest.raises(UserError, match=r'evaluation\.pairs=0: .*at least 1'):
        before_training(atmodist.SYSTEM, config(pairs=0))


def test_arguments_of_every_form(opened, tmp_path):
    """A file is as good as its data set; a wrong type, a missing value and a method of other models name themselves."""
    rng, days = np.random.default_rng(0), np.datetime64('2000-01-01', 'ns') + np.arange(2) * np.timedelta64(1, 'D')
    dims, axes = ('time', 'lat', 'lon'), {'time': days, 'lat': np.linspace(-80, 80, 33), 'lon': np.arange(64) * 5.625}
    names = opened.prepared.transform.variables
    units = dict(zip(names, opened.prepared.transform.units, strict=True))
    fields = {n: (dims, rng.normal(0, 1e-5, (2, 33, 64)).astype('f4'), {'units': units[n]}) for n in names}
    data = xr.Dataset(fields, axes)
    data.to_netcdf(tmp_path / 'a[1].nc')
    expected = opened.embed(data)
    np.testing.assert_array_equal(opened.embed(tmp_path / 'a[1].nc'), expected)
    np.testing.assert_array_equal(opened.distance([tmp_path / 'a[1].nc'], data), np.zeros(2))
    with pytest.raises(TypeError, match=r'^b is of type ndarray'):
        opened.distance(data, np.zeros(3))
    with pytest.raises(UserError, match=r'no value in 0\.25 of their cells at 2000-01-02'):
        opened.embed(data.assign({names[0]: data[names[0]].where((data.time < days[1]) | (data.lon < 180))}))
    with pytest.raises(UserError, match=r"'atmodist', which has no method 'downscale'"):
        opened.downscale(data)
    assert not hasattr(opened, 'downscale')
