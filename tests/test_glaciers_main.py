"""Glaciers from the command line: the simulation, the report, and the areas of each glacier."""

import csv
import json

import geopandas
import numpy as np
import pytest

SETTINGS = ('--config=configs/glaciers.py:smoke', '--config.training.main.steps=10')


@pytest.fixture(scope='module')
def workdir(run, tmp_path_factory):
    """A trained and scored work directory."""
    path = tmp_path_factory.mktemp('glaciers') / 'run'
    done = run(*SETTINGS, f'--workdir={path}')
    assert done.returncode == 0, done.stderr
    return path


def test_scores_of_all_methods(workdir):
    scores = json.loads((workdir / 'scores.json').read_text())
    assert list(scores) == ['network', 'band_ratio', 'ndsi', 'random_forest', 'inventory', 'naive', 'truth']
    assert scores['inventory']['iou'] > scores['band_ratio']['iou'] > 0.4
    assert scores['truth']['rate'] < 0
    assert scores['network']['rate_error'] == pytest.approx(
        scores['network']['rate'] - scores['truth']['rate'], abs=0.5
    )
    names = {path.stem for path in (workdir / 'figures').glob('*.png')}
    assert names == {'map', 'classes', 'change', 'training'}
    assert (workdir / 'report.html').stat().st_size > 10_000


def test_areas_of_each_glacier(workdir):
    outlines = geopandas.read_file(workdir / 'areas.gpkg')
    rows = list(csv.DictReader((workdir / 'areas.csv').read_text().splitlines()))
    assert outlines['id'].tolist() == [row['id'] for row in rows]
    areas = np.array([float(row['area_km2']) for row in rows])
    np.testing.assert_allclose(outlines.geometry.area / 1e6, areas, rtol=1e-3)
    assert areas.min() >= 0.1
    first, later = ([float(row[f'area_{date}_km2'] or 'nan') for row in rows] for date in ('first', 'later'))
    assert (np.nan_to_num(first) <= areas * 1.01).all()
    assert (np.nan_to_num(later) <= areas * 1.01).all()


def test_the_same_command_goes_on(run, workdir):
    before = (workdir / 'scores.json').read_bytes()
    assert run(*SETTINGS, f'--workdir={workdir}').returncode == 0
    assert (workdir / 'scores.json').read_bytes() == before
