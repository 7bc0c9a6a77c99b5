"""Coarse fields of real forms on the fine grid of training: in their own places, or refused."""

import logging

import numpy as np
import pytest

from data_prep.readers.series import read_series
from downscale_jax.fields.datasets import store
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.fields.geometry.alignment import aligned
from downscale_jax.fields.geometry.blocks import block_mean
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.runtime.errors import UserError

FACTOR = 4


@pytest.fixture(scope='module')
def cases(shared_data):
    return shared_data.parent / 'cases'


@pytest.mark.parametrize(
    ('fine', 'coarse', 'name'),
    [
        ('cordex_rotated_fine', 'cordex_rotated_coarse', 'tas'),
        ('cordex_rotated_fine', 'cordex_rotated_coarse_descending', 'tas'),
        ('lambert_fine', 'lambert_coarse', 't2m'),
        ('greenwich_fine_sorted', 'greenwich_coarse_sorted', 't2m'),
        ('model_fine', 'greenwich_coarse_sorted', 't2m'),
    ],
)
def test_means_of_their_own_cells(cases, fine, coarse, name):
    """The coarse files hold block means of the last four or five days of the fine ones."""
    reference = read_series(str(cases / f'{fine}.nc'), [name])
    found = aligned(canonical(store.open_dataset(cases / f'{coarse}.nc'), [name]), reference, FACTOR, coarse)
    values = reference[name].values[..., None]
    means = block_mean(values, FACTOR, cell_areas_km2(reference)[..., None])[..., 0]
    distance = [np.abs(means - field).max((1, 2)).min() for field in found[name].values]
    np.testing.assert_allclose(distance, 0, atol=2e-3)


def test_a_global_file_is_cut(cases, caplog):
    reference = read_series(str(cases / 'model_fine.nc'), ['t2m'])
    fields = canonical(store.open_dataset(cases / 'larger_global.nc'), ['t2m'])
    with caplog.at_level(logging.INFO):
        found = aligned(fields, reference, FACTOR, 'larger_global.nc')
    assert 'cut from 180 x 360 to the 10 x 20 cells' in caplog.text
    np.testing.assert_array_equal(found['lat'], np.arange(54.5, 45, -1))
    np.testing.assert_array_equal((found['lon'] + 180) % 360 - 180, np.arange(-9.5, 10))


def test_another_projection(cases):
    reference = read_series(str(cases / 'lambert_fine.nc'), ['t2m'])
    with pytest.raises(UserError, match=r'another grid.* is \d+ km from that expected'):
        aligned(canonical(store.open_dataset(cases / 'greenwich_coarse_sorted.nc'), ['t2m']), reference, FACTOR, 'a.nc')
