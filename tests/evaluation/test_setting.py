"""What measures know of a run before its first time: methods, variables, winds."""

from types import SimpleNamespace

import numpy as np
import pytest

from downscale_jax.evaluation.protocol import Zone
from downscale_jax.evaluation.setting import methods_of, setting, variables_of, winds_of

SETTINGS = {'places': '', 'window': 16, 'subsets': (), 'regimes': (), 'zones': ()}


@pytest.mark.parametrize(
    ('named', 'expected'),
    [
        ({'u10': 'eastward_wind', 'v10': 'northward_wind'}, ('u10', 'v10')),
        ({'t': 'air_temperature', 'v': 'northward_wind', 'u': 'eastward_wind'}, ('u', 'v')),
        ({'across': 'y_wind', 'along': 'x_wind', 'none': None}, ('along', 'across')),
        ({'u10': 'eastward_wind', 'v10': 'northward_wind', 'u100': 'eastward_wind'}, ('u10', 'v10')),
        ({'u': 'grid_eastward_wind', 'v': 'grid_northward_wind'}, ('u', 'v')),
        ({'u': 'eastward_wind', 't': 'air_temperature'}, None),
        ({'u': None, 'v': None}, None),
        ({}, None),
    ],
)
def test_winds_by_their_standard_names(named, expected):
    attributes = {name: {'standard_name': said} if said else {'units': 'm s-1'} for name, said in named.items()}
    assert winds_of(attributes) == (expected and {name: named[name] for name in expected})
    assert expected is None or tuple(winds_of(attributes)) == expected


@pytest.mark.parametrize(
    ('members', 'subsets', 'methods'),
    [
        (8, (), ('gen',)),
        (8, (1, 5, 10), ('gen_1', 'gen_5', 'gen_8')),
        (10, (10, 1), ('gen_1', 'gen_10')),
        (2, (5,), ('gen_2',)),
    ],
)
def test_an_ensemble_is_a_method_for_each_number_of_members(members, subsets, methods):
    assert methods_of('gen', members, subsets) == methods


def made(case, members, **changes):
    return setting(case.prepared, {**SETTINGS, **changes}, ('coarse',), members, case.times, {})


def test_methods(make_case):
    case = make_case(days=2, names=())
    found = made(case, {'regression': 1, 'diffusion': 6, 'calibrated': 6}, subsets=(1, 3))
    assert found.singles == ('regression',)
    assert found.ensembles['diffusion'] == ('diffusion_1', 'diffusion_3', 'diffusion_6')
    assert (found.main, found.whole) == ('calibrated_6', ('diffusion_6', 'calibrated_6'))
    assert found.complete == ('coarse', 'regression', 'diffusion_6', 'calibrated_6')
    assert found.shown == ('coarse', 'regression', 'diffusion_1', 'diffusion_6', 'calibrated_1', 'calibrated_6')
    single = made(case, {'regression': 1, 'other': 1})
    assert (single.main, single.ensembles) == ('other', {})
    assert made(case, {}).main == 'coarse'


def test_variables(make_case):
    case = make_case(days=2, names=())
    (variable,) = made(case, {}, regimes=((0.15, 1.0),), zones=(('ice', 0.15),)).variables
    assert (variable.name, variable.units, variable.label) == ('sit', 'm', 'sea ice thickness')
    assert (variable.data_range, variable.kernel_km, variable.coarse_cells) == (5, 40, 10)
    assert (variable.regimes, variable.zone) == ((0.15, 1.0), Zone('ice', 0.15))
    (variable,) = made(case, {}).variables
    # terciles of training, by default
    known = case.truth[np.isfinite(case.truth)]
    np.testing.assert_allclose(variable.regimes, np.quantile(known, (1 / 3, 2 / 3)), atol=0.02)
    assert variable.zone is None


def test_names_of_scores_and_rows(of_setting):
    one, two = of_setting(1), of_setting(2)
    assert one.name('crps', one.variables[0]) == 'crps'
    assert two.name('crps', two.variables[1]) == 'crps_r'
    estimates = {('net', 0): {'a': np.ones(3), 'b': np.zeros(3)}, ('net', 1): {'a': np.full(3, 2.0)}}
    assert {m: list(row) for m, row in two.named(estimates).items()} == {'net': ['a_t', 'b_t', 'a_r']}
    assert list(two.named(estimates, 'b')['net']) == ['b_t']
    assert [two.panel_title(name) for name in two.names] == two.labels
    assert one.rows_run_up
    down = of_setting(1, statics=one.statics.isel(y=slice(None, None, -1)))
    assert not down.rows_run_up


def test_labels_that_repeat_end_in_the_name_of_the_variable(make_case):
    case = make_case(days=2, names=())
    names = {'tas': 'air_temperature', 'tasmax': 'air_temperature', 'pr': 'precipitation_flux'}
    transform = SimpleNamespace(targets=tuple(names), target_units=('K', 'K', 'mm day-1'), channel=1)
    case.prepared.field_transform, case.prepared.meta['range'] = transform, [[0.0, 5.0]] * 3
    case.prepared.attributes = {name: {'standard_name': standard} for name, standard in names.items()}
    reference = SimpleNamespace(terciles=np.array([[1.0, 2.0]] * 3))
    found = variables_of(case.prepared, SETTINGS, reference, 4.0)
    assert [v.label for v in found] == ['air temperature (tas)', 'air temperature (tasmax)', 'precipitation flux']
