"""Truth is the coarse field plus noise of unit variance; members, too, but their noise is too small or too large."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale import ensemble
from downscale_jax.downscale.generate import Generator, Sampling
from downscale_jax.evaluation import temperature

SIZE, MEMBERS = 64, 8
SAMPLING = Sampling('ddim', 2, 't', 0.0, temperature=1.0, correlation_hours=0.0, tile=64, overlap=8, members=4)


@dataclass(frozen=True)
class Linear:
    """Members are `params` times the noise they are given; with `stubborn`, noise of a spread that nothing changes."""

    stubborn: bool = False
    network: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(stride=4, channels=1))
    draws: bool = True

    def sample(self, params, condition, valid, noise, apply, solver):
        sample = noise(0)
        return params * (sample / sample.std() if self.stubborn else sample)


class Split(list):
    """Records that remember which of them were read."""

    def __init__(self, records, times):
        super().__init__(records)
        self.times, self.read = times, set()

    def __getitem__(self, index):
        self.read.add(index)
        return super().__getitem__(index)


@pytest.fixture
def prepared(case):
    """Five days of validation; a coast, and a truth that ends at half the domain on one day."""
    rng = np.random.default_rng(0)
    mask = np.ones((SIZE, SIZE), bool)
    mask[:10, :10] = False
    coarse = rng.normal(size=(5, SIZE, SIZE, 2)).astype('f4')
    fine = np.where(mask, coarse[..., 1] + rng.normal(size=(5, SIZE, SIZE)), np.nan).astype('f4')
    fine[4, SIZE // 2 :] = np.nan
    records = [{'fine': fine[day], 'coarse': coarse[day]} for day in range(5)]
    split = Split(records, np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(5))
    axes = {name: (name, 4e3 * np.arange(SIZE), {'units': 'm'}) for name in 'yx'}
    area = np.broadcast_to(np.linspace(10, 20, SIZE), mask.shape)
    return SimpleNamespace(
        mask=mask,
        statics=xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), area)}, axes),
        refinement=replace(case.prepared.transform, bounds=(-np.inf, np.inf)),
        transform=replace(case.prepared.transform, bounds=(-np.inf, np.inf)),
        split={'validation': split}.__getitem__,
    )


@pytest.fixture
def asked(monkeypatch):
    """Temperatures at which ensembles were drawn, one for each record."""
    found, draw = [], ensemble.in_memory

    def noted(generator, *args):
        found.append(generator.sampling.temperature)
        return draw(generator, *args)

    monkeypatch.setattr(ensemble, 'in_memory', noted)
    return found


def fitted(prepared, spread, stubborn=False, records=3):
    generator = Generator(Linear(stubborn), np.float32(spread), prepared.transform, SAMPLING)
    return temperature.fit(generator, prepared, records, MEMBERS, 0)


@pytest.mark.parametrize('spread', [0.6, 0.9, 1.5])
def test_the_temperature_that_mends_the_spread(prepared, asked, spread):
    fit = fitted(prepared, spread)
    assert fit['temperature'] == pytest.approx(1 / spread, rel=0.04)  # 10 000 cells
    assert fit['after']['spread_skill'] == pytest.approx(1, abs=temperature.NEAR_ENOUGH)
    # of M members with noise s against noise of 1: spread s, error of the mean sqrt(1 + s^2 / M)
    expected = np.sqrt((1 + 1 / MEMBERS) * spread**2 / (1 + spread**2 / MEMBERS))
    assert fit['before']['spread_skill'] == pytest.approx(expected, rel=0.04)
    assert (fit['records'], fit['members']) == (3, MEMBERS)
    assert len(set(asked)) <= 4  # two or three rounds after the first


def test_what_fits_is_left_alone(prepared, asked):
    first = fitted(prepared, 0.7)
    asked.clear()
    second = fitted(prepared, 0.7 * first['temperature'])
    assert second['temperature'] == 1.0
    assert asked == [1.0] * 3
    assert second['before'] == second['after']
    assert second['after']['crps'] == pytest.approx(first['after']['crps'], rel=1e-5)
    assert first['after']['crps'] < first['before']['crps']


@pytest.mark.parametrize(('spread', 'limit'), [(0.1, 2.0), (10.0, 0.5)])
def test_limits(prepared, asked, spread, limit):
    fit = fitted(prepared, spread)
    assert fit['temperature'] == limit
    assert sorted(set(asked)) == sorted({1.0, limit})  # once is enough


def test_rounds(prepared, asked):
    # a spread that does not follow: what was tried first is no worse
    fit = fitted(prepared, 0.9, stubborn=True, records=1)
    assert len(asked) == temperature.ROUNDS + 1
    assert len(set(asked)) == len(asked)
    assert fit['temperature'] in asked
    assert abs(fit['after']['spread_skill'] - 1) <= abs(fit['before']['spread_skill'] - 1)


def test_without_spread_there_is_nothing_to_fit(prepared, asked):
    assert fitted(prepared, 0.0, records=1)['temperature'] == 1.0
    assert asked == [1.0]


@pytest.mark.parametrize(('records', 'read'), [(1, {0}), (2, {0, 4}), (3, {0, 2, 4}), (0, {0, 1, 2, 3, 4})])
def test_records_are_spread_over_validation(prepared, records, read):
    assert fitted(prepared, 1.0, records=records)['records'] == len(read)
    assert prepared.split('validation').read == read


def test_the_seed_decides(prepared):
    generator = Generator(Linear(), np.float32(0.8), prepared.transform, SAMPLING)
    one, same, other = (temperature.fit(generator, prepared, 1, 4, seed) for seed in (0, 0, 1))
    assert one == same
    assert one['before'] != other['before']
