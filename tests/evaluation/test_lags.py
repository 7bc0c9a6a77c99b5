"""From test pairs to scores, figures and report, on waves that move at one speed: MSE alone tells how far apart."""

import json
import re
from itertools import pairwise
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import xarray as xr

from data_prep.prepare import prepare
from downscale_jax.evaluation.lags import evaluate as lags
from downscale_jax.evaluation.lags import measures as lag_measures
from downscale_jax.evaluation.lags import neighbours as lag_neighbours
from downscale_jax.evaluation.lags import rivals as lag_rivals
from downscale_jax.evaluation.lags import scores as lag_scores
from downscale_jax.evaluation.lags.neighbours import neighbours
from downscale_jax.evaluation.report.html import Table
from downscale_jax.evaluation.statistics.bootstrap import block_length, bootstrap
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.systems import atmodist
from downscale_jax.systems.atmodist import LearnedDistance

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


def config(path):
    return {
        'system': 'atmodist',
        'seed': 0,
        'pretexts': ['lags'],
        'data': {
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
        },
        'model': {
            'widths': [4, 6], 'blocks': 1, 'stem': 3, 'pool': False, 'tail': 8, 'momentum': 0.9, 'dtype': 'float32',
        },
        'training': {'phases': ['main'], 'main': {'steps': 2, 'learning_rate': 0.1}, 'accumulate': 1, 'l2': 0.0},
        'evaluation': {'pairs': 200, 'untrained_rival': True},
    }  # fmt: skip


class Opened(LearnedDistance):
    """A work directory with random weights in place of trained ones."""

    def restored(self, name):
        size = self.config['data']['patch']
        batch = {name: np.zeros((1, size, size, 2), 'f4') for name in ('first', 'second')}
        key = jax.random.key(list(self.tasks).index(name), impl='unsafe_rbg')
        return jax.jit(self.tasks[name].init)(key, {**batch, 'lag': np.zeros(1, 'i4')})

    def provenance(self, name):
        return f'{name}, step 2'


@pytest.fixture(scope='module')
def evaluated(tmp_path_factory):
    folder = tmp_path_factory.mktemp('lags')
    waves().to_netcdf(folder / 'waves.nc')
    settings = config(folder / 'waves.nc')
    prepared = prepare(settings['data'], 0, folder / 'data')
    workdir = folder / 'work'
    workdir.mkdir()
    (workdir / 'config.json').write_text(json.dumps(settings))
    rows = [{'task': t, 'step': s, 'train/loss': 2 - s / 9, 'validation/loss': 2} for t in ('lags',) for s in (1, 2)]
    (workdir / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))
    opened = Opened(atmodist, workdir)
    return opened, prepared, lags.evaluate(opened, prepared)


def test_the_table(evaluated):
    opened, _, table = evaluated
    assert list(table) == ['atmodist', 'untrained', 'mse_correlation', 'chance', 'middle_lag']
    assert json.loads((opened.workdir / 'scores.json').read_text()) == table
    told = {'cross_entropy', 'accuracy', 'top3', 'lag_error', 'median_error'}
    for name in ('atmodist', 'untrained', 'mse_correlation'):
        assert set(table[name]) == told | {'distance_rank', 'distance_reach'}
    assert set(table['chance']) == told
    assert set(table['middle_lag']) == told - {'cross_entropy'}
    assert table['chance']['accuracy'] == 0.25
    assert table['chance']['top3'] == 0.75


def test_the_rival_whose_answer_is_known(evaluated):
    opened, _, table = evaluated
    # the error of a wave shifted by n cells is 2 - 2 cos(15 n degrees) of its power: one lag, one value
    assert table['mse_correlation']['accuracy'] > 0.95
    assert table['mse_correlation']['lag_error'] < 0.1
    details = json.loads((opened.workdir / 'details.json').read_text())
    expected = 1 - np.cos(np.deg2rad(15 * np.arange(1, 5)))
    curve = np.array(details['distances']['MSE']['mean'])
    np.testing.assert_allclose(curve[:, 0], expected / expected[-1], atol=0.05)  # the log bends it a little
    assert table['mse_correlation']['distance_rank'] == 1
    low, high = 3 * (3 + np.array([0.7, 0.9]))  # 90 % between the third and the fourth lag
    assert low < table['mse_correlation']['distance_reach'] < high
    # random weights know nothing
    assert table['atmodist']['accuracy'] < 0.45
    better = details['better']['mse_correlation']['accuracy']
    assert better[0] == pytest.approx(table['atmodist']['accuracy'] - table['mse_correlation']['accuracy'])
    assert better[1] <= better[0] <= better[2] < 0


def test_the_middle_lag_by_hand(evaluated):
    opened, _, table = evaluated
    labels = np.array(json.loads((opened.workdir / 'details.json').read_text())['labels'])
    assert labels.sum() == 200
    errors = 3 * np.abs(np.arange(4) - 1)
    assert table['middle_lag']['lag_error'] == pytest.approx((labels * errors).sum() / 200)
    assert table['middle_lag']['accuracy'] == pytest.approx(labels[1] / 200)


def test_details(evaluated):
    opened, _, table = evaluated
    details = json.loads((opened.workdir / 'details.json').read_text())
    for method, row in table.items():
        for score, value in row.items():
            found = details['methods'][method][score]
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
    assert cells.shape == lags.CELLS
    assert np.nanmin(cells) >= 0
    assert np.nanmax(cells) <= 9
    west, east, south, north = details['map']['extent']
    assert 0 <= west < east <= 360
    assert -30 < south < north < 30


def test_figures_and_report(evaluated):
    opened, *_ = evaluated
    folder = opened.workdir / 'figures'
    assert sorted(path.name for path in folder.iterdir()) == [
        *('confusion.png', 'distance.png', 'neighbours.png', 'skill.png', 'training.png')
    ]
    page = (opened.workdir / 'report.html').read_text()
    assert page.count('data:image/png') == 5
    for told in (
        'Lag error of the median',
        'Reaches 90 %',
        'atmodist minus its rivals',
        'waves.nc',
        '10°S to 10°N',
        'Median lag error / middle lag',
        'resampled blocks of 2 days.',
    ):
        assert told in page


def test_the_same_again(evaluated):
    opened, prepared, _ = evaluated
    before = {path: path.read_bytes() for path in (opened.workdir / 'scores.json', opened.workdir / 'details.json')}
    lags.evaluate(opened, prepared)
    assert all(path.read_bytes() == data for path, data in before.items())


@pytest.fixture(scope='module')
def read(evaluated):
    """What evaluation reads and fits: (arguments, result) by function, as it runs."""
    opened, prepared, _ = evaluated
    calls = {}

    def spy(module, name):
        original = getattr(module, name)

        def spying(*args):
            result = original(*args)
            calls.setdefault(name, []).append((args, result))
            return result

        patch.setattr(module, name, spying)

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((lags, 'span'), (lags, 'measure'), (lag_rivals, 'fit')):
            spy(module, name)
        lags.evaluate(opened, prepared)
    return calls


def test_the_classifier_learns_from_the_training_split_alone(evaluated, read):
    _, prepared, _ = evaluated
    train = prepared.split('train')
    assert len(train) > 200  # more than are scored
    known = lag_measures.measure({}, prepared, train, range(len(train)))
    ((features, lag, classes), _), *others = read['fit']
    assert not others
    np.testing.assert_array_equal(features, known.features)
    np.testing.assert_array_equal(lag, known.lag)
    assert classes == CLASSES
    assert known.seconds.max() < min(found.seconds.min() for args, found in read['measure'] if args[0])


def test_the_data_range_is_that_of_training(evaluated, read):
    _, prepared, _ = evaluated
    ranges = {n: lag_measures.span(prepared, s, range(len(s))) for n in ('train', 'test') for s in [prepared.split(n)]}
    assert ranges['train'] != ranges['test']
    assert [args[4] for args, _ in read['measure'] if args[0]] == [ranges['train']]


def test_a_large_training_split_is_thinned(evaluated, read, monkeypatch):
    opened, prepared, _ = evaluated
    fitted = []
    monkeypatch.setattr(lags, 'CLASSIFIER_PAIRS', 50)
    monkeypatch.setattr(lag_rivals, 'fit', lambda *args: fitted.append(args) or read['fit'][0][1])
    lags.evaluate(opened, prepared)
    assert len(fitted[0][1]) == 50


@pytest.mark.parametrize(
    ('days', 'lags_', 'length'),
    # 12 h, of which `bootstrap` draws more where days are many, 69 h, 96 h and 99 h; then few days
    [(36, 4, 4), (20, 4, 2), (36, 23, 4), (36, 32, 6), (36, 33, 6), (12, 23, 4), (11, 23, 2), (6, 23, 2)],
)
def test_blocks_cover_the_longest_lag(days, lags_, length):
    seconds = np.repeat(np.arange(days), 5) * 86_400 + 7
    measured = SimpleNamespace(seconds=seconds, column=np.zeros(5 * days, int))
    meta = {'grid': [ROWS, COLUMNS], 'step_hours': 3, 'lags': lags_}
    by, told = lags.runs(measured, SimpleNamespace(meta=meta))
    assert told == f'{length} days'
    count = len(np.unique(by))
    longest = np.bincount(by).max() // 5  # days of a unit
    assert longest * block_length(count) == length
    assert np.isfinite(bootstrap([{'x': np.array(float(i))} for i in range(count)], lambda s: s)['x']).all()


def test_sectors_stand_in_for_few_days():
    column = np.arange(48)
    measured = SimpleNamespace(seconds=86_400 * (np.arange(48) % 5), column=column)
    meta = {'grid': [ROWS, COLUMNS], 'step_hours': 3, 'lags': 23}
    by, told = lags.runs(measured, SimpleNamespace(meta=meta))
    np.testing.assert_array_equal(by, column // 4)
    assert told == '2 of 12 sectors of longitude, days being too few'


def test_the_headline_by_hand():
    row = {'accuracy': 0.5, 'lag_error': 6.0, 'median_error': 5.0}
    table = {name: dict(row) for name in ('atmodist', 'mse_correlation', 'chance', 'middle_lag')}
    table['middle_lag'] |= {'lag_error': 12.0, 'median_error': 20.0}
    found = lags.headline(table)
    assert found['Lag error / middle lag'] == '0.50'
    assert found['Median lag error / middle lag'] == '0.25'


def test_neighbours_lie_apart_in_place_or_time(evaluated, monkeypatch):
    opened, prepared, _ = evaluated
    monkeypatch.setattr(lag_neighbours, 'QUANTILES', np.linspace(0, 1, 20))
    split = prepared.split('test')
    found = neighbours(opened, prepared, split, range(len(split)))
    assert len(found) == 20
    for row in found:
        hour, y, x = place(row.query[1])
        for _, told in (one for nearest in row.nearest.values() for one in nearest):
            other_hour, other_y, other_x = place(told)
            aside = abs(x - other_x)
            apart = max(abs(y - other_y), min(aside, COLUMNS - aside)) >= 16  # cells of a patch
            assert apart or abs(hour - other_hour) > 3 * CLASSES


def place(name):
    """(hours since the first of the month, row, column) of what `words` tells."""
    day, hour, lat, side, lon = re.fullmatch(r'01-(\d+) (\d+) h\n(\d+)°([NS]) (\d+)°E', name).groups()
    south = -int(lat) if side == 'N' else int(lat)
    return 24 * int(day) + int(hour), round((60 + south) * (ROWS - 1) / 120), round(int(lon) / 7.5)


def test_neighbours_are_near_and_not_the_same_weather(evaluated):
    opened, prepared, _ = evaluated
    split = prepared.split('test')
    found = neighbours(opened, prepared, split, range(len(split)))
    assert len(found) == 4
    for row in found:
        assert [len(one) for one in row.nearest.values()] == [3, 3]
        distances = [np.square(patch - row.query[0]).mean() for patch, _ in row.nearest['MSE']]
        # the waves come back after three days: some patches have the same rows and phase
        assert distances[0] < 0.2
        assert row.query[1] not in [told for _, told in row.nearest['MSE']]
    wild = [row.query[0].var() for row in found]
    assert all(a <= b + 0.3 for a, b in pairwise(wild))


def test_north_is_up(evaluated):
    opened, prepared, _ = evaluated
    split = prepared.split('test')
    first = neighbours(opened, prepared, split, range(len(split)))[0].query[0]
    patches = [prepared.transform_as(Standardisation).encode(split[i]['first'])[..., 0] for i in range(len(split))]
    assert any(np.array_equal(first, patch[::-1]) for patch in patches)  # rows run southward in the file
    assert not any(np.array_equal(first, patch) for patch in patches)


def test_bands():
    found, names = lags.bands(np.array([89.0, 70.0, 10.0, 9.9, -9.9, -10.0, -89.0]))
    assert names[0] == '70°N to 90°N'
    assert names[4] == '10°S to 10°N'
    assert list(found) == [names[i] for i in (0, 1, 4, 4, 4, 5, 8)]


def test_the_map_of_a_single_row_of_patches():
    row, column = np.full(60, 4), np.arange(60) % 12
    found = lags.error_map(column.astype(float), None, row, column)
    assert found['values'].shape == (1, 12)
    np.testing.assert_array_equal(found['values'][0], np.arange(12))


def test_a_place_with_few_pairs_has_no_value():
    row, column = np.array([0, 0, 0, 5, 5]), np.array([0, 0, 0, 11, 11])
    values = lags.error_map(np.array([1.0, 2, 3, 4, 5]), None, row, column)['values']
    assert values[0, 0] == 2
    assert np.isfinite(values).sum() == 1


def test_a_table_needs_no_rival(evaluated):
    opened, _, _ = evaluated
    details = json.loads((opened.workdir / 'details.json').read_text())
    del details['better']['untrained']
    found = lags.tables(details)
    assert all(isinstance(table, Table) for table in found)
    assert list(found[0].rows) == ['mse_correlation', 'chance', 'middle_lag']
    assert np.isnan(found[0].rows['middle_lag'][0]).all()  # it has no cross-entropy
    assert lags.titled('lag_error') == f'{lag_scores.SCORES["lag_error"].long_name} (h)'
