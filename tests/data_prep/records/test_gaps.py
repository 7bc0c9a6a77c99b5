"""Gaps of one predictor or target, which cost all targets, are reported by name and share."""

import runpy
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from data_prep.choices import choose
from data_prep.prepare import prepare
from data_prep.readers.pairs import Pair
from data_prep.records.pairs import PairedFields, warn_of_gaps
from data_prep.simulators.coarse_model import simulate

ROOT = Path(__file__).parents[3]
TIMES, SIDE = 10, 4
WHOLE = np.ones((TIMES, SIDE, SIDE), bool)


def known(times=slice(None), rows=slice(None), columns=slice(None)):
    """Where a variable has values: everywhere but in these."""
    valid = WHOLE.copy()
    valid[times, rows, columns] = False
    return valid


def fields(**valid):
    """Variables with these valid values, on a canonical grid."""
    axis = 50 + np.arange(float(SIDE))
    variables = {name: (('time', 'lat', 'lon'), np.where(where, 1, np.nan)) for name, where in valid.items()}
    variables['mask'] = (('lat', 'lon'), np.ones((SIDE, SIDE), np.int8))
    times = np.datetime64('2001-01-01', 'ns') + np.arange(TIMES) * np.timedelta64(1, 'D')
    return xr.Dataset(variables, {'time': times, 'lat': axis, 'lon': axis})


@pytest.fixture
def warnings(caplog):
    """warnings({predictor: where it is known}, {target: ..}, mask of the fine grid) -> the messages."""

    def call(predictors, targets, mask=WHOLE[0]):
        caplog.clear()
        coarse, fine = fields(**predictors), fields(**targets)
        statics = fine[['mask']].assign(mask=(('lat', 'lon'), mask.astype(np.int8)))
        data = {'predictors': tuple(predictors), 'targets': tuple(targets), 'coarse': '', 'fine': ''}
        warn_of_gaps(Pair(coarse, fine), PairedFields(coarse, statics, data))
        return [record.getMessage() for record in caplog.records]

    return call


def test_a_target_that_is_missing_on_land(warnings):
    (message,) = warnings({'u': WHOLE}, {'t2m': WHOLE, 'sst': known(columns=0)})
    assert message.startswith("data.targets: no value of 'sst' (25%) at this share")
    assert message.endswith('out of data.targets')


def test_a_predictor_that_is_missing_at_times(warnings):
    (message,) = warnings({'u': WHOLE, 'q': known(times=slice(2)), 'z': WHOLE}, {'t2m': WHOLE})
    assert message.startswith("data.predictors: no value of 'q' (20%) at this share")


def test_variables_that_share_no_cell(warnings):
    (message,) = warnings({'u': WHOLE}, {'swvl': known(columns=0), 'sst': ~known(columns=0)})
    assert "'swvl' (25%), 'sst' (75%)" in message


def test_predictors_and_targets_are_reported_apart(warnings):
    lacking = known(columns=0)
    messages = warnings({'u': WHOLE, 'q': lacking}, {'t2m': WHOLE, 'sst': lacking})
    assert [message.split(':')[0] for message in messages] == ['data.predictors', 'data.targets']


@pytest.mark.parametrize(
    ('one', 'other'),
    [
        (WHOLE, known(times=slice(7), rows=0, columns=0)),  # 7 of 160 values
        (known(times=slice(5)), known(times=slice(5))),  # days without any value
        (known(columns=0), known(columns=0)),
        (~WHOLE, ~WHOLE),
    ],
)
def test_small_or_common_gaps_are_silent(warnings, one, other):
    assert warnings({'u': one, 'q': other}, {'t2m': one, 'sst': other}) == []


def test_cells_outside_the_mask_do_not_count(warnings):
    lacking = known(columns=0)
    assert warnings({'u': WHOLE, 'q': lacking}, {'t2m': WHOLE, 'sst': lacking}, lacking[0]) == []


def test_preparation_warns_and_learns_no_target_in_the_gap(tmp_path, caplog):
    """Precipitation is missing in the western half."""
    pair = simulate(0, 24, 32, 48)
    west = pair.fine['lon'] <= pair.fine['lon'][15]
    config = runpy.run_path(ROOT / 'configs' / 'pairs.py')['get_config']('smoke').to_dict()
    config['data'] |= {name: str(tmp_path / f'{name}.nc') for name in ('coarse', 'fine')}
    pair.coarse.to_netcdf(config['data']['coarse'])
    pair.fine.assign(tp=pair.fine['tp'].where(~west)).to_netcdf(config['data']['fine'])
    prepared = prepare(choose(config)['data'], 0, tmp_path / 'data')
    assert "data.targets: no value of 'tp' (50%)" in caplog.text
    assert 'data.predictors' not in caplog.text
    assert prepared.mask.all()
    for name in ('t2m', 'tp'):
        missing = np.isnan(prepared.statics[f'regression_{name}']).all('coefficient')
        np.testing.assert_array_equal(missing, np.broadcast_to(west.values, missing.shape))
