"""The value above which a change of frequency is scored."""

import pytest

from downscale_jax.evaluation.measures.change import Change
from downscale_jax.evaluation.statistics.change import WET


@pytest.mark.parametrize(
    ('units', 'quantity', 'wet'),
    [
        ('mm day-1', 'precipitation', True),
        ('mm day-1', '', False),  # such as evaporation and runoff
        ('mm', 'precipitation', False),
    ],
)
def test_wet_days_are_those_of_precipitation(of_setting, units, quantity, wet):
    first, second = of_setting(2).variables
    measure = Change(of_setting(2, variables=(first, second._replace(units=units, quantity=quantity))))
    assert measure._thresholds == [1.0, WET if wet else 5.0]
