"""The experiment on content losses: its commands, resamples and tables, from made-up sums of the measures."""

import re
import shlex
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.prepare import name_of
from downscale_jax.evaluation.measures.semivariogram import Semivariogram
from downscale_jax.evaluation.measures.spectra import KINETIC, Spectra
from downscale_jax.evaluation.protocol import Setting, Variable
from downscale_jax.evaluation.statistics import local
from downscale_jax.evaluation.statistics.bootstrap import Accumulator
from experiments import content_loss
from experiments.content_loss import SAMPLES, Seeds
from experiments.many_runs import parse_overrides, resolve

METHODS = ('bicubic', 'pretrained', 'gan_mse', 'gan_atmodist')
SEEDS, TIMES, PLACES, BLOCK = 2, 9, 4, 3
KILOMETRES = np.array([100.0, 1000.0])  # of the semivariogram; the second is not scored
# of each method: size of the error, power over the truth's, difference at places
ERROR = {'bicubic': 4.0, 'pretrained': 2.0, 'gan_mse': 3.0, 'gan_atmodist': 3.5}
POWER = {'bicubic': 1 / 16, 'pretrained': 1 / 8, 'gan_mse': 1 / 4, 'gan_atmodist': 1 / 2}
SHIFT = {'bicubic': 4.0, 'pretrained': 2.0, 'gan_mse': 1.0, 'gan_atmodist': 0.5}


def setting(names):
    """A setting of which only variables and methods are known."""
    variables = tuple(Variable(name, 's-1', name, 1.0, 1.0, 1) for name in names)
    known = {'variables': variables, 'baselines': METHODS[:1], 'singles': METHODS[1:], 'ensembles': {}}
    fields = dict.fromkeys(Setting.__dataclass_fields__)
    return Setting(**{**fields, **known, 'main': METHODS[-1]})


def power_sums(method):
    """Six wavenumbers; the truth fills five of them."""
    power = np.full(6, POWER[method])
    power[5] = 1e6
    return {'power': power, 'truth': np.array([1.0] * 5 + [1e-9]), 'times': np.float64(1)}


def field_sums(method, index, error):
    """{measure: sums of one time} of one variable; the second has twice the errors."""
    size = error * (index + 1)
    cells = dict.fromkeys(('error', 'absolute_error', 'member_squared_error', 'crps', 'variance'), np.zeros(2))
    return {
        'semivariogram': {'difference': np.array([POWER[method], 7]), 'squared_difference': np.ones(2)},
        'distribution': {
            'weight': np.float64(10),
            'squared_error': 10 * size**2,
            'gradient_weight': np.float64(10),
            'gradient': np.float64(POWER[method]),
            'gradient_truth': np.float64(1),
        },
        # over all cells, and a zone with larger errors
        'pointwise': {**cells, 'weight': np.full(2, 10.0), 'squared_error': 10 * size**2 * np.array([1.0, 9.0])},
        'similarity': {'ssim': np.float64(5), 'ssim_member': np.float64(5), 'ssim_weight': np.float64(10)},
    }


def measures_of(setting, energy, truth, errors):
    """Measures of one seed; truth [T, P, V]; errors {method: [T]}."""
    sums = {name: Accumulator() for name in ('spectra', 'semivariogram', 'distribution', 'pointwise', 'similarity')}
    series = {('truth', v): list(truth[..., v]) for v in range(truth.shape[-1])}
    for method in METHODS:
        for index, variable in enumerate(setting.variables):
            series[method, index] = list(truth[..., index] + SHIFT[method])
            for time in range(TIMES):
                for name, values in field_sums(method, index, errors[method][time]).items():
                    sums[name].add((method, index, None) if name == 'pointwise' else (method, index), time, values)
                sums['spectra'].add((method, variable.name), time, power_sums(method))
        for time in range(TIMES if energy else 0):
            sums['spectra'].add((method, KINETIC), time, power_sums(method))
    spectra = SimpleNamespace(sums=sums['spectra'], _setting=setting)
    spectra.resolved = partial(Spectra.resolved, spectra)
    pairs = SimpleNamespace(pairs=SimpleNamespace(kilometres=KILOMETRES))
    return {
        **{name: SimpleNamespace(sums=sums[name]) for name in ('distribution', 'pointwise', 'similarity')},
        'spectra': spectra,
        'semivariogram': SimpleNamespace(sums=sums['semivariogram'], summarise=partial(Semivariogram.summarise, pairs)),
        'places': SimpleNamespace(series=series),
    }


def make_seeds(names=('a', 'b'), energy=False, places=PLACES, errors=None):
    """All times and seeds are alike, so that intervals have no width, but for `errors` {method: [S, T]}."""
    given, truth = setting(names), np.random.default_rng(0).normal(size=(SEEDS, TIMES, places, len(names)))
    size = {method: np.full((SEEDS, TIMES), error) for method, error in ERROR.items()} | (errors or {})
    by_seed = [
        measures_of(given, energy, truth[seed], {method: size[method][seed] for method in METHODS})
        for seed in range(SEEDS)
    ]
    return Seeds(given, by_seed, BLOCK)


def shifted(seeds, method, shift):
    """Values at places [S, T, P, V] with those of a method `shift` above the truth."""
    values = content_loss.series(seeds)
    return {**values, method: values['truth'] + shift}


def scores(seeds):
    """{score: {method: [SAMPLES + 1]}} as in the tables."""
    drawn = content_loss.draws(SEEDS, TIMES, BLOCK)
    distances = content_loss.mean_distances(seeds.setting, content_loss.series(seeds), drawn)
    return content_loss.resampled(content_loss.scores(seeds), drawn) | distances


def tables(seeds, numbers):
    compared = content_loss.compare(seeds.setting, content_loss.series(seeds), BLOCK)
    return content_loss.tables(scores(seeds), compared, numbers, TIMES).splitlines()


def cells(lines, name, start=0):
    """The cells of a row of one of the tables, each a value and its interval."""
    line = next(line for line in lines[start:] if line.startswith(f'| {name} |'))
    return [cell.strip() for cell in line.strip('|').split('|')[1:]]


def section(flat, name):
    """{'data.simulate.days': 1} -> {'simulate': {'days': 1}}"""
    nested = {}
    for key, value in flat.items():
        *path, last = key.split('.')
        if path and path[0] == name:
            inner = nested
            for part in path[1:]:
                inner = inner.setdefault(part, {})
            inner[last] = value
    return nested


# resamples


def test_draws_of_seeds_and_times():
    drawn = content_loss.draws(3, 20, 2)
    assert drawn.shape == (SAMPLES + 1, 3, 20)
    np.testing.assert_array_equal(drawn[0], 1)
    np.testing.assert_array_equal(drawn.sum((1, 2)), 3 * 20)
    # each is as many seeds as there are times as many times, whole numbers both
    seeds, times = drawn.sum(2) / 20, drawn.sum(1) / 3
    np.testing.assert_array_equal(drawn, seeds[:, :, None] * times[:, None, :])
    for drawn_of, count in ((seeds, 3), (times, 20)):
        np.testing.assert_array_equal(drawn_of, np.round(drawn_of))
        np.testing.assert_array_equal(drawn_of.sum(1), count)
        assert (drawn_of[1:] == 0).any(1).mean() > 0.5
        np.testing.assert_allclose(drawn_of[1:].mean(0), 1, atol=0.2)
        assert np.ptp(drawn_of[1:], axis=0).min() >= 2
    # neighbours in time are drawn together
    neighbours = np.corrcoef(times[1:, 0], times[1:, 1])[0, 1]
    assert neighbours > np.corrcoef(times[1:, 0], times[1:, 5])[0, 1] + 0.3
    np.testing.assert_array_equal(content_loss.draws(3, 20, 2), drawn)
    np.testing.assert_array_equal(content_loss.draws(1, 20, 2).sum(1), content_loss.draws(1, 20, 2)[:, 0])


def test_first_sample_is_that_of_all_and_intervals_hold_it():
    """Errors that grow with time and seed: RMSE of all of them; with one seed that of its own."""
    size = 1 + np.arange(TIMES) + 10 * np.arange(SEEDS)[:, None]
    rmse = scores(make_seeds(errors={'gan_mse': size}))['rmse_a']['gan_mse']
    expected = np.sqrt(np.mean(size**2))
    np.testing.assert_allclose(rmse[0], expected)
    value, low, high = content_loss.estimate(rmse)
    assert value == pytest.approx(expected)
    assert 4 < low < 8 < 14 < high < 16.5  # the first seed alone has 5.6, the second 15.2


def test_distances_at_places_are_resampled_over_seeds_alone():
    seeds, drawn = make_seeds(), content_loss.draws(SEEDS, TIMES, BLOCK)
    values = shifted(seeds, 'gan_mse', np.arange(1, 3)[:, None, None, None] * 0.5)
    found = content_loss.mean_distances(seeds.setting, values, drawn)
    expected = drawn.sum(2) / (SEEDS * TIMES) @ [0.5, 1.0]
    for name in ('wasserstein_a', 'wasserstein_b'):
        np.testing.assert_allclose(found[name]['gan_mse'], expected)


def test_scores_of_times_that_are_all_alike():
    found = scores(make_seeds(energy=True))
    for method in METHODS:
        expected = {
            'energy': -np.log(POWER[method]),
            'spectrum': -np.log(POWER[method]),
            'semivariogram': 1 - POWER[method],  # not at 1000 km
            'total_variation': POWER[method] - 1,
            'rmse_a': ERROR[method],
            'rmse_b': 2 * ERROR[method],
            'ssim': 0.5,
            'wasserstein': SHIFT[method],
        }
        for name, by_method in found.items():
            value = expected.get(name, expected.get(name.rpartition('_')[0]))
            np.testing.assert_allclose(by_method[method], np.full(SAMPLES + 1, value), err_msg=name)
    kinds = ('spectrum', 'semivariogram', 'total_variation', 'rmse', 'ssim', 'wasserstein')
    assert list(found) == ['energy', *(f'{kind}_{variable}' for kind in kinds for variable in 'ab')]


def test_curves_end_where_the_truth_does():
    seeds = make_seeds(energy=True)
    found = content_loss.resampled(content_loss.curves(seeds), content_loss.draws(SEEDS, TIMES, BLOCK))
    assert list(found) == ['a', 'b', KINETIC]
    for by_method in found.values():
        for method, power in by_method.items():
            np.testing.assert_allclose(power, np.full((SAMPLES + 1, 5), POWER[method]))


def test_estimate():
    values = np.stack([np.append(7.0, np.arange(101.0)), np.append(-7.0, -np.arange(101.0))], 1)
    np.testing.assert_allclose(content_loss.estimate(values), [[7, 5, 95], [-7, -95, -5]])


# places


def test_places_by_seed():
    """Learned is 0.5 off and its rival 1, but at one place of the second seed both are 3 off: equal there."""
    seeds = make_seeds(('a',))
    values = content_loss.series(seeds)
    values['gan_atmodist'][1, :, 0] += 2.5
    values['gan_mse'][1, :, 0] += 2
    compared = content_loss.compare(seeds.setting, values, BLOCK)
    assert {name: set(rivals) for name, rivals in compared.items()} == {n: {*METHODS} - {n} for n in METHODS}
    row = compared['gan_atmodist']['gan_mse']['a']
    assert (row['better'], row['worse'], row['equal'], row['by_seed']) == (3.5, 0, 0.5, [4, 3])
    assert row['difference'][0] == 3.5
    back = compared['gan_mse']['gan_atmodist']['a']
    assert (back['better'], back['worse'], back['by_seed']) == (0, 3.5, [-4, -3])
    assert back['difference'][0] == -3.5
    # the widest of the seeds'
    by_seed = ({n: v[seed, ..., 0] for n, v in values.items()} for seed in range(SEEDS))
    intervals = [
        local.interval_of(*(local.resampled(v['truth'], v[n], BLOCK) for n in ('gan_atmodist', 'gan_mse')))
        for v in by_seed
    ]
    assert row['difference'][1] == min(low for low, _ in intervals)
    assert row['difference'][2] == max(high for _, high in intervals) == 4


def test_no_place():
    """A grid of x and y has none: the experiment ends after hours of training, and must end well."""
    seeds = make_seeds(places=0)
    compared = content_loss.compare(seeds.setting, content_loss.series(seeds), BLOCK)
    assert compared['gan_atmodist']['gan_mse']['a']['better'] == 0
    assert not any(name.startswith('wasserstein') for name in scores(seeds))


# tables


def test_signs_of_the_tables():
    """Without winds: the squared error of the learned loss is larger than one rival's and smaller than another's."""
    lines = tables(make_seeds(), [3, 5])
    assert lines[0] == 'Seeds 3, 5; 9 test times.'
    assert lines[2] == '| score | bicubic | pretrained | gan_mse | gan_atmodist |'
    assert cells(lines, 'rmse_b') == ['8 [8, 8]', '4 [4, 4]', '6 [6, 6]', '7 [7, 7]']
    assert cells(lines, 'total_variation_a')[0] == '-0.938 [-0.938, -0.938]'
    assert cells(lines, 'wasserstein_a')[3] == '0.5 [0.5, 0.5]'
    assert not any(line.startswith('| energy') for line in lines)
    second = next(i for i, line in enumerate(lines) if 'minus its rivals' in line)
    assert lines[second + 2] == '| score | gan_mse | pretrained | bicubic |'
    assert cells(lines, 'rmse_a', second) == ['0.5 [0.5, 0.5]', '1.5 [1.5, 1.5]', '-0.5 [-0.5, -0.5]']
    less = -np.log(2)  # power of a half for a quarter, an eighth, a sixteenth
    assert cells(lines, 'spectrum_b', second) == [f'{n * less:.3g} [{n * less:.3g}, {n * less:.3g}]' for n in (1, 2, 3)]
    assert cells(lines, 'semivariogram_a', second)[0] == '-0.25 [-0.25, -0.25]'
    third = next(i for i, line in enumerate(lines) if line.startswith('Places where'))
    rows = [line for line in lines[third:] if re.match(r'\| [ab] \|', line)]
    assert len(rows) == 2 * 3
    assert '| a | gan_mse | 4 | 0 | 0 | 4 [4, 4] | [4, 4] |' in rows
    assert len({line.count('|') for line in lines[2 : second - 1]}) == 1  # the first table has one width


def test_differences_of_energy():
    """The default experiment has vorticity and divergence, and so kinetic energy."""
    lines = tables(make_seeds(energy=True), [0, 1])
    second = next(i for i, line in enumerate(lines) if 'minus its rivals' in line)
    assert [cell.split()[0] for cell in cells(lines, 'energy', second)] == ['-0.693', '-1.39', '-2.08']


def test_names_without_a_variable_where_only_one_is_scored():
    lines = tables(make_seeds(('a',)), [0, 1])
    assert cells(lines, 'rmse') == ['4 [4, 4]', '2 [2, 2]', '3 [3, 3]', '3.5 [3.5, 3.5]']


# commands


@pytest.fixture
def commands(monkeypatch, capsys, tmp_path):
    def of(*given):
        arguments = ['content_loss.py', f'--root={tmp_path / "root"}', '--dry-run', *given]
        monkeypatch.setattr(sys, 'argv', arguments)
        assert content_loss.main() == 0
        assert not (tmp_path / 'root').exists()
        listed = []
        for line in filter(None, capsys.readouterr().out.splitlines()):
            _, main, *options = shlex.split(line)
            assert Path(main).name == 'main.py'
            options = dict(option.split('=', 1) for option in options)
            config, workdir = options.pop('--config'), Path(options.pop('--workdir'))
            asked = parse_overrides([f'{key}={value}' for key, value in options.items()])
            listed.append((config, workdir, resolve(config, asked)))
        return listed

    return of


@pytest.mark.parametrize('variant', ['', ':smoke'])
def test_one_atmodist_and_one_run_a_seed(commands, tmp_path, variant):
    (teacher, encoder, _), *runs = commands(
        '--seeds', '3', '0', f'--config=configs/srgan.py{variant}', '--config.training.mse.steps=7'
    )
    assert teacher == f'configs/atmodist.py{variant}'
    assert encoder == tmp_path / 'root' / 'atmodist'
    assert [config for config, _, _ in runs] == [f'configs/srgan.py{variant}'] * 2
    assert [workdir for _, workdir, _ in runs] == [tmp_path / 'root' / name for name in ('seed3', 'seed0')]
    assert [asked['seed'] for _, _, asked in runs] == [3, 0]
    for _, _, asked in runs:
        assert asked['contents'] == ['mse', 'atmodist']
        assert asked['content.workdir'] == str(encoder)
        assert asked['training.mse.steps'] == 7
    first, second = ({k: v for k, v in asked.items() if k != 'seed'} for _, _, asked in runs)
    assert first == second


def test_seeds_share_their_data_and_that_of_atmodist(commands):
    (_, _, teacher), *runs = commands('--seeds', '3', '0')
    assert [asked['data.simulate.seed'] for _, _, asked in runs] == [0, 0]
    assert len({name_of(section(asked, 'data'), asked['data.simulate.seed']) for _, _, asked in runs}) == 1
    one = runs[0][2]
    for key in ('data.simulate.days', 'data.simulate.rows', 'data.train'):
        assert one[key] == teacher[key]
    assert one['data.simulate.seed'] == teacher.get('data.simulate.seed', teacher['seed'])


def test_a_trained_atmodist(commands, tmp_path):
    runs = commands(f'--atmodist={tmp_path}')
    assert [workdir.name for _, workdir, _ in runs] == ['seed0', 'seed1']
    assert {asked['content.workdir'] for _, _, asked in runs} == {str(tmp_path)}


def test_atmodist_learns_from_the_same_file(commands):
    """Its own training stays as it is."""
    (_, _, teacher), *runs = commands(
        '--config.data.path=here.nc',
        "--config.data.test=(('2001-07-01','2001-07-19'),)",
        '--config.training.mse.steps=7',
    )
    for key, value in (('data.path', 'here.nc'), ('data.test', [['2001-07-01', '2001-07-19']])):
        assert [asked[key] for asked in (teacher, *(run for _, _, run in runs))] == [value] * 3
    assert teacher['training.main.steps'] == resolve('configs/atmodist.py', {})['training.main.steps']


def test_another_simulation(commands):
    (_, _, teacher), *_ = commands('--config.data.simulate.seed=5')
    assert teacher['seed'] == 5
