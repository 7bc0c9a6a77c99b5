"""Records of pairs, read back as inputs: what files say of their fields beyond values and units."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from data_prep.choices import choose
from data_prep.prepare import prepare
from data_prep.simulators.coarse_model import simulate
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.runtime.errors import UserError

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope='module')
def pair():
    return simulate(0, 24, 32, 48)


@pytest.fixture
def prepared_of(tmp_path):
    """prepared_of(coarse, fine, **settings of `data`) -> the prepared pair of two files."""

    def call(coarse, fine, **settings):
        config = runpy.run_path(ROOT / 'configs' / 'pairs.py')['get_config']('smoke').to_dict()
        for name, fields in (('coarse', coarse), ('fine', fine)):
            config['data'][name] = str(tmp_path / f'{name}.nc')
            fields.to_netcdf(config['data'][name])
        config['data'].update(settings)
        return prepare(choose(config)['data'], 0, tmp_path / 'data')

    return call


def inputs_of(prepared):
    """The inputs of two records of the test split, and the data set that they come from."""
    split = prepared.split('test')
    dataset = coarse_dataset(prepared, split, split.times, [0, 3])
    return open_inputs(dataset, prepared.field_transform, prepared.statics), dataset


def test_bounds_of_time_are_no_part_of_the_grid(pair, prepared_of):
    coarse = pair.coarse.copy(deep=True)
    time = coarse['time'].values
    ends = (time.astype('M8[M]') + 1).astype('M8[ns]')
    coarse['time_bnds'] = ('time', 'bnds'), np.stack([time, ends], -1)
    coarse['time'].attrs['bounds'] = 'time_bnds'
    coarse['time'].encoding['units'] = 'days since 1981-01-01'
    coarse['tp'].attrs['cell_methods'] = 'time: sum'
    prepared = prepared_of(coarse, pair.fine)
    assert 'time' not in prepared.coarse_grid.dims
    inputs, _ = inputs_of(prepared)
    assert np.isfinite(inputs[1][..., :5]).all()


def test_anomalies_are_not_screened_as_temperatures(pair, prepared_of):
    anomaly = pair.coarse['t2m'] - pair.coarse['t2m'].mean('time')
    coarse = pair.coarse.assign(t2m=anomaly.assign_attrs(units='K', long_name='anomaly of temperature'))
    prepared = prepared_of(coarse, pair.fine, sources=('', 'tp'))
    inputs, dataset = inputs_of(prepared)
    assert np.nanmax(abs(inputs[0][..., 0])) < 20
    stored = np.stack([prepared.split('test')[index]['coarse'][..., 0] for index in (0, 3)])
    np.testing.assert_array_equal(dataset['t2m'], stored)


def test_values_far_outside_the_bounds_are_refused(pair, prepared_of):
    with pytest.raises(UserError, match=r"'t2m' is between .* data\.bounds are 0 and 1: members would be clipped"):
        prepared_of(pair.coarse, pair.fine, bounds=((0.0, 1.0), (0.0, np.inf)))
