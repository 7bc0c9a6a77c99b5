"""The one-pass generator by one setting, in every system of ensembles."""

import pytest

from downscale_jax.runtime.errors import UserError
from downscale_jax.systems import check_settings, system_of
from downscale_jax.tasks.diffusion import Diffusion
from downscale_jax.tasks.one_pass import OnePass
from tests.default_config import default_config


def config(name, generator):
    return {**default_config(name), 'generator': generator}


@pytest.mark.parametrize('name', ['diffusion_sit', 'diffusion_dpdm', 'pairs'])
def test_the_last_task_is_the_generator(name):
    one, two = config(name, 'one_pass'), config(name, 'diffusion')
    check_settings(one)
    tasks, others = system_of(one).build(one), system_of(two).build(two)
    last, other = tasks['one_pass'], list(others.values())[-1]
    assert (type(last), type(other)) == (OnePass, Diffusion)
    assert list(tasks)[:-1] == list(others)[:-1]
    assert (last.network, last.regression, last.hidden) == (other.network, other.regression, other.hidden)
    # two members in half the steps: as many evaluations of the network
    assert [phase.steps * last.members for phase in last.phases] == [phase.steps for phase in other.phases]


def test_an_unknown_generator():
    with pytest.raises(UserError, match='one_pas'):
        check_settings(config('diffusion_sit', 'one_pas'))
