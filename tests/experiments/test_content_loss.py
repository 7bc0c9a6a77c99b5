"""The experiment on content losses: its commands, its resamples and its tables, of numbers made up here."""

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.prepare import name_of
from downscale_jax.evaluation.statistics import extremes
from downscale_jax.evaluation.statistics import local as local_statistics
from experiments import content_loss
from experiments.content_loss import SAMPLES, Pooled
from experiments.many_runs import parse_overrides, resolve

METHODS = ('bicubic', 'pretrained', 'gan_mse', 'gan_atmodist')
SEEDS, TIMES, PLACES, BLOCK = 2, 9, 4, 3
LEVELS = np.ones(len(extremes.LEVELS))
OF_A_FIELD = ('error', 'squared_error', 'absolute_error', 'member_squared_error', 'variance')
# of each method: size of the error, power over the truth's, difference at places
ERROR = {'bicubic': 4.0, 'pretrained': 2.0, 'gan_mse': 3.0, 'gan_atmodist': 3.5}
POWER = {'bicubic': 1 / 16, 'pretrained': 1 / 8, 'gan_mse': 1 / 4, 'gan_atmodist': 1 / 2}
SHIFT = {'bicubic': 4.0, 'pretrained': 2.0, 'gan_mse': 1.0, 'gan_atmodist': 0.5}


def pooled(variables=('a', 'b'), energy=False, places=PLACES, errors=ERROR):
    """Every time and seed alike, so that intervals have no width; the second variable has twice the errors."""
    shape, count = (SEEDS, TIMES), len(variables)
    by_variable = np.arange(1.0, count + 1)
    sums, ones = {}, np.ones((*shape, count))
    for name in METHODS:
        power = np.full((*shape, count, 6), POWER[name])
        power[..., 5] = 1e6  # above what the truth resolves
        sums[name] = {
            'weight': 10 * ones,
            'squared_error': 10 * (errors[name] * by_variable) ** 2 * ones,
            'error': -10 * errors[name] * by_variable * ones,
            'absolute_error': 10 * errors[name] * by_variable * ones,
            'truth': 0 * ones,
            'truth_square': 40 * ones,
            'difference': np.full((*shape, count, 2), [POWER[name], 7]),
            'difference_truth': np.ones((*shape, count, 2)),
            'power': power,
            'power_truth': np.ones(power.shape),
            'ssim': 5 * ones,
            'ssim_weight': 10 * ones,
            'gradient': POWER[name] * ones,
            'gradient_truth': ones,
            'gap': 4 * ones,
            'blocks': ones,
            **{f'ensemble_{key}': 10 * ones[..., None] for key in ('weight', *OF_A_FIELD)},
            'ensemble_crps': 10 * errors[name] * by_variable[:, None] * ones[..., None],
            'anomaly_product': POWER[name] * ones,
            'anomaly_field_square': ones,
            'anomaly_truth_square': ones,
            'histogram': np.where(np.arange(101) == 50 + np.floor(errors[name]), 10.0, 0) * ones[..., None],
            'histogram_truth': np.where(np.arange(101) == 50, 10.0, 0) * ones[..., None],
            'fss_error': POWER[name] * ones[..., None, None] * LEVELS[:, None],
            'fss_reference': ones[..., None, None] * LEVELS[:, None],
            'tail_crps': 5 * errors[name] * ones[..., None] * LEVELS,
            'tail_weight': 10 * ones,
        }
        if energy:
            sums[name] |= {'energy': power[..., 0, :], 'energy_truth': np.ones((*shape, 6))}
    truth = np.random.default_rng(0).normal(size=(*shape, places, count))
    series = {'truth': truth, **{name: truth + SHIFT[name] for name in METHODS}}
    edges = np.tile(np.arange(102) - 50.0, (count, 1))
    measures = SimpleNamespace(
        reference=SimpleNamespace(edges=edges, levels=extremes.LEVELS),
        ranges=[10.0] * count,
        pairs=SimpleNamespace(kilometres=np.array([100.0, 1000.0])),
        variables=list(variables),
    )
    units = ('s-1',) * count
    return Pooled(sums, series, measures, 4, variables, units, {}, BLOCK)


def cells(told, name, start=0):
    """The cells of a row of one of the tables, the value alone and its interval."""
    line = next(line for line in told[start:] if line.startswith(f'| {name} |'))
    return [cell.strip() for cell in line.strip('|').split('|')[1:]]


def section(flat, name):
    """{'data.simulate.days': 1} -> {'simulate': {'days': 1}}"""
    found = {}
    for key, value in flat.items():
        *path, last = key.split('.')
        if path and path[0] == name:
            inner = found
            for part in path[1:]:
                inner = inner.setdefault(part, {})
            inner[last] = value
    return found


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


def test_the_first_is_that_of_all_and_intervals_hold_it():
    """Errors that grow with time and seed: RMSE of all of them; at one seed that of its own."""
    case = pooled()
    size = 1 + np.arange(TIMES) + 10 * np.arange(SEEDS)[:, None]
    case.sums['gan_mse']['squared_error'] = 10 * np.repeat(size[..., None] ** 2, 2, -1)
    drawn = content_loss.draws(SEEDS, TIMES, BLOCK)
    found = content_loss.resampled(case, drawn)['gan_mse']
    expected = np.sqrt(np.mean(size**2))
    np.testing.assert_allclose(found['rmse'][0], expected)
    value, low, high = content_loss.estimate(found['rmse'])[0]
    assert value == pytest.approx(expected)
    assert 4 < low < 8 < 14 < high < 16.5  # the first seed alone has 5.6, the second 15.2
    weights = drawn.sum(2) / (SEEDS * TIMES)
    shift = np.arange(1, 3)[:, None, None, None] * 0.5
    case.series['gan_mse'] = case.series['truth'] + shift
    wasserstein = content_loss.resampled(case, drawn)['gan_mse']['wasserstein']
    np.testing.assert_allclose(wasserstein, np.repeat((weights @ [0.5, 1.0])[:, None], 2, 1))


def test_scores_of_what_is_alike_everywhere():
    found = content_loss.resampled(pooled(energy=True), content_loss.draws(SEEDS, TIMES, BLOCK))
    assert list(found) == list(METHODS)
    for name, one in found.items():
        expected = {
            'rmse': ERROR[name] * np.array([1, 2]),
            'bias': -ERROR[name] * np.array([1, 2]),
            'spectrum': -np.log(POWER[name]),
            'energy': -np.log(POWER[name]),
            'semivariogram': 1 - POWER[name],  # not at 1000 km
            'total_variation': POWER[name] - 1,
            'closure': 2 / 2,
            'ssim': 0.5,
            'wasserstein': SHIFT[name],
            'crps': ERROR[name] * np.array([1, 2]),
            'acc': POWER[name],
            'tail': np.floor(ERROR[name]),
            'fss': 1 - POWER[name],
            'tail_crps': ERROR[name] / 2,
        }
        for score, values in expected.items():
            np.testing.assert_allclose(one[score], np.broadcast_to(values, one[score].shape), err_msg=score)
        assert one['power'].shape == (SAMPLES + 1, 2, 4)
        assert one['kinetic'].shape == (SAMPLES + 1, 4)
    assert (
        'wasserstein'
        not in content_loss.resampled(pooled(places=0), content_loss.draws(SEEDS, TIMES, BLOCK))['bicubic']
    )


def test_estimate():
    values = np.stack([np.append(7.0, np.arange(101.0)), np.append(-7.0, -np.arange(101.0))], 1)
    np.testing.assert_allclose(content_loss.estimate(values), [[7, 5, 95], [-7, -95, -5]])


# places


def test_places_by_seed():
    """Learned is 0.5 off and its rival 1, but at one place of the second seed both are 3 off: equal there."""
    case = pooled(('a',))
    case.series['gan_atmodist'][1, :, 0] += 2.5
    case.series['gan_mse'][1, :, 0] += 2
    compared = content_loss.places(case)
    assert {name: set(rivals) for name, rivals in compared.items()} == {n: {*METHODS} - {n} for n in METHODS}
    row = compared['gan_atmodist']['gan_mse']['a']
    assert (row['better'], row['worse'], row['equal'], row['by_seed']) == (3.5, 0, 0.5, [4, 3])
    assert row['difference'][0] == 3.5
    back = compared['gan_mse']['gan_atmodist']['a']
    assert (back['better'], back['worse'], back['by_seed']) == (0, 3.5, [-4, -3])
    assert back['difference'][0] == -3.5
    # the widest of the seeds'
    intervals = [
        local_statistics.interval_of(
            *(
                local_statistics.resampled(case.series['truth'][seed, ..., 0], case.series[n][seed, ..., 0], BLOCK)
                for n in ('gan_atmodist', 'gan_mse')
            )
        )
        for seed in range(SEEDS)
    ]
    assert row['difference'][1] == min(low for low, _ in intervals)
    assert row['difference'][2] == max(high for _, high in intervals) == 4


# tables


def test_signs_of_the_tables():
    """Without winds: the squared error of the learned loss is larger than one rival's and smaller than another's."""
    case = pooled()
    found = content_loss.resampled(case, content_loss.draws(SEEDS, TIMES, BLOCK))
    told = content_loss.lines(case, found, content_loss.places(case), [3, 5])
    assert told[0] == 'Seeds 3, 5; 9 test times.'
    assert told[2] == '| score | bicubic | pretrained | gan_mse | gan_atmodist |'
    assert cells(told, 'rmse_b') == ['8 [8, 8]', '4 [4, 4]', '6 [6, 6]', '7 [7, 7]']
    assert cells(told, 'total_variation_a')[0] == '-0.938 [-0.938, -0.938]'
    assert cells(told, 'wasserstein_a')[3] == '0.5 [0.5, 0.5]'
    assert not any(line.startswith('| energy') for line in told)
    second = next(i for i, line in enumerate(told) if 'minus its rivals' in line)
    assert told[second + 2] == '| score | gan_mse | pretrained | bicubic |'
    assert cells(told, 'rmse_a', second) == ['0.5 [0.5, 0.5]', '1.5 [1.5, 1.5]', '-0.5 [-0.5, -0.5]']
    less = -np.log(2)  # power of a half for a quarter, an eighth, a sixteenth
    assert cells(told, 'spectrum_b', second) == [f'{n * less:.3g} [{n * less:.3g}, {n * less:.3g}]' for n in (1, 2, 3)]
    assert cells(told, 'semivariogram_a', second)[0] == '-0.25 [-0.25, -0.25]'
    third = next(i for i, line in enumerate(told) if line.startswith('Places where'))
    rows = [line for line in told[third:] if re.match(r'\| [ab] \|', line)]
    assert len(rows) == 2 * 3
    assert '| a | gan_mse | 4 | 0 | 0 | 4 [4, 4] | [4, 4] |' in rows
    assert len({line.count('|') for line in told[2 : second - 1]}) == 1  # the first table has one width


def test_differences_of_energy():
    """The default experiment has vorticity and divergence, and so kinetic energy."""
    case = pooled(energy=True)
    found = content_loss.resampled(case, content_loss.draws(SEEDS, TIMES, BLOCK))
    told = content_loss.lines(case, found, content_loss.places(case), [0, 1])
    second = next(i for i, line in enumerate(told) if 'minus its rivals' in line)
    assert [cell.split()[0] for cell in cells(told, 'energy', second)] == ['-0.693', '-1.39', '-2.08']


def test_no_place():
    """On a grid of x and y none is known: the experiment ends after hours of training, and must end well."""
    compared = content_loss.places(pooled(places=0))
    assert compared['gan_atmodist']['gan_mse']['a']['better'] == 0


# commands


@pytest.fixture
def commands(monkeypatch, capsys, tmp_path):
    def of(*given):
        arguments = ['content_loss.py', f'--root={tmp_path / "root"}', '--dry-run', *given]
        monkeypatch.setattr(sys, 'argv', arguments)
        assert content_loss.main() == 0
        assert not (tmp_path / 'root').exists()
        found = []
        for line in filter(None, capsys.readouterr().out.splitlines()):
            _, main, *options = shlex.split(line)
            assert Path(main).name == 'main.py'
            options = dict(option.split('=', 1) for option in options)
            config, workdir = options.pop('--config'), Path(options.pop('--workdir'))
            asked = parse_overrides([f'{key}={value}' for key, value in options.items()])
            found.append((config, workdir, resolve(config, asked)))
        return found

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
