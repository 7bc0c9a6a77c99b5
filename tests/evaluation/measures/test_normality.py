"""Normal and other members; the statistic against scipy."""

import numpy as np
import pytest
from scipy import stats

from downscale_jax.evaluation.measures.normality import PROBABILITIES, anderson_darling, day_sums, expected, summarise
from downscale_jax.evaluation.statistics import members
from downscale_jax.evaluation.statistics.bootstrap import bootstrap, total

SHAPE = (100, 120)


def draw(kind, count, seed=0):
    rng = np.random.default_rng(seed)
    return {
        'normal': lambda size: rng.normal(size=size),
        'skewed': lambda size: rng.gamma(3, size=size),
        'heavy': lambda size: rng.standard_t(3, size),
        'two values': lambda size: rng.choice([-1.0, 1.0], size) + 0.6 * rng.normal(size=size),
    }[kind]((count, *SHAPE))


def found_of(ensemble, weight=None):
    return summarise(day_sums(ensemble, np.ones(ensemble.shape[1:]) if weight is None else weight))


@pytest.mark.filterwarnings('ignore::FutureWarning')  # scipy is about to change what else `anderson` returns
@pytest.mark.parametrize('count', [8, 33])
def test_the_statistic_of_scipy(count):
    values = np.random.default_rng(0).gamma(3, size=(count, 5))
    z = (values - values.mean(0)) / values.std(0, ddof=1)
    found = anderson_darling(z) / (1 + 0.75 / count + 2.25 / count**2)
    expected = [stats.anderson(column).statistic for column in values.T]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize('count', [8, 12, 33, 100])
def test_normal_members_are_rejected_at_one_cell_in_twenty(count):
    scale = np.random.default_rng(1).uniform(0.1, 50, SHAPE)
    found = found_of((280 + scale * draw('normal', count)).astype(np.float32))
    assert found['normal'] == pytest.approx(0.95, abs=0.008)  # four standard errors of 12 000 cells
    # the outermost rest on a hundred values
    np.testing.assert_allclose(found['quantiles'], expected(count), atol=0.08)
    np.testing.assert_allclose(found['quantiles'][2:-2], expected(count)[2:-2], atol=0.02)


@pytest.mark.parametrize('kind', ['skewed', 'heavy', 'two values'])
def test_other_members_are_rejected(kind):
    shares = [found_of(draw(kind, count))['normal'] for count in (10, 33, 100)]
    assert shares[0] > shares[1] > shares[2]
    assert shares[2] < 0.2


def test_the_figure_shows_how_they_differ():
    at = {p: i for i, p in enumerate(PROBABILITIES)}
    gap = {kind: found_of(draw(kind, 33))['quantiles'] - expected(33) for kind in ('skewed', 'heavy')}
    assert gap['skewed'][at[0.99]] > 0.2 < gap['skewed'][at[0.01]]
    assert gap['heavy'][at[0.995]] > 0.2
    assert gap['heavy'][at[0.005]] < -0.2


def test_expected_quantiles():
    # of many members those of the normal distribution; of 3 standardised ones the arcsine law on [-2, 2]/sqrt(3)
    np.testing.assert_allclose(expected(100_000), stats.norm.ppf(PROBABILITIES), atol=2e-4)
    arcsine = 2 / np.sqrt(3) * np.sin(np.pi * (np.array(PROBABILITIES) - 0.5))
    np.testing.assert_allclose(expected(3), arcsine, atol=1e-12)


def test_weights_and_cells_left_out(monkeypatch):
    ensemble = draw('normal', 20)
    ensemble[:, :50] = draw('two values', 20)[:, :50]
    weight = np.where(np.arange(100)[:, None] < 50, 3.0, 1.0) * np.ones(SHAPE)
    halves = [found_of(ensemble[:, rows], weight[rows])['normal'] for rows in (slice(50), slice(50, None))]
    monkeypatch.setattr(members, '_VALUES', 20 * 777)
    assert found_of(ensemble, weight)['normal'] == pytest.approx((3 * halves[0] + halves[1]) / 4)
    ensemble[:, :50] = np.nan
    weight[:50] = 0
    ensemble[:, 50] = 0.1  # no rain in any member
    sums = day_sums(ensemble, weight)
    assert sums['tested'] == 49 * 120
    assert sums['standardised'].sum() == pytest.approx(20 * 49 * 120)
    with pytest.raises(ValueError, match='not finite'):
        day_sums(ensemble, np.ones(SHAPE))


def test_fewer_than_eight_members_are_not_tested():
    sums = day_sums(draw('normal', 7), np.ones(SHAPE))
    assert not any(np.any(value) for value in sums.values())
    assert all(np.isnan(value).all() for value in summarise(sums).values())


def test_sums_and_leading_axes():
    times = [day_sums(draw('normal', 10, seed)[:, :10], np.ones((10, 120))) for seed in range(6)]
    stacked = summarise({name: np.stack([time[name] for time in times]) for name in times[0]})
    assert stacked['quantiles'].shape == (6, len(PROBABILITIES))
    assert total(times)['tested'] == 6 * 1200
    assert summarise(total(times))['normal'] == pytest.approx(stacked['normal'].mean())
    assert bootstrap(times, summarise, samples=20)['normal'].shape == (2,)
