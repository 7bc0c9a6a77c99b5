"""From ensembles to scores.json, details.json, figures and the page, for any set of methods."""

import json

import numpy as np
import pytest

from downscale_jax.evaluation import collect, evaluate, present, summary
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics import scales
from downscale_jax.evaluation.statistics import windows as spectra

SEASONS = np.array(['DJF'] * 4 + ['MAM'] * 4)
CELL, KERNEL = 4.0, 40.0


class Named:
    """What `evaluate` asks of a generator whose ensemble is there."""

    def __init__(self, draws):
        self.draws = draws


def summarised(case, settings, main='calibrated'):
    collected = collect.collect(case.opened, case.prepared, case.split, case.times, case.chosen, main, settings)
    return summary.summarise(collected, SEASONS, 5.0, spectra.wavelengths(settings['window'], CELL), KERNEL, CELL)


@pytest.fixture(scope='module')
def details(case, settings):
    return summarised(case, settings)


def run(case, settings, names, folder, monkeypatch):
    opened = {name: case.opened[name] for name in names}
    monkeypatch.setattr(evaluate, 'fill', lambda *_: opened)
    case.prepared.split = lambda name: case.split
    (folder / 'metrics.jsonl').write_text('{"task": "regression", "step": 1, "train/loss": 0.5}\n')
    config = {'evaluation': settings, 'seed': 0}
    generators = {name: Named(dataset.sizes['member'] > 1) for name, dataset in opened.items()}
    return evaluate.evaluate(generators, case.prepared, config, folder)


@pytest.mark.parametrize(
    ('names', 'ensembles', 'baselines'),
    [
        (('regression', 'diffusion', 'calibrated'), 2, 1),
        (('diffusion',), 1, 0),
        (('regression',), 0, 1),
        ((), 0, 0),
    ],
)
def test_any_set_of_methods(case, settings, tmp_path, monkeypatch, capsys, names, ensembles, baselines):
    table = run(case, settings, names, tmp_path, monkeypatch)
    written = json.loads((tmp_path / 'scores.json').read_text())
    assert written == table
    assert list(written) == ['coarse', *names]
    assert all(np.isfinite(value) for row in written.values() for value in row.values())
    assert all(set(row) <= set(scores.SCORES) for row in written.values())
    found = json.loads((tmp_path / 'details.json').read_text())
    assert set(found) == {'coarse', 'truth', *names} | ({'mean'} if ensembles else set())
    figures = {path.name for path in (tmp_path / 'figures').iterdir()}
    expected = {'maps.png', 'spectra.png', 'scales.png', 'training.png'}
    assert figures == expected | ({'calibration.png'} if ensembles else set())
    page = (tmp_path / 'report.html').read_text()
    assert page.count('<img') == len(figures)
    for name in names[1:]:
        assert f'Calibration: {name}' in page
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[1:] == ['coarse', *names]


def test_equal_runs_write_equal_bytes(case, settings, tmp_path, monkeypatch):
    monkeypatch.setattr(present, 'draw', lambda *_: {})  # of figures, test_curves tells
    for name in 'ab':
        (tmp_path / name).mkdir()
        run(case, settings, ('regression', 'diffusion'), tmp_path / name, monkeypatch)
    for name in ('scores.json', 'details.json', 'report.html'):
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_too_few_days_and_no_window(make_case, settings, tmp_path, monkeypatch):
    case = make_case(days=1)
    table = run(case, {**settings, 'window': 48}, ('regression', 'diffusion'), tmp_path, monkeypatch)
    assert not {'lag1', 'power_low', 'power_high'} & set(table['diffusion'])
    assert (tmp_path / 'report.html').exists()


def test_every_flat_score_is_described(details):
    assert set(details['calibrated']['scores']) == set(scores.SCORES)


def test_intervals_hold_their_value(details):
    for name, (value, low, high) in details['calibrated']['scores'].items():
        if not np.isnan(low):
            assert low <= value <= high, name


def test_the_wider_ensemble_is_the_calibrated_one(details):
    narrow, wide = details['diffusion'], details['calibrated']
    assert narrow['scores']['spread_skill_ice'][0] < 0.75
    assert wide['scores']['spread_skill_ice'][0] == pytest.approx(1, abs=0.06)
    assert wide['scores']['reliability_ice'][0] < narrow['scores']['reliability_ice'][0]
    assert np.abs(wide['ranks'][:, 0] - 1).max() < np.abs(narrow['ranks'][:, 0] - 1).max()
    for regime in ('1 to 2', 'over 2'):
        assert wide['regimes'][regime]['spread_skill'][0] == pytest.approx(1, abs=0.15)
    assert list(wide['seasons']) == ['DJF', 'MAM']
    np.testing.assert_allclose(wide['reliability']['nominal'], np.arange(1, 7) / 7)


def test_scores_by_class_are_those_of_the_class(case, details, settings):
    coarse = np.stack([record['coarse'][..., 1] for record in case.records])
    ensemble, truth = case.opened['diffusion']['sit'].values, case.truth
    known = np.isfinite(truth) & np.isfinite(ensemble).all(0)
    error = ensemble.mean(0, dtype=np.float64) - truth
    thick = known & (coarse >= 2)
    found = details['diffusion']['regimes']['over 2']
    assert found['rmse'][0] == pytest.approx(np.sqrt(np.mean(error[thick] ** 2)), rel=1e-5)
    assert found['share'][0] == pytest.approx(thick.sum() / known.sum())
    spring = known & (coarse > settings['ice'])
    spring[:4] = False
    found = details['diffusion']['seasons']['MAM']
    assert found['rmse'][0] == pytest.approx(np.sqrt(np.mean(error[spring] ** 2)), rel=1e-5)


def test_psnr_and_lag_from_the_fields(case, details):
    rmse = details['regression']['scores']['rmse'][0]
    assert details['regression']['scores']['psnr'][0] == pytest.approx(20 * np.log10(5 / rmse))
    anomaly = case.truth - np.stack([record['coarse'][..., 1] for record in case.records])
    a, b = (np.concatenate([anomaly[i : i + 3], anomaly[i + 4 : i + 7]]) for i in (0, 1))
    expected = np.nansum(a * b) / np.sqrt(np.nansum(a**2) * np.nansum(b**2))
    assert details['truth']['scores']['lag1'][0] == pytest.approx(expected, rel=1e-5)


def test_scales_of_the_mean(details):
    """What is known varies over 64 km: there the mean beats the coarse field; beyond, only members have power."""
    mean, members = details['mean']['scales'], details['calibrated']['scales']
    assert list(mean) == ['large', 'medium', 'fine', 'finest']
    assert mean['large']['error'][0] < 0.75
    assert mean['fine']['error_over_regression'][0] > 1
    assert mean['finest']['power'][0] < 0.4
    assert members['finest']['power'][0] == pytest.approx(1, abs=0.15)
    assert details['mean']['spectrum']['error'].shape == (8, 3)
    rings = scales.scored(details['mean']['spectrum']['wavelength_km'], KERNEL, CELL)
    power = details['calibrated']['spectrum']['power'][rings, 0]
    assert details['calibrated']['scores']['power_low'][0] == power.min()


def test_plain_is_json():
    found = present.plain({'a': np.array([[1.0, np.nan]]), 'b': {'c': np.float64(2)}})
    assert json.loads(json.dumps(found, allow_nan=False)) == {'a': [[1, None]], 'b': {'c': 2}}
