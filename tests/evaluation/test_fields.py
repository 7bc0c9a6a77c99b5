"""From stores to scores.json, details.json, figures and the report, for any set of methods and measures."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure as Drawing

from downscale_jax.evaluation import fields
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.evaluation.results import Definition, Figure, Result, Table
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, ratio

QUICK = ('pointwise', 'similarity', 'lag1', 'bounds', 'scales')
REGIMES = (0.15, 1.0, 2.0)


@pytest.fixture
def run(monkeypatch):
    """run(case, folder, names, measures, **settings) -> scores, without a network"""

    def call(case, folder, names=('regression', 'diffusion'), measures=QUICK, **settings):
        stores = {name: case.stores[name] for name in names}
        monkeypatch.setattr(fields, 'fill', lambda *_: stores)
        monkeypatch.setattr(fields.retiling, 'retile', lambda *_: None)
        evaluation = {
            'members': 6,
            'records': None,
            'neighbours': True,
            'measures': measures,
            'baselines': ('coarse',),
            'places': '',
            'window': 16,
            'subsets': (),
            'regimes': (REGIMES,),
            'zones': (('ice', 0.15),),
            **settings,
        }
        generators = {
            name: SimpleNamespace(draws=store.sizes['member'] > 1, temperature=1.25) for name, store in stores.items()
        }
        config = {'system': 'diffusion', 'evaluation': evaluation, 'seed': 0, 'data': {'patch': 16}}
        return fields.evaluate(generators, case.prepared, config, folder)

    monkeypatch.setattr(fields, 'with_units_of', lambda _, generator: generator)
    return call


@pytest.fixture(scope='module')
def case(make_case):
    return make_case()


@pytest.mark.parametrize(
    'names', [('regression', 'diffusion', 'calibrated'), ('diffusion',), ('regression',)], ids='-'.join
)
def test_any_set_of_methods(case, run, tmp_path, capsys, names):
    table = run(case, tmp_path, names, tuple(MEASURES) if len(names) == 1 else QUICK)
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert written == table
    assert list(written) == ['coarse', *names]
    assert all(np.isfinite(value) for row in written.values() for value in row.values())

    def refused(constant):
        raise AssertionError(f'details.json holds {constant}')

    details = json.loads((tmp_path / 'details.json').read_text(), parse_constant=refused)
    assert list(details['scores']) == list(written)
    for method, row in written.items():
        for score, value in row.items():
            assert details['scores'][method][score][0] == value
    drawn = {path.name for path in (tmp_path / 'figures').iterdir()}
    assert {'window_spectra.png', 'scales.png', 'training.png'} <= drawn
    assert ('calibration.png' in drawn) == (names != ('regression',))
    report = (tmp_path / 'report.html').read_text()
    assert report.count('<img') == len(drawn)
    for name in set(names) - {'regression'}:
        assert f'Noise temperature of {name}: 1.25.' in report


def test_equal_runs_write_equal_bytes_and_the_order_of_measures_does_not_matter(make_case, run, tmp_path, request):
    case = make_case(days=4)
    for name in 'abc':
        (tmp_path / name).mkdir()
    first, _ = (run(case, tmp_path / name) for name in 'ab')
    request.getfixturevalue('blank_figures')  # the report of the third run is not compared
    third = run(case, tmp_path / 'c', measures=QUICK[::-1])
    for name in ('scores.json', 'details.json', 'report.html'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()
    assert (tmp_path / 'a' / 'scores.json').read_bytes() == (tmp_path / 'c' / 'scores.json').read_bytes()
    assert first == third
    details = [json.loads((tmp_path / name / 'details.json').read_text()) for name in 'ac']
    assert details[0] == details[1]


def test_one_time_and_no_window(make_case, run, tmp_path):
    table = run(make_case(days=1), tmp_path, window=48)
    assert not {'lag1', 'power_low', 'power_high'} & set(table['diffusion'])
    assert (tmp_path / 'report.html').exists()


def test_the_wider_ensemble_is_the_calibrated_one(case, run, tmp_path, blank_figures):
    names = ('regression', 'diffusion', 'calibrated')
    table = run(case, tmp_path, names, ('pointwise', 'scales', 'lag1'))
    narrow, wide = table['diffusion'], table['calibrated']
    assert narrow['spread_skill_ice'] < 0.75
    assert wide['spread_skill_ice'] == pytest.approx(1, abs=0.06)
    assert wide['reliability_ice'] < narrow['reliability_ice']
    details = json.loads((tmp_path / 'details.json').read_text())
    pointwise = {name: row['sit'] for name, row in details['pointwise'].items()}
    flat = {name: np.abs(np.array(pointwise[name]['ranks'])[:, 0] - 1).max() for name in names[1:]}
    assert flat['calibrated'] < flat['diffusion']
    for regime in ('1 to 2', 'over 2'):
        assert pointwise['calibrated']['regimes'][regime]['spread_skill'][0] == pytest.approx(1, abs=0.15)
    assert list(pointwise['calibrated']['seasons']) == ['DJF', 'MAM']

    truth, coarse = case.truth, np.stack([record['coarse'][..., 1] for record in case.records])
    ensemble = case.stores['diffusion']['sit'].values
    known = np.isfinite(truth) & np.isfinite(ensemble).all(0)
    error = ensemble.mean(0, dtype=np.float64) - truth
    found = pointwise['diffusion']['regimes']['over 2']
    assert found['rmse'][0] == pytest.approx(np.sqrt(np.mean(error[known & (coarse >= 2)] ** 2)), rel=1e-5)
    assert found['share'][0] == pytest.approx((known & (coarse >= 2)).sum() / known.sum())
    spring = known & (coarse > 0.15)
    spring[:4] = False
    found = pointwise['diffusion']['seasons']['MAM']
    assert found['rmse'][0] == pytest.approx(np.sqrt(np.mean(error[spring] ** 2)), rel=1e-5)
    assert table['regression']['psnr'] == pytest.approx(20 * np.log10(5 / table['regression']['rmse']))

    # what is known varies over 64 km: there the mean beats the coarse field; beyond, only members have power
    ranges = details['scales']['sit']['ranges']
    assert list(ranges) == ['large', 'medium', 'fine', 'finest']
    assert ranges['large']['mean']['error'][0] < 0.75
    assert ranges['fine']['mean']['error_over_regression'][0] > 1
    assert ranges['finest']['mean']['power'][0] < 0.4
    assert ranges['finest']['calibrated']['power'][0] == pytest.approx(1, abs=0.15)


class Warmest:
    """The warmest value of the mean of every method."""

    def __init__(self, setting):
        self._setting, self.sums = setting, Accumulator()

    def add(self, sample):
        for field in sample.fields(self._setting):
            known = field.weight > 0
            self.sums.add((field.method, field.index), sample.stamp, {'top': field.mean[known].max(), 'n': 1.0})

    def result(self):
        found = self.sums.all_estimates(lambda sums: {'warmest': ratio(sums['top'], sums['n'])})
        scores = self._setting.named(found)
        rows = {method: list(row.values()) for method, row in scores.items()}
        drawing = Drawing()
        drawing.subplots().plot([0, 1])
        return Result(
            scores,
            {'seen': np.array([1.0, np.nan])},
            [Table('A toy table', 'Method', ['Warmest'], rows)],
            [Figure('toy', 'A toy figure.', drawing)],
            ['A toy note.'],
        )


def test_a_measure_is_added_by_one_class(make_case, run, tmp_path, monkeypatch, blank_figures):
    case = make_case(days=2)
    monkeypatch.setitem(MEASURES, 'warmest', Warmest)
    definition = Definition('Warmest value', 'for information', 'field', 'accuracy', 'The warmest value.')
    monkeypatch.setitem(fields.DEFINITIONS, 'warmest', definition)
    table = run(case, tmp_path, measures=('warmest', 'pointwise'))
    top = case.stores['regression']['sit'].values.copy()
    top[:, ~np.isfinite(case.truth)] = np.nan
    assert table['regression']['warmest'] == pytest.approx(np.nanmax(top, (0, 2, 3)).mean())
    assert set(table['regression']) > {'warmest', 'crps'}
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert written['diffusion']['warmest'] == table['diffusion']['warmest']
    assert json.loads((tmp_path / 'details.json').read_text())['warmest'] == {'seen': [1.0, None]}
    report = (tmp_path / 'report.html').read_text()
    for text in ('Warmest value', 'The warmest value.', 'A toy table', 'A toy figure.', 'A toy note.'):
        assert text in report
    assert (tmp_path / 'figures' / 'toy.png').exists()


def test_a_score_without_a_definition_is_an_error(make_case, run, tmp_path, monkeypatch):
    monkeypatch.setitem(MEASURES, 'warmest', Warmest)
    with pytest.raises(ValueError, match='warmest'):
        run(make_case(days=1), tmp_path, measures=('warmest',))


def test_definitions(of_setting):
    one, two = fields.defined(of_setting(1, True)), fields.defined(of_setting(2, True))
    assert (one['crps'].unit, one['psnr'].unit, one['ssim'].unit) == ('K', 'dB', '1')
    assert one['crps'].group == fields.DEFINITIONS['crps'].group
    assert 'warm' in one['crps_warm'].long_name
    assert '0 K' in one['crps_warm'].formula
    assert {two[f'{name}_r'].unit for name in ('rmse', 'crps', 'mae', 'bias', 'wasserstein', 'tail')} == {'mm'}
    assert two['rmse_r'].group.startswith('label of r: ')
    assert 'crps_warm_t' in two
    assert 'crps_warm_r' not in two
    assert two['energy'].unit == '1'
    names = list(two)
    assert names.index('crps_t') < names.index('crps_warm_t') < names.index('rmse_t') < names.index('crps_r')


def test_the_headline(of_setting):
    setting = of_setting(1)
    table = {
        'coarse': {'mae': 2.0, 'rmse': 4.0},
        'net': {'mae': 1.0, 'rmse': 2.0},
        'gen_9': {'crps': 0.5, 'rmse': 1.0, 'spread_skill': 0.9},
    }
    found = fields.facts(setting, table)
    assert {name: value for name, value in found.items() if 'rms' in name.lower() or 'crps' in name.lower()} == {
        'CRPS / MAE of coarse': '0.25',
        'RMSE / RMSE of coarse': '0.25',
        'CRPS / MAE of net': '0.50',
        'RMSE / RMSE of net': '0.50',
    }
    assert found['spread / skill'] == '0.90'


def test_definitions_are_complete():
    assert Path(fields.__file__).with_name('scores.toml').exists()
    for name, definition in fields.DEFINITIONS.items():
        assert all(definition), name
        assert definition.direction in (
            'lower is better',
            'higher is better',
            'nearer 0 is better',
            'nearer 1 is better',
            'for information',
        )
