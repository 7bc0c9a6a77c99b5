"""Faults of submissions to CORDEX ML-Bench, each named in a line."""

import zipfile
from datetime import timedelta

import numpy as np
import pytest
import xarray as xr

from downscale_jax.runtime.errors import UserError
from experiments.cordex_bench.__main__ import main
from experiments.cordex_bench.check import Expected, faults
from experiments.cordex_bench.layout import DOMAINS, Case

CASE = Case(DOMAINS['NZ'], 'historical', 'imperfect', 'ACCESS-CM2')  # noleap, with a day without predictors
MISSING = 4


@pytest.fixture(scope='module')
def root(tmp_path_factory, made_up_tree):
    root = tmp_path_factory.mktemp('bench')
    made_up_tree(root, 'NZ')
    return root


@pytest.fixture(scope='module')
def valid(root):
    """A prediction as another entrant would make it, from the target file."""
    with xr.open_dataset(CASE.truth(root)) as targets, xr.open_dataset(CASE.predictors(root)) as predictors:
        both = targets.load().expand_dims(member=10).copy(deep=True)
        both['pr'] = both['pr'] * np.linspace(0.5, 1.5, 10)[:, None, None, None]
        both['tasmax'] = both['tasmax'] + np.arange(10, dtype='f4')[:, None, None, None]
        both = both.assign_coords(time=predictors['time'].load())
    for name in ('pr', 'tasmax'):
        both[name][:, MISSING] = np.nan
        both[name].encoding.clear()
        both[name] = both[name].astype('float32')
    return both


@pytest.fixture
def found(tmp_path, root, valid):
    """found(change, name) -> the faults of a submission of one changed file."""

    def call(change=lambda prediction: prediction, name='DeepESD-v1'):
        path = CASE.prediction(tmp_path / name, 'ESD')
        path.parent.mkdir(parents=True)
        change(valid.copy(deep=True)).to_netcdf(path)
        return faults(tmp_path / name, Expected(root, ((CASE, 'ESD'),)))

    return call


@pytest.mark.parametrize('name', ['DeepESD-v1', 'DeepESD-v1-orog'])
def test_a_valid_submission_has_no_faults(found, name):
    assert found(name=name) == []


def test_a_deterministic_submission_needs_no_members(found):
    assert found(lambda p: p.isel(member=0, drop=True)) == []


def part(prediction, name, index, value):
    prediction[name][index] = value
    return prediction


def with_units(prediction, name, units):
    prediction[name].attrs['units'] = units
    return prediction


CHANGES = {
    'variable': (lambda p: p.drop_vars('pr'), ["no variable 'pr'"]),
    'members': (lambda p: p.isel(member=slice(5)), ["'pr' has 5 members", '10']),
    'one variable without members': (lambda p: p.assign(pr=p['pr'][0]), ["'pr' has no dimension member"]),
    'order': (lambda p: p.transpose('member', 'lat', 'lon', 'time'), ['time x lat x lon']),
    'dimensions': (lambda p: p.rename(lat='y', lon='x'), ['y (32)', 'time x lat x lon']),
    'type': (lambda p: p.fillna(0).astype('int32'), ['int32']),
    'days': (lambda p: p.isel(time=slice(1, None)), ['39 days', '40']),
    'dates': (lambda p: p.assign_coords(time=p['time'].values - timedelta(1)), ['40 days', '1984-01-24']),
    'calendar': (lambda p: p.assign_coords(time=xr.date_range('1984-01-25', periods=40)), ["'noleap'"]),
    'no dates': (lambda p: p.drop_vars('time').assign_coords(time=np.arange(40.0)), ["'time' has no dates"]),
    'grid': (lambda p: p.assign_coords(lon=p['lon'] + 0.2), ["'lon' differs", '0.2']),
    'turned': (lambda p: p.isel(lat=slice(None, None, -1)), ["'lat' differs", 'turned']),
    'size': (lambda p: p.isel(lat=slice(16)), ["'lat' has (16,)", '(32,)']),
    'unit of temperature': (lambda p: with_units(p, 'tasmax', 'degC'), ["'tasmax'", 'degC', 'K']),
    'unit of rain': (lambda p: with_units(p, 'pr', 'kg m-2 s-1'), ["'pr'", 'kg m-2 s-1', 'mm/day']),
    'values of temperature': (lambda p: p.assign(tasmax=p['tasmax'] - 273.15), ["'tasmax'", 'implausible in K']),
    'values of rain': (lambda p: p.assign(pr=p['pr'] / 86400), ["'pr'", 'implausible in mm/day']),
    'values on a NaN day': (lambda p: p.fillna(p.isel(time=0)), ["1 days of 'pr'", 'predict NaN', '1984-01-29']),
    'missing values': (lambda p: part(p, 'pr', (3, 9, 5), np.nan), ["1 days of 'pr' have missing", '1984-02-03']),
    'equal members': (lambda p: p.isel(member=[0] * 10), ["members of 'pr' are equal"]),
    'orography': (lambda p: p.assign_attrs(orography='yes'), ['-orog']),
}


@pytest.mark.parametrize('change', CHANGES)
def test_a_fault_is_named(found, change):
    altered, words = CHANGES[change]
    lines = found(altered)
    assert any(all(word in line for word in words) for line in lines), lines
    assert all('\n' not in line and 'ACCESS-CM2_1981-2000.nc: ' in line for line in lines)


def test_names_missing_and_surplus_files(found, tmp_path, root):
    (line,) = found(name='DeepESD')
    assert 'name-version' in line
    submission = tmp_path / 'DeepESD'
    path = CASE.prediction(submission, 'ESD')
    path.rename(path.with_name('Prediction_pr_tasmax_ACCESS-CM2_1981-2000.nc'))
    lines = faults(submission, Expected(root, ((CASE, 'ESD'),)))
    assert any(line.startswith(f'{path}: missing') for line in lines)
    assert any('Prediction_pr' in line and f"did you mean '{path}'?" in line for line in lines)
    assert len(lines) == 3


def test_a_damaged_file_and_a_mixture_of_forms(found, tmp_path, root, valid):
    found(lambda p: p.isel(member=0, drop=True))
    submission, other = tmp_path / 'DeepESD-v1', CASE._replace(condition='perfect')
    path = other.prediction(submission, 'ESD')
    path.parent.mkdir(parents=True)
    path.write_bytes(b'no file of NetCDF')
    expected = Expected(root, ((CASE, 'ESD'), (other, 'ESD')))
    (line,) = faults(submission, expected)
    assert str(path) in line
    valid.to_netcdf(path)
    assert any('either deterministic or generative' in line for line in faults(submission, expected))


def test_check_and_pack_from_the_command_line(tmp_path, root, valid, capsys):
    submission = tmp_path / 'DeepESD-v1'
    for case in (CASE, CASE._replace(condition='perfect')):
        path = case.prediction(submission, 'ESD')
        path.parent.mkdir(parents=True)
        with xr.open_dataset(case.predictors(root)) as predictors:
            prediction = valid.assign_coords(time=predictors['time'].load())
        prediction.to_netcdf(path)
    options = [str(submission), f'--root={root}', '--domains=NZ', '--experiments=ESD']
    with pytest.raises(UserError, match='2 faults'):
        main(['pack', *options])
    lines = [line for line in capsys.readouterr().out.splitlines() if 'perfect' in line]
    assert len(lines) == 2
    assert all('perfect/' in line and '1984-01-29' in line for line in lines)
    prediction.fillna(prediction.isel(time=0)).to_netcdf(path)
    main(['pack', *options])
    with zipfile.ZipFile(tmp_path / 'DeepESD-v1.zip') as archive:
        assert sorted(archive.namelist()) == [
            f'DeepESD-v1/NZ_Domain/ESD_pseudo_reality/historical/{condition}/'
            'Predictions_pr_tasmax_ACCESS-CM2_1981-2000.nc'
            for condition in ('imperfect', 'perfect')
        ]


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--domains=ALP'], ["'ALP'", "'ALPS'"]),
        (['--experiments=ESR'], ["'ESR'", "'ESD'"]),
        (['--domains=SA'], ['SA', '--root']),
        (['--domains=NZ', '--member=3'], ["'--member=3'"]),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, root, options, words):
    with pytest.raises(UserError) as error:
        main(['check', str(tmp_path), f'--root={root}', *options])
    assert all(word in str(error.value) for word in words)
