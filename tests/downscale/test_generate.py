"""A task that says what it is given: noise in, noise out, so that an ensemble is known in closed form."""

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.runtime.errors import UserError

H, W, DAYS = 40, 50, 4
SAMPLING = Sampling('ddim', 3, 't', 0.0, temperature=1.0, correlation_hours=0.0, tile=64, overlap=8, members=4)


@dataclass(frozen=True)
class Noise:
    """Members are params * noise(0) + noise(1) / 2, their mean the first condition."""

    network: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stride=4, channels=1))
    draws: bool = True
    traces: list = field(default_factory=list)

    def sample(self, params, condition, valid, noise, apply, solver):
        self.traces.append(solver)
        return jnp.where(valid, condition[..., :1] + params * noise(0) + noise(1) / 2, 0)


@pytest.fixture
def generator(transform):
    return Generator(Noise(), np.float32(2), replace(transform, bounds=((-np.inf, np.inf),)), SAMPLING)


@pytest.fixture(scope='module')
def coarse():
    """Thickness 1.5 m, concentration 0.8, every day, on the fine grid."""
    axes = {name: (name, 4e3 * np.arange(n), {'units': 'm'}) for name, n in (('y', H), ('x', W))}
    days = np.datetime64('1969-12-30', 'ns') + np.timedelta64(1, 'D') * np.arange(DAYS)
    values = {'sit': (1.5, 'm'), 'sic': (0.8, '1')}
    return xr.Dataset(
        {n: (('time', 'y', 'x'), np.full((DAYS, H, W), v, 'f4'), {'units': u}) for n, (v, u) in values.items()},
        {'time': days, **axes},
    )


@pytest.fixture(scope='module')
def statics(coarse):
    return xr.Dataset({'mask': (('y', 'x'), np.ones((H, W), bool))}, {n: coarse[n] for n in 'yx'})


def anomalies(generator, coarse, statics, members=4, seed=0):
    """What is added to the coarse field of 1.5 m, in units of the transform's 0.3 m: [member, time, y, x]."""
    return (ensemble.in_memory(generator, coarse, statics, members, seed, {})['sit'].values - 1.5) / 0.3


def test_members_are_the_tasks_samples_in_physical_units(generator, coarse, statics):
    values = anomalies(generator, coarse, statics, members=8)
    # the condition is zero, the variance 2^2 + 1/2^2
    assert abs(values.mean()) < 0.05
    assert values.var() == pytest.approx(4.25, rel=0.03)
    assert values.shape == (8, DAYS, H, W)


def test_temperature_changes_the_noise_and_nothing_else(generator, coarse, statics):
    one = anomalies(generator, coarse, statics)
    np.testing.assert_allclose(anomalies(generator.changed(temperature=1.7), coarse, statics), 1.7 * one, atol=1e-5)
    still = anomalies(generator.changed(temperature=1e-9), coarse, statics)
    np.testing.assert_allclose(still, 0, atol=1e-6)
    np.testing.assert_array_equal(still, np.broadcast_to(still[:1], still.shape))
    np.testing.assert_array_equal(anomalies(generator, coarse, statics), one)


def test_temperatures_share_parameters_and_programs(generator, coarse, statics):
    first = generator.changed(temperature=0.5)
    anomalies(first, coarse, statics)
    traces, params = len(generator.task.traces), first.params
    for temperature in (0.8, 1.2):
        other = generator.changed(temperature=temperature)
        assert (other.sampling.temperature, generator.sampling.temperature) == (temperature, 1.0)
        assert replace(other.sampling, temperature=1.0) == SAMPLING
        assert other.params is params
        assert other.identity == generator.identity
        anomalies(other, coarse, statics)
    anomalies(generator, coarse, statics)
    assert generator.params is params
    assert len(generator.task.traces) == traces


@pytest.mark.parametrize(
    ('devices', 'units', 'tile', 'by_tiles'),
    [
        (4, 1, 24, True),
        (4, 3, 24, True),
        (4, 4, 24, False),
        (3, 1, 24, True),
        (3, 2, 24, False),  # two rounds of tiles for each unit: no fewer than the tiles of one
        (1, 1, 24, False),
        (4, 1, 64, False),  # a single tile
    ],
)
def test_few_units_are_shared_out_by_tiles(generator, monkeypatch, devices, units, tile, by_tiles):
    monkeypatch.setattr(jax, 'local_device_count', lambda: devices)
    generator = Generator(generator.task, None, generator.transform, replace(SAMPLING, overlap=4, tile=tile))
    assert len(generator.tiling((40, 44))[0].origins) == (4 if tile == 24 else 1)
    assert generator.by_tiles((40, 44), False, units) == by_tiles


def test_a_task_that_does_not_draw_has_one_member(transform):
    generator = Generator(Noise(draws=False), np.float32(1), transform, SAMPLING)
    assert (generator.draws, generator.members) == (False, 1)


@pytest.mark.parametrize('hours', [0.0, 12.0, 36.0, 100.0])
def test_noise_lasts_as_long_as_it_is_asked_to(generator, coarse, statics, hours):
    lasting = Generator(generator.task, np.float32(2), generator.transform, replace(SAMPLING, correlation_hours=hours))
    values = anomalies(lasting, coarse, statics)
    for first in range(DAYS):
        for second in range(first + 1, DAYS):
            found = np.corrcoef(values[:, first].ravel(), values[:, second].ravel())[0, 1]
            expected = np.exp(-((24 * (second - first) / hours) ** 2)) if hours else 0.0
            # of 8000 values: its standard deviation is 0.011
            assert found == pytest.approx(expected, abs=0.05)
    assert values.var((0, 2, 3)) == pytest.approx(4.25, rel=0.1)
    # members have nothing of each other
    assert abs(np.corrcoef(values.reshape(4, -1)) - np.eye(4)).max() < 0.1


def test_a_day_has_the_same_noise_alone_and_among_others(generator, coarse, statics):
    lasting = Generator(generator.task, np.float32(2), generator.transform, replace(SAMPLING, correlation_hours=36.0))
    whole = anomalies(lasting, coarse, statics, members=8)
    for days in ([2], [0, 3]):
        np.testing.assert_array_equal(anomalies(lasting, coarse.isel(time=days), statics), whole[:4, days])


def test_the_solver_comes_with_the_sampling(generator, coarse, statics):
    anomalies(generator, coarse.isel(time=[0]), statics, members=1)
    assert generator.task.traces[0] == replace(generator.sampling, members=1)


@pytest.mark.parametrize(
    ('change', 'told'),
    [
        ({'temperature': 0.0}, 'sampling.temperature=0.0: a positive factor is needed'),
        ({'temperature': float('nan')}, 'sampling.temperature=nan'),
        ({'correlation_hours': -1.0}, 'sampling.correlation_hours=-1.0: 0 or more hours'),
        ({'members': 0}, 'sampling.members=0: at least 1 is needed'),
        ({'sampler': 'dppm'}, "did you mean 'ddpm'?"),
        ({'steps': 0}, 'sampling.steps=0'),
    ],
)
def test_sampling_that_cannot_work(change, told):
    with pytest.raises(UserError, match=re.escape(told)):
        replace(SAMPLING, **change)
