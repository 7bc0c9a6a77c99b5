"""What holds for every measure, with one variable and a zone, and with two variables and block means."""

import functools
import json

import numpy as np
import pytest

from downscale_jax.evaluation.fields import DEFINITIONS, defined
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.evaluation.protocol import Retiled
from downscale_jax.evaluation.report.publish import plain

KINDS = {
    'one variable': {'count': 1, 'zone': True},
    'two variables': {
        'count': 2,
        'blocks': True,
        'winds': {'t': 'x_wind', 'r': 'y_wind'},
    },  # as if they were winds, for their energy
}
METHODS = {'coarse', 'net', 'gen_2', 'gen_9'}


def retiled(shape, count):
    """Two members of two times with a step of 1 between the tiles, every eighth cell."""
    control = np.random.default_rng(0).normal(size=(2, 2, *shape, count))
    fields = control + (np.arange(shape[1]) // 8)[:, None]
    lines, none = (np.zeros(0, int), np.arange(8, shape[1], 8)), (np.zeros(0, int), np.zeros(0, int))
    return Retiled(fields, control, np.ones((2, *shape, count)), lines, none, (24, 8), (24, 32), 0)


@pytest.fixture(scope='module')
def setting(of_setting):
    """setting(kind) -> Setting"""

    def made(kind):
        one = of_setting(**KINDS[kind])
        return of_setting(**KINDS[kind], retile={'gen': lambda: retiled(one.weight.shape, len(one.variables))})

    return functools.cache(made)


@pytest.fixture(scope='module')
def result(setting, of_samples, result_of):
    """result(measure, kind) -> Result of six times"""
    return functools.cache(lambda name, kind: result_of(name, setting(kind), of_samples(setting(kind))))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', MEASURES)
def test_every_score_is_defined_and_all_is_json(setting, result, name, kind):
    found, definitions = result(name, kind), defined(setting(kind))
    for method, row in found.scores.items():
        assert method in METHODS
        assert set(row) <= set(definitions)
        for score, estimate in row.items():
            assert np.shape(estimate) == (3,), (method, score)
            assert np.isfinite(estimate[0]), (method, score)
    json.dumps(plain(found.details), allow_nan=False)
    for table in found.tables:
        assert all(len(cells) == len(table.columns) for cells in table.rows.values())
        assert all(np.shape(cell) == (3,) for cells in table.rows.values() for cell in cells)
    names = [figure.name for figure in found.figures]
    assert len(set(names)) == len(names)


def test_every_definition_is_a_score_of_some_measure(result):
    names = set()
    for kind in KINDS:
        for measure in MEASURES:
            for row in result(measure, kind).scores.values():
                names |= {name.removesuffix('_warm').removesuffix('_t').removesuffix('_r') for name in row}
    assert names == set(DEFINITIONS)


@pytest.mark.parametrize('name', sorted(set(MEASURES) - {'seams', 'bounds', 'closure'}))
def test_without_a_valid_cell_no_score_is_finite(setting, of_samples, result_of, name):
    samples = of_samples(setting('one variable'), times=2)
    samples = [one._replace(truth=np.full_like(one.truth, np.nan)) for one in samples]
    found = result_of(name, setting('one variable'), samples)
    assert not any(np.isfinite(e[0]) for row in found.scores.values() for e in row.values())
    json.dumps(plain(found.details), allow_nan=False)


@pytest.mark.parametrize('name', sorted(set(MEASURES) - {'seams'}))
def test_uneven_latitudes_cost_the_spectra_only(of_setting, of_samples, result, result_of, name):
    kind = KINDS['two variables']
    grid = of_setting(**kind).statics.drop_vars(['lat', 'lon', 'y', 'x']).rename(y='lat', x='lon')
    rows, columns = grid['mask'].shape
    mercator = np.rad2deg(np.arcsin(np.tanh(np.linspace(0.8, 1.0, rows))))
    uneven = of_setting(**kind, statics=grid.assign_coords(lat=mercator, lon=np.arange(columns) * 0.5))
    found = result_of(name, uneven, of_samples(uneven)).scores
    even = result(name, 'two variables').scores
    assert {m: set(row) for m, row in found.items()} == ({} if name == 'spectra' else {m: set(even[m]) for m in even})
