"""The regression has its own share of the steps of each phase, with and without parts."""

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import check_settings, system_of
from tests.default_config import default_config


def config(name, **diffusion):
    found = default_config(name)
    found['training']['main']['steps'] = 100
    found['diffusion'] |= diffusion
    return found


@pytest.mark.parametrize('name', ['diffusion_sit', 'diffusion_dpdm', 'pairs'])
@pytest.mark.parametrize('parts', [1, 2])
@pytest.mark.parametrize(('share', 'steps'), [(0.35, 35), (1.0, 100), (0.001, 1), (2, 200)])
def test_steps_of_the_regression(name, parts, share, steps):
    given = config(name, cross_fitting=parts, regression_steps_share=share)
    check_settings(given)
    tasks = system_of(given).build(given)
    generator = list(tasks.values())[-1]
    assert [phase.steps for phase in tasks['regression'].phases] == [steps]
    assert [phase.steps for phase in generator.phases] == [100]
    assert generator.regression.phases == tasks['regression'].phases


@pytest.mark.parametrize('share', [0.0, -1.0, 'half'])
def test_a_share_that_is_none(share):
    with pytest.raises(UserError, match='regression_steps_share'):
        check_settings(config('pairs', regression_steps_share=share))
