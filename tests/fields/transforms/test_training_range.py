import logging

import numpy as np
import pytest

from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.fields.transforms.training_range import TrainingRange, probable_extremes, standardised_extremes
from downscale_jax.runtime.errors import UserError


def trained():
    return TrainingRange(('t2m', 'tp'), ('K', 'mm day-1'), np.array([[260.0, 320.0], [0.0, 50.0]]))


def fields(**values):
    """[4, 5, V] within the range of training, but for the first value of each."""
    result = np.stack([np.linspace(270, 310, 20), np.linspace(0, 40, 20)], -1).reshape(4, 5, 2).astype('f4')
    for name, value in values.items():
        result[0, 0, ('t2m', 'tp').index(name)] = value
    return result


@pytest.mark.parametrize(
    ('values', 'names'),
    [
        ({}, []),
        ({'t2m': np.nan, 'tp': np.nan}, []),
        ({'t2m': 349.0, 'tp': 74.0}, []),  # half the range beyond it
        ({'t2m': 351.0}, ['t2m']),
        ({'t2m': 229.0, 'tp': 76.0}, ['t2m', 'tp']),
    ],
)
def test_far_outside(values, names, caplog):
    compared = trained()
    with caplog.at_level(logging.WARNING, logger='downscale_jax'):
        compared.check(fields(**values), 'a.nc')
        compared.check(fields(**values), 'a.nc')  # said once
    assert len(caplog.records) == len(names)
    for name in names:
        assert f"a.nc: '{name}' reaches from" in caplog.text


def test_many_values_outside(caplog):
    trained().check(fields() + np.array([14, 0], 'f4'), 'a.nc')  # 2 of 20 above 320 K
    assert not caplog.records
    trained().check(fields() + np.array([23, 0], 'f4'), 'a.nc')  # 7 of 20
    assert "'t2m' reaches from 293 to 333 'K' with 35 % of its values outside the range" in caplog.text
    assert 'from 260 to 320 in training' in caplog.text


def test_absurd():
    with pytest.raises(
        UserError, match=r"a\.nc: 'tp' reaches from 2.105 to 6000 'mm day-1', but from 0 to 50 in training"
    ):
        trained().check(fields(tp=6000.0), 'a.nc')


@pytest.mark.parametrize(('factor', 'count'), [(1e-3, 1), (1 / 86400, 1), (0.01, 0), (0.0, 0)])
def test_values_that_are_all_far_too_small(factor, count, caplog):
    """Rain in kg m-2 s-1 or in metres whose units say mm; a dry field is none of these."""
    trained().check(fields() * np.array([1, factor], 'f4'), 'a.nc', first=True)
    assert len(caplog.records) == count


def test_probable_extremes():
    np.testing.assert_array_equal(probable_extremes((1.0, 0.0), (2.0, 0.5)), [[-19, 21], [-5, 5]])
    values = Standardisation(('t2m', 'tp'), ('K', 'mm'), (280.0, 0.0), (5.0, 1.0), (0.0, 1.0), (1.0, 0.3), (0.0, 1.0))
    found = standardised_extremes(values)
    np.testing.assert_allclose(found, [[230, 330], [-np.expm1(2.0), np.expm1(4.0)]], rtol=1e-6)
