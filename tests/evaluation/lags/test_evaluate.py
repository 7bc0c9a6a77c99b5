"""From test pairs to scores, figures and report, on waves that move at one speed: MSE alone gives the lag."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.evaluation.lags import evaluate as lags
from downscale_jax.evaluation.lags import neighbours as lag_neighbours
from downscale_jax.evaluation.lags import report, rivals
from downscale_jax.evaluation.lags.geography import CELLS
from downscale_jax.evaluation.lags.neighbours import neighbours
from downscale_jax.evaluation.lags.predictions import Network, predict, value_range
from downscale_jax.evaluation.lags.scores import DEFINITIONS
from downscale_jax.evaluation.lags.summary import summarise
from downscale_jax.evaluation.results import Table
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.models.atmodist import Encoder, Tail
from downscale_jax.pipeline.records import Prepared
from downscale_jax.tasks.lags import Lags
from downscale_jax.training.optimizer import Phase

CLASSES, DAYS = 4, 20
ROWS, COLUMNS = 24, 48


def waves():
    """Wavelength 24 cells, one cell to the east every 3 h; amplitude and phase differ from row to row."""
    rng = np.random.default_rng(0)
    t, _, x = np.meshgrid(np.arange(8 * DAYS), np.arange(ROWS), np.arange(COLUMNS), indexing='ij')
    phase = rng.uniform(0, 2 * np.pi, (1, ROWS, 1))
    angle = 2 * np.pi * (x - t) / 24 + phase
    noise = 0.02 * rng.normal(size=(2, *t.shape))
    dims = ('time', 'lat', 'lon')
    return xr.Dataset(
        {
            'vorticity': (dims, 1e-5 * (np.cos(angle) + noise[0]), {'units': 's-1'}),
            'divergence': (dims, 1e-6 * (np.sin(angle) + noise[1]), {'units': 's-1'}),
        },
        {
            'time': np.datetime64('2001-01-01', 'ns') + 3 * np.arange(8 * DAYS) * np.timedelta64(1, 'h'),
            'lat': ('lat', np.linspace(60, -60, ROWS), {'units': 'degrees_north'}),
            'lon': ('lon', 7.5 * np.arange(COLUMNS), {'units': 'degrees_east'}),
        },
    )


def data(path):
    return {
        'kind': 'lag_pairs',
        'path': str(path),
        'simulate': {},
        'variables': ('vorticity', 'divergence'),
        'level': 0.0,
        'train': (('2001-01-01', '2001-01-08'),),
        'validation': (('2001-01-09', '2001-01-10'),),
        'test': (('2001-01-11', '2001-01-20'),),
        'step_hours': 3,
        'lags': CLASSES,
        'patch': 16,
        'pairs_per_time': 4,
        'latitudes': (-90.0, 90.0),
    }


def network(seed):
    """Random weights in place of trained ones."""
    task = Lags(Encoder((4, 6), blocks=1, stem=3, pool=False), Tail(CLASSES, 8), (Phase('main', 1, 0.1),))
    patch = np.zeros((1, 16, 16, 2), 'f4')
    return Network(task, jax.jit(task.network.init)(jax.random.key(seed, impl='unsafe_rbg'), patch, patch))


class Evaluated(NamedTuple):
    model: lags.LagModel
    prepared: Prepared
    config: dict[str, Any]
    workdir: Path
    table: dict[str, dict[str, float]]
    calls: dict[str, list[tuple]]  # (arguments, result) by function

    @property
    def details(self):
        return json.loads((self.workdir / 'details.json').read_text())

    def again(self):
        return lags.evaluate(self.model, self.prepared, self.config, self.workdir)


def spied(patch, module, name):
    """(arguments, result) of every call of a function, as it runs."""
    original, calls = getattr(module, name), []

    def spying(*args):
        result = original(*args)
        calls.append((args, result))
        return result

    patch.setattr(module, name, spying)
    return calls


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lags')
    waves().to_netcdf(folder / 'waves.nc')
    config = {'system': 'atmodist', 'seed': 0, 'data': data(folder / 'waves.nc'), 'evaluation': {'pairs': 200}}
    prepared = prepare(config['data'], 0, folder / 'data')
    workdir = folder / 'work'
    workdir.mkdir()
    rows = [{'task': 'lags', 'step': s, 'train/loss': 2 - s / 9, 'validation/loss': 2} for s in (1, 2)]
    (workdir / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    model = lags.LagModel(network(1), network(0), 'lags, step 2', None)
    with pytest.MonkeyPatch.context() as patch:
        calls = {name: spied(patch, module, name) for module, name in ((lags, 'predict'), (rivals, 'fit'))}
        table = lags.evaluate(model, prepared, config, workdir)
    return Evaluated(model, prepared, config, workdir, table, calls)


def test_the_table(evaluated):
    table = evaluated.table
    assert list(table) == ['atmodist', 'untrained', 'mse_correlation', 'chance', 'middle_lag']
    assert json.loads((evaluated.workdir / 'scores.json').read_text()) == table
    predicted = {'cross_entropy', 'accuracy', 'top3', 'lag_error', 'median_error'}
    for name in ('atmodist', 'untrained', 'mse_correlation'):
        assert set(table[name]) == predicted | {'distance_rank', 'distance_reach'}
    assert set(table['chance']) == predicted
    assert set(table['middle_lag']) == predicted - {'cross_entropy'}
    assert table['chance']['accuracy'] == 0.25
    assert table['chance']['top3'] == 0.75


def test_the_rival_whose_answer_is_known(evaluated):
    table = evaluated.table
    # the error of a wave shifted by n cells is 2 - 2 cos(15 n degrees) of its power: one lag, one value
    assert table['mse_correlation']['accuracy'] > 0.95
    assert table['mse_correlation']['lag_error'] < 0.1
    details = evaluated.details
    expected = 1 - np.cos(np.deg2rad(15 * np.arange(1, 5)))
    curve = np.array(details['distances']['MSE']['mean'])
    np.testing.assert_allclose(curve[:, 0], expected / expected[-1], atol=0.05)  # the log bends it a little
    assert table['mse_correlation']['distance_rank'] == 1
    low, high = 3 * (3 + np.array([0.7, 0.9]))  # 90 % between the third and the fourth lag
    assert low < table['mse_correlation']['distance_reach'] < high
    # random weights know nothing
    assert table['atmodist']['accuracy'] < 0.45
    difference = details['differences']['mse_correlation']['accuracy']
    assert difference[0] == pytest.approx(table['atmodist']['accuracy'] - table['mse_correlation']['accuracy'])
    assert difference[1] <= difference[0] <= difference[2] < 0


def test_the_middle_lag_by_hand(evaluated):
    table = evaluated.table
    labels = np.array(evaluated.details['labels'])
    assert labels.sum() == 200
    errors = 3 * np.abs(np.arange(4) - 1)
    assert table['middle_lag']['lag_error'] == pytest.approx((labels * errors).sum() / 200)
    assert table['middle_lag']['accuracy'] == pytest.approx(labels[1] / 200)


def test_details(evaluated):
    table = evaluated.table
    details = evaluated.details
    for method, row in table.items():
        for score, value in row.items():
            found = details['scores'][method][score]
            assert found[0] == value
            assert found[1] - 1e-9 <= value <= found[2] + 1e-9
    assert np.shape(details['confusion']['atmodist']) == (4, 4)
    np.testing.assert_allclose(np.sum(details['confusion']['mse_correlation'], 1), 1)
    assert list(details['distances']) == [
        *('1 - SSIM', '1/PSNR', 'L1', 'MSE', 'atmodist', 'atmodist, stage 1', 'untrained', 'untrained, stage 1')
    ]
    # classes partition the pairs: January, and bands from the north
    assert list(details['seasons']['atmodist']) == ['DJF']
    assert details['seasons']['atmodist']['DJF'][0] == pytest.approx(table['atmodist']['lag_error'])
    bands = list(details['latitudes']['atmodist'])
    assert bands == ['10°N to 30°N', '10°S to 10°N', '30°S to 10°S']
    cells = np.array(details['map']['values'], float)
    assert cells.shape == CELLS
    assert np.nanmin(cells) >= 0
    assert np.nanmax(cells) <= 9
    west, east, south, north = details['map']['extent']
    assert 0 <= west < east <= 360
    assert -30 < south < north < 30


def test_figures_and_report(evaluated):
    folder = evaluated.workdir / 'figures'
    assert sorted(path.name for path in folder.iterdir()) == [
        *('confusion.png', 'distance.png', 'neighbours.png', 'skill.png', 'training.png')
    ]
    page = (evaluated.workdir / 'report.html').read_text()
    assert page.count('data:image/png') == 5
    for text in (
        'Lag error of the median',
        'Reaches 90 %',
        'atmodist minus its rivals',
        'waves.nc',
        '10°S to 10°N',
        'Median lag error / middle lag',
        'resampled blocks of 2 days.',
    ):
        assert text in page


def test_the_same_again(evaluated, blank_figures):
    before = {
        path: path.read_bytes() for path in (evaluated.workdir / 'scores.json', evaluated.workdir / 'details.json')
    }
    evaluated.again()
    assert all(path.read_bytes() == data for path, data in before.items())


def test_the_classifier_learns_from_the_training_split_alone(evaluated):
    prepared = evaluated.prepared
    train = prepared.split('train')
    assert len(train) > 200  # more than are scored
    known = predict({}, prepared, train, range(len(train)))
    ((features, lag, classes), _), *others = evaluated.calls['fit']
    assert not others
    np.testing.assert_array_equal(features, known.features)
    np.testing.assert_array_equal(lag, known.lag)
    assert classes == CLASSES
    assert known.seconds.max() < min(found.seconds.min() for args, found in evaluated.calls['predict'] if args[0])


def test_the_data_range_is_that_of_training(evaluated):
    prepared = evaluated.prepared
    ranges = {n: value_range(prepared, s, range(len(s))) for n in ('train', 'test') for s in [prepared.split(n)]}
    assert ranges['train'] != ranges['test']
    assert [args[4] for args, _ in evaluated.calls['predict'] if args[0]] == [ranges['train']]


def test_a_large_training_split_is_thinned(evaluated, monkeypatch, blank_figures):
    fitted = []
    monkeypatch.setattr(lags, 'CLASSIFIER_PAIRS', 50)
    monkeypatch.setattr(rivals, 'fit', lambda *args: fitted.append(args) or evaluated.calls['fit'][0][1])
    evaluated.again()
    assert len(fitted[0][1]) == 50


def test_the_headline_by_hand():
    row = {'accuracy': 0.5, 'lag_error': 6.0, 'median_error': 5.0}
    table = {name: dict(row) for name in ('atmodist', 'mse_correlation', 'chance', 'middle_lag')}
    table['middle_lag'] |= {'lag_error': 12.0, 'median_error': 20.0}
    found = report.facts(table)
    assert found['Lag error / middle lag'] == '0.50'
    assert found['Median lag error / middle lag'] == '0.25'


def test_neighbours_lie_apart_in_place_or_time(evaluated, monkeypatch):
    prepared = evaluated.prepared
    monkeypatch.setattr(lag_neighbours, 'QUANTILES', np.linspace(0, 1, 20))
    split = prepared.split('test')
    found = neighbours(evaluated.model.network, prepared, split, range(len(split)))
    assert len(found) == 20
    for row in found:
        hour, y, x = place(row.query.label)
        for patch in (patch for patches in row.nearest.values() for patch in patches):
            other_hour, other_y, other_x = place(patch.label)
            aside = abs(x - other_x)
            apart = max(abs(y - other_y), min(aside, COLUMNS - aside)) >= 16  # cells of a patch
            assert apart or abs(hour - other_hour) > 3 * CLASSES


def place(name):
    """(hours since the first of the month, row, column) of a label."""
    day, hour, lat, side, lon = re.fullmatch(r'01-(\d+) (\d+) h\n(\d+)°([NS]) (\d+)°E', name).groups()
    south = -int(lat) if side == 'N' else int(lat)
    return 24 * int(day) + int(hour), round((60 + south) * (ROWS - 1) / 120), round(int(lon) / 7.5)


def test_neighbours_are_near_and_not_the_same_weather(evaluated):
    prepared = evaluated.prepared
    split = prepared.split('test')
    found = neighbours(evaluated.model.network, prepared, split, range(len(split)))
    assert len(found) == 4
    for row in found:
        assert [len(one) for one in row.nearest.values()] == [3, 3]
        distances = [np.square(patch.values - row.query.values).mean() for patch in row.nearest['MSE']]
        # the waves come back after three days: some patches have the same rows and phase
        assert distances[0] < 0.2
        assert row.query.label not in [patch.label for patch in row.nearest['MSE']]
    wild = [row.query.values.var() for row in found]
    assert all(a <= b + 0.3 for a, b in pairwise(wild))


def test_north_is_up(evaluated):
    prepared = evaluated.prepared
    split = prepared.split('test')
    first = neighbours(evaluated.model.network, prepared, split, range(len(split)))[0].query.values
    patches = [prepared.transform_as(Standardisation).encode(split[i]['first'])[..., 0] for i in range(len(split))]
    assert any(np.array_equal(first, patch[::-1]) for patch in patches)  # rows run southward in the file
    assert not any(np.array_equal(first, patch) for patch in patches)


def test_the_table_of_differences_needs_no_untrained_network(evaluated):
    prepared = evaluated.prepared
    split = prepared.split('test')
    predictions = predict({'atmodist': evaluated.model.network}, prepared, split, range(40), 1.0)
    uniform = np.full((40, CLASSES), 1 / CLASSES)
    summary = summarise(predictions, {**predictions.probabilities, 'mse_correlation': uniform}, prepared)
    found = report.tables(summary)
    assert all(isinstance(table, Table) for table in found)
    assert list(found[0].rows) == ['mse_correlation', 'chance', 'middle_lag']
    assert np.isnan(found[0].rows['middle_lag'][0]).all()  # it has no cross-entropy
    assert report.heading('lag_error') == f'{DEFINITIONS["lag_error"].long_name} (h)'


def test_the_notes_name_the_probed_task(evaluated):
    prepared = evaluated.prepared
    predictions = predict({'atmodist': evaluated.model.network}, prepared, prepared.split('test'), range(40), 1.0)
    summary = summarise(predictions, {**predictions.probabilities, 'mse_correlation': np.ones((40, CLASSES))}, prepared)
    assert 'encoder of inpainting' in report.notes(summary, 'probe, step 3', 'inpainting', 10)[1]
    assert 'finished encoder' not in report.notes(summary, 'lags, step 3', None, 10)[1]
