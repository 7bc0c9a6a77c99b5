"""The transform that the tests of downscaling share."""

import pytest

from downscale_jax.fields.transforms.refinement import RefinementTransform


@pytest.fixture(scope='session')
def transform() -> RefinementTransform:
    """Anomalies of thickness from thickness and concentration, in bounds that clip some of what is generated."""
    return RefinementTransform(
        target='sit',
        units='m',
        inputs=('sit', 'sic'),
        input_units=('m', '1'),
        anomaly=True,
        bounds=((0.0, 2.4),),
        input_mean=(1.5, 0.8),
        input_std=(0.5, 0.1),
        target_mean=0.0,
        target_std=0.3,
    )
