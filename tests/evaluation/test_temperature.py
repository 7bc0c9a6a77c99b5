"""Truth is the coarse field plus noise of unit variance; members, too, but their noise is too small or too large."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from downscale_jax.downscale.dataset import in_memory
from downscale_jax.downscale.ensemble import Ensemble
from downscale_jax.downscale.field_generator import FieldGenerator
from downscale_jax.downscale.opening import open_inputs
from downscale_jax.downscale.records import coarse_dataset
from downscale_jax.downscale.settings import GenerationSettings, Partition, Sampling
from downscale_jax.evaluation.statistics import pointwise as scores
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.fields.geometry.blocks import repeat
from downscale_jax.fields.transforms.block_means import BlockMeans
from downscale_jax.fields.transforms.standardisation import Standardisation
from downscale_jax.systems import temperature as calibrate

SIZE, MEMBERS = 64, 8
SETTINGS = GenerationSettings(Partition(tile=64, overlap=8, members=4), Sampling('ddim', 2, 't', 0.0))


@dataclass(frozen=True)
class Linear:
    """Members are `params` times the noise they are given; with `stubborn`, noise of a spread that nothing changes."""

    stubborn: bool = False
    count: int = 1
    draws: bool = True

    @property
    def network(self):
        return SimpleNamespace(stride=4, channels=self.count)

    def sample(self, params, condition, valid, noise, apply, solver):
        sample = noise(0)
        factor = jnp.reshape(jnp.asarray(params), (1,) * (sample.ndim - 1) + (-1,))
        return factor * (sample / sample.std() if self.stubborn else sample)


class Split(list):
    """Records that remember which of them were read."""

    def __init__(self, records, times):
        super().__init__(records)
        self.times, self.read = times, set()

    def __getitem__(self, index):
        self.read.add(index)
        return super().__getitem__(index)


@pytest.fixture
def prepared(make_case):
    """Five days of validation; a coast, and a truth that ends at half the domain on one day."""
    rng = np.random.default_rng(0)
    mask = np.ones((SIZE, SIZE), bool)
    mask[:10, :10] = False
    coarse = rng.normal(size=(5, SIZE, SIZE, 2)).astype('f4')
    coarse[..., 0] = coarse[..., 0].clip(0, 1)  # concentration
    fine = np.where(mask, coarse[..., 1] + rng.normal(size=(5, SIZE, SIZE)), np.nan).astype('f4')
    fine[4, SIZE // 2 :] = np.nan
    records = [{'fine': fine[day], 'coarse': coarse[day]} for day in range(5)]
    split = Split(records, np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(5))
    axes = {name: (name, 4e3 * np.arange(SIZE), {'units': 'm'}) for name in 'yx'}
    area = np.broadcast_to(np.linspace(10, 20, SIZE), mask.shape)
    transform = replace(make_case(days=2, names=()).prepared.transform, bounds=((-np.inf, np.inf),))
    return SimpleNamespace(
        meta={},
        mask=mask,
        statics=xr.Dataset({'mask': (('y', 'x'), mask), 'cell_area': (('y', 'x'), area)}, axes),
        field_transform=transform,
        transform=transform,
        split={'validation': split}.__getitem__,
        pair=lambda record: (record['fine'][..., None], record['coarse']),
    )


@pytest.fixture
def several(prepared):
    """Two variables whose coarse fields are block means, with noise of 1 as their truth."""
    rng, zeros, ones = np.random.default_rng(1), (0.0, 0.0), (1.0, 1.0)
    values = Standardisation(('a', 'b'), ('K', 'm'), zeros, ones, zeros, ones, 0.0)
    block_means = BlockMeans(values, 4, 'physical', True, ((-np.inf, np.inf),) * 2, ones)
    area, nothing = np.ones((SIZE, SIZE, 1), 'f4'), np.zeros((SIZE, SIZE, 0), 'f4')

    def lifted(fine):
        return block_means.lift(block_means.coarsen(fine, area), nothing, False)

    def record():
        """Of block means that are zero: the members' are not, but on average."""
        fine = rng.normal(size=(SIZE, SIZE, 2)).astype('f4')
        return {'fine': np.sqrt(16 / 15) * (fine - repeat(block_means.coarsen(fine, area), 4))}

    split = Split(
        [record() for _ in range(3)], np.datetime64('2020-01-01', 'ns') + np.timedelta64(1, 'D') * np.arange(3)
    )
    return SimpleNamespace(
        meta={},
        mask=np.ones((SIZE, SIZE), bool),
        statics=prepared.statics.assign(mask=(('y', 'x'), np.ones((SIZE, SIZE), bool))),
        area=area,
        transform_as=lambda kind: block_means,
        field_transform=block_means,
        split={'validation': split}.__getitem__,
        pair=lambda record: (record['fine'], lifted(record['fine'])),
    )


@pytest.fixture
def asked(monkeypatch):
    """Temperatures at which ensembles were drawn, one for each record."""
    found = []

    def noted(ensemble):
        found.append(ensemble.generator.temperature)
        return in_memory(ensemble)

    monkeypatch.setattr(calibrate, 'in_memory', noted)
    return found


PROGRAMS = {}  # compiled ones by task and transform, which generators of any parameters share


def generator_of(task, factors, transform):
    generator = FieldGenerator(task, np.asarray(factors, np.float32), transform, SETTINGS)
    generator._programs = PROGRAMS.setdefault((task, transform), {})
    return generator


def fitted(prepared, spread, stubborn=False, records=3):
    generator = generator_of(Linear(stubborn), spread, prepared.transform)
    return calibrate.fit(generator, prepared, records, MEMBERS, 0)


def scored(prepared, spread, factor, records=(0, 2, 4)):
    """Spread and CRPS of the ensembles that `fitted` draws, without it."""
    generator = generator_of(Linear(), spread, prepared.transform).with_sampling(temperature=factor)
    split, sums = prepared.split('validation'), []
    coarse = coarse_dataset(prepared, split, split.times, list(records))
    for index, day in enumerate(records):
        inputs = open_inputs(coarse.isel(time=[index]), generator.transform, prepared.statics)
        one = in_memory(Ensemble(generator, inputs, prepared.statics, MEMBERS, 0))
        fields, truth = one['sit'].values[:, 0], split[day]['fine']
        weight = np.where(np.isfinite(truth), prepared.statics['cell_area'], 0)
        everywhere = np.ones((1, *truth.shape), bool)
        sums.append(scores.day_sums(fields, truth, weight, everywhere, np.random.default_rng(0)))
    found = scores.summarise(total(sums))
    return {name: float(found[name][0]) for name in ('spread', 'crps', 'spread_skill')}


@pytest.mark.parametrize('spread', [0.6, 0.9, 1.5])
def test_the_temperature_that_mends_the_spread(prepared, asked, spread):
    fit = fitted(prepared, spread)
    assert fit['temperature'] == pytest.approx(1 / spread, rel=0.04)  # 10 000 cells
    assert fit['after']['spread_skill'] == pytest.approx(1, abs=calibrate.NEAR_ENOUGH)
    # of M members with noise s against noise of 1: spread s, error of the mean sqrt(1 + s^2 / M)
    expected = np.sqrt((1 + 1 / MEMBERS) * spread**2 / (1 + spread**2 / MEMBERS))
    assert fit['before']['spread_skill'] == pytest.approx(expected, rel=0.04)
    assert (fit['records'], fit['members']) == (3, MEMBERS)
    assert len(set(asked)) <= 4  # two or three rounds after the first
    before, after = (scored(prepared, spread, factor) for factor in (1.0, fit['temperature']))
    for told, found in ((fit['before'], before), (fit['after'], after)):
        assert told['spread_skill'] == pytest.approx(found['spread_skill'], rel=1e-5)
    assert before['spread'] == pytest.approx(spread, rel=0.02)
    assert after['spread'] == pytest.approx(before['spread'] * fit['temperature'], rel=1e-4)


def test_what_fits_is_left_alone(prepared, asked):
    first = fitted(prepared, 0.7)
    asked.clear()
    second = fitted(prepared, 0.7 * first['temperature'])
    assert second['temperature'] == 1.0
    assert asked == [1.0] * 3
    assert second['before'] == second['after']
    factor = first['temperature']
    before, after, left = (scored(prepared, *pair)['crps'] for pair in ((0.7, 1.0), (0.7, factor), (0.7 * factor, 1.0)))
    assert left == pytest.approx(after, rel=1e-5)
    assert after < before


def test_several_variables_are_fitted_by_the_geometric_mean_of_their_ratios(several):
    """Members of spread 0.6 and 1.5 about truths of 1: what is left is 2 % of the mean, not of either."""
    generator = generator_of(Linear(count=2), [0.6, 1.5], several.field_transform)
    fit = calibrate.fit(generator, several, 3, MEMBERS, 0)
    assert fit['temperature'] == pytest.approx(1 / np.sqrt(0.6 * 1.5), rel=0.04)
    assert fit['after']['spread_skill'] == pytest.approx(1, abs=calibrate.NEAR_ENOUGH)
    squares = np.array([0.6, 1.5]) ** 2
    ratios = np.sqrt((1 + 1 / MEMBERS) * squares / (1 + squares / MEMBERS))
    assert fit['before']['spread_skill'] == pytest.approx(np.sqrt(ratios.prod()), rel=0.04)
    assert fit['before']['spread_skill'] != pytest.approx(ratios[0], rel=0.2)


def test_one_variable_without_spread_leaves_nothing_to_fit(several):
    generator = generator_of(Linear(count=2), [0.0, 1.5], several.field_transform)
    fit = calibrate.fit(generator, several, 1, 4, 0)
    assert (fit['temperature'], fit['before']['spread_skill']) == (1.0, 0.0)


@pytest.mark.parametrize(('spread', 'limit'), [(0.1, 2.0), (10.0, 0.5)])
def test_limits(prepared, asked, spread, limit):
    fit = fitted(prepared, spread)
    assert fit['temperature'] == limit
    assert sorted(set(asked)) == sorted({1.0, limit})  # once is enough


def test_rounds(prepared, asked):
    # a spread that does not follow: what was tried first is no worse
    fit = fitted(prepared, 0.9, stubborn=True, records=1)
    assert len(asked) == calibrate.ROUNDS + 1
    assert len(set(asked)) == len(asked)
    assert fit['temperature'] in asked
    assert abs(fit['after']['spread_skill'] - 1) <= abs(fit['before']['spread_skill'] - 1)


def test_without_spread_there_is_nothing_to_fit(prepared, asked):
    assert fitted(prepared, 0.0, records=1)['temperature'] == 1.0
    assert asked == [1.0]


@pytest.mark.parametrize(('records', 'read'), [(1, {0}), (2, {0, 4}), (3, {0, 2, 4}), (9, {0, 1, 2, 3, 4})])
def test_records_are_spread_over_validation(prepared, records, read):
    assert fitted(prepared, 1.0, records=records)['records'] == len(read)
    assert prepared.split('validation').read == read


def test_the_seed_decides(prepared):
    generator = generator_of(Linear(), 0.8, prepared.transform)
    one, same, other = (calibrate.fit(generator, prepared, 1, 4, seed) for seed in (0, 0, 1))
    assert one == same
    assert one['before'] != other['before']


def test_records_are_of_several_months(prepared):
    """The first and the last are both of January."""
    split = prepared.split('validation')
    split.times = np.array(['2020-01', '2020-04', '2020-07', '2020-10', '2021-01'], 'datetime64[ns]')
    fitted(prepared, 1.0, records=2)
    assert split.read == {0, 2}
