"""A task that returns its noise, so that an ensemble is known in closed form."""

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.downscale.tiles import Domain
from downscale_jax.runtime.errors import UserError

H, W, DAYS = 40, 50, 4
SETTINGS = GenerationSettings(Partition(tile=64, overlap=8, members=4), Sampling('ddim', 3, 't', 0.0))


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
    return FieldGenerator(Noise(), np.float32(2), replace(transform, bounds=((-np.inf, np.inf),)), SETTINGS)


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
    """Departures from the coarse field of 1.5 m, in units of the transform's 0.3 m: [member, time, y, x]."""
    inputs = open_inputs(coarse, generator.transform, statics)
    return (in_memory(Ensemble(generator, inputs, statics, members, seed))['sit'].values - 1.5) / 0.3


def test_members_are_the_tasks_samples_in_physical_units(generator, coarse, statics):
    values = anomalies(generator, coarse, statics, members=8)
    # the condition is zero, the variance 2^2 + 1/2^2
    assert abs(values.mean()) < 0.05
    assert values.var() == pytest.approx(4.25, rel=0.03)
    assert values.shape == (8, DAYS, H, W)


def test_temperature_changes_the_noise_and_nothing_else(generator, coarse, statics):
    one = anomalies(generator, coarse, statics)
    np.testing.assert_allclose(
        anomalies(generator.with_sampling(temperature=1.7), coarse, statics), 1.7 * one, atol=1e-5
    )
    without = anomalies(generator.with_sampling(temperature=0), coarse, statics)
    np.testing.assert_allclose(without, 0, atol=1e-6)
    np.testing.assert_array_equal(without, np.broadcast_to(without[:1], without.shape))
    np.testing.assert_array_equal(anomalies(generator.with_sampling(temperature=1.0), coarse, statics), one)
    np.testing.assert_array_equal(anomalies(generator, coarse, statics), one)


def test_temperatures_share_parameters_and_programs(generator, coarse, statics):
    first = generator.with_sampling(temperature=0.5)
    anomalies(first, coarse, statics)
    traces, params = len(generator.task.traces), first.params
    for temperature in (0.8, 1.2):
        other = generator.with_sampling(temperature=temperature)
        assert (other.temperature, generator.temperature) == (temperature, 1.0)
        assert replace(other.sampling, temperature=None) == SETTINGS.sampling
        assert other.params is params
        assert other.identity == generator.identity
        anomalies(other, coarse, statics)
    anomalies(generator, coarse, statics)
    assert generator.params is params
    assert len(generator.task.traces) == traces


@pytest.mark.parametrize(
    ('devices', 'units', 'tile', 'split'),
    [
        (4, 1, 24, 'tiles'),
        (4, 3, 24, 'tiles'),
        (4, 4, 24, 'units'),
        (3, 1, 24, 'tiles'),
        (3, 2, 24, 'units'),  # two rounds of tiles for each unit: no fewer than the tiles of one
        (1, 1, 24, 'units'),
        (4, 1, 64, 'units'),  # a single tile
    ],
)
def test_devices_share_the_tiles_of_few_units(generator, monkeypatch, devices, units, tile, split):
    monkeypatch.setattr(jax, 'local_device_count', lambda: devices)
    generator, domain = generator.with_partition(overlap=4, tile=tile), Domain((40, 44), channels=2)
    assert len(generator.tiling(domain).origins) == (4 if tile == 24 else 1)
    assert generator.split(domain, units) == split


def test_a_deterministic_task_has_one_member_and_no_solver(transform):
    generator = FieldGenerator(Noise(draws=False), np.float32(1), transform, SETTINGS)
    assert (generator.draws, generator.partition.members, generator.sampling) == (False, 1, None)
    with pytest.raises(TypeError):
        generator.with_sampling(temperature=1.0)


def test_settings_of_a_config():
    flat = {'sampler': 'ddim', 'steps': 3, 'spacing': 't', 'eta': 0.0, 'temperature': None, 'correlation_hours': 0.0}
    tiles = {'tile': 64, 'overlap': 8, 'members': 4}
    assert GenerationSettings.from_config({**flat, **tiles}) == SETTINGS
    alone = GenerationSettings.from_config({'tile': 64, 'overlap': 8, 'conserve': True})
    assert alone == GenerationSettings(Partition(64, 8), conserve=True)
    assert alone == replace(SETTINGS, conserve=True).deterministic()


@pytest.mark.parametrize('hours', [0.0, 12.0, 36.0, 100.0])
def test_correlation_time_of_the_noise(generator, coarse, statics, hours):
    lasting = generator.with_sampling(correlation_hours=hours)
    values = anomalies(lasting, coarse, statics)
    for first in range(DAYS):
        for second in range(first + 1, DAYS):
            found = np.corrcoef(values[:, first].ravel(), values[:, second].ravel())[0, 1]
            expected = np.exp(-((24 * (second - first) / hours) ** 2)) if hours else 0.0
            # of 8000 values: its standard deviation is 0.011
            assert found == pytest.approx(expected, abs=0.05)
    assert values.var((0, 2, 3)) == pytest.approx(4.25, rel=0.1)
    # members are independent
    assert abs(np.corrcoef(values.reshape(4, -1)) - np.eye(4)).max() < 0.1


def test_a_day_has_the_same_noise_alone_and_among_others(generator, coarse, statics):
    lasting = generator.with_sampling(correlation_hours=36.0)
    whole = anomalies(lasting, coarse, statics, members=8)
    for days in ([2], [0, 3]):
        np.testing.assert_array_equal(anomalies(lasting, coarse.isel(time=days), statics), whole[:4, days])


def test_the_solver_comes_with_the_sampling(generator, coarse, statics):
    anomalies(generator, coarse.isel(time=[0]), statics, members=1)
    assert generator.task.traces[0] == generator.sampling


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'temperature': -0.1}, 'sampling.temperature=-0.1: must be at least 0'),
        ({'temperature': float('nan')}, 'sampling.temperature=nan'),
        ({'correlation_hours': -1.0}, 'sampling.correlation_hours=-1.0: must be at least 0'),
        ({'sampler': 'dppm'}, "did you mean 'ddpm'?"),
        ({'steps': 0}, 'sampling.steps=0'),
    ],
)
def test_invalid_sampling(change, message):
    with pytest.raises(UserError, match=re.escape(message)):
        replace(SETTINGS.sampling, **change)


def test_a_unit_without_members():
    with pytest.raises(UserError, match=r'sampling\.members=0'):
        replace(SETTINGS.partition, members=0)
