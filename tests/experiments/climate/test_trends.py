"""Trends of long archives against known slopes, NumPy and SciPy."""

import numpy as np
import pytest
import scipy.stats

from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.runtime.errors import UserError
from experiments.climate.trends import histogram_quantiles, series_sums, summarise, trend_interval

EDGES = np.linspace(-20, 40, 1201)  # bins of 0.05
WEIGHT = np.repeat(np.cos(np.deg2rad([10.0, 40.0, 70.0]))[:, None], 40, 1)


def archive(first, last, slope=0.3, widening=0.0, months=12, seed=0):
    """Fields [T, H, W] by month and their years: `slope` per decade, standard deviation 2 + `widening` per decade."""
    rng = np.random.default_rng(seed)
    years = np.repeat(np.arange(first, last + 1), months)
    decades = (years - first) / 10
    seasons = 5 * np.cos(2 * np.pi * np.arange(years.size) / months)
    noise = rng.normal(size=(years.size, *WEIGHT.shape)) * (2 + widening * decades)[:, None, None]
    return (10 + slope * decades + seasons)[:, None, None] + noise, years


def sums_of(fields):
    return [series_sums(field, WEIGHT, EDGES) for field in fields]


class TestSums:
    def test_by_hand(self):
        field, weight = np.array([[0.0, 1.0, np.nan], [2.5, -9.0, 9.0]]), np.array([[1.0, 2, 3], [4, 5, 0]])
        sums = series_sums(field, weight, np.array([0.0, 1, 2, 3]))
        assert (sums['times'], sums['weight'], sums['field']) == (1, 12, 2 + 10 - 45)
        np.testing.assert_array_equal(sums['histogram'], [5, 1, 2, 4, 0])
        assert series_sums(np.full((2, 3), np.nan), weight, EDGES)['times'] == 0

    def test_quantiles_are_those_of_numpy(self):
        fields, _ = archive(2000, 2002)
        found = histogram_quantiles(total(sums_of(fields))['histogram'], EDGES, (0.01, 0.5, 0.99))
        if np.lib.NumpyVersion(np.__version__) < '2.0.0':
            pytest.skip('NumPy 2 has weighted quantiles')
        weights = np.broadcast_to(WEIGHT, fields.shape)
        expected = np.quantile(fields, (0.01, 0.5, 0.99), weights=weights, method='inverted_cdf')
        np.testing.assert_allclose(found, expected, atol=0.05)

    def test_quantiles_within_a_bin_and_outside(self):
        edges = np.array([0.0, 1, 3])
        levels = (0.1, 0.25, 0.5, 0.75, 0.95)
        found = histogram_quantiles(np.array([[1.0, 1, 4, 2], [0, 0, 0, 0], [0, 4, 4, 0]]), edges, levels)
        # of weight 8: 0.8 lies below, 2 at the upper end of the first bin, then 2 and 4 of 4 in the second, 1.6 above
        np.testing.assert_allclose(found[0], [np.nan, 1, 2, 3, np.nan])
        assert np.isnan(found[1]).all()
        np.testing.assert_allclose(found[2], [0.2, 0.5, 1, 2, 2.8])

    def test_shapes(self):
        with pytest.raises(ValueError, match='expected one'):
            series_sums(np.zeros((2, 3)), np.zeros(3), EDGES)


class TestSummary:
    def test_a_known_slope(self):
        fields, years = archive(1900, 1999)
        found = summarise(sums_of(fields), years, EDGES)
        yearly = np.average(fields, axis=(1, 2), weights=WEIGHT).reshape(-1, 12).mean(1)
        np.testing.assert_allclose(found['mean']['by_year'], yearly)
        expected = scipy.stats.linregress(np.arange(1900, 2000), yearly).slope * 10
        assert found['mean']['trend'] == pytest.approx(expected)
        # a yearly mean of 1440 cells errs by about 0.05, the slope over 100 years by about 0.002 a decade
        assert found['mean']['trend'] == pytest.approx(0.3, abs=0.01)
        assert np.diff(found['mean']['interval'])[0] == pytest.approx(3.3 * 0.002, rel=0.6)
        assert found['quantile_0.01']['trend'] == pytest.approx(0.3, abs=0.05)
        assert found['quantile_0.99']['trend'] == pytest.approx(0.3, abs=0.05)

    def test_extremes_of_a_widening_distribution(self):
        fields, years = archive(1900, 1999, slope=0, widening=0.2, months=1)
        found = summarise(sums_of(fields), years, EDGES)
        reach = scipy.stats.norm.ppf(0.99) * 0.2
        assert found['mean']['trend'] == pytest.approx(0, abs=0.03)
        for name, expected in (('quantile_0.01', -reach), ('quantile_0.99', reach)):
            assert found[name]['trend'] == pytest.approx(expected, rel=0.25)
            low, high = found[name]['interval']
            assert low < expected < high

    def test_decades(self):
        fields, years = archive(1995, 2014)
        found = summarise(sums_of(fields), years, EDGES)
        np.testing.assert_array_equal(found['decades'], [1990, 2000, 2010])
        np.testing.assert_array_equal(found['years_in_decade'], [5, 10, 5])
        expected = [np.average(fields[years // 10 * 10 == d].mean(0), weights=WEIGHT) for d in (1990, 2000, 2010)]
        np.testing.assert_allclose(found['mean']['by_decade'], expected)
        pooled = np.quantile(fields[(years >= 2000) & (years < 2010), 1], 0.99)  # one row: one weight
        row = [series_sums(field, WEIGHT * [[0], [1], [0]], EDGES) for field in fields]
        assert summarise(row, years, EDGES)['quantile_0.99']['by_decade'][1] == pytest.approx(pooled, abs=0.06)

    def test_sums_added_by_year_give_the_same(self):
        fields, years = archive(1990, 2009)
        monthly = sums_of(fields)
        yearly = [total(monthly[start : start + 12]) for start in range(0, len(monthly), 12)]
        found, expected = summarise(yearly, range(1990, 2010), EDGES), summarise(monthly, years, EDGES)
        for name in ('mean', 'quantile_0.99'):
            for key, value in expected[name].items():
                np.testing.assert_allclose(found[name][key], value, rtol=1e-9)

    def test_years_that_are_not_complete_take_no_part(self):
        fields, years = archive(1990, 2005)
        fields[years == 1999] = np.nan  # no value at all
        chosen = np.ones(years.size, bool)
        chosen[:6] = chosen[-1] = False  # summer and autumn 1990; 2005 without December
        fields[np.flatnonzero(years == 2001)[3]] = np.nan  # a month without a value
        found = summarise([s for s, c in zip(sums_of(fields), chosen, strict=True) if c], years[chosen], EDGES)
        np.testing.assert_array_equal(found['years'], [y for y in range(1991, 2005) if y not in (1999, 2001)])

    def test_a_quantile_outside_the_edges_has_no_trend(self):
        fields, years = archive(1990, 2009)
        edges = np.linspace(5, 40, 100)
        found = summarise([series_sums(field, WEIGHT, edges) for field in fields], years, edges)
        assert np.isnan(found['quantile_0.01']['trend'])
        assert np.isnan(found['quantile_0.01']['interval']).all()
        assert np.isfinite(found['mean']['interval']).all()

    def test_no_values(self):
        with pytest.raises(UserError, match='none of 2 times'):
            summarise(sums_of(np.full((2, *WEIGHT.shape), np.nan)), [2000, 2001], EDGES)
        with pytest.raises(ValueError, match='expected a year for each time'):
            summarise(sums_of(np.zeros((2, *WEIGHT.shape))), [2000], EDGES)


class TestInterval:
    @pytest.mark.parametrize(('block', 'kind'), [(None, 'white'), (10, 'persistent')])
    def test_holds_the_truth_nine_times_of_ten(self, block, kind):
        rng = np.random.default_rng(0)
        years, seeds = np.arange(1930, 1990), 300
        noise = rng.normal(size=(years.size, seeds))
        if kind == 'persistent':
            for year in range(1, years.size):
                noise[year] = 0.3 * noise[year - 1] + np.sqrt(1 - 0.3**2) * noise[year]
        held = []
        for seed in range(15):  # one draw of years serves 20 series
            slope, (low, high) = trend_interval(years, 0.02 * years[:, None] + noise[:, seed::15], seed, block)
            held.append((low < 0.2) & (high > 0.2))
            assert ((low < slope) & (slope < high)).all()
        assert 0.85 < np.mean(held) < 0.95

    def test_is_that_of_least_squares(self):
        # 120 independent years: 1.645 standard errors to either side, as least squares has it
        values = np.random.default_rng(1).normal(size=(120, 30))
        slope, interval = trend_interval(np.arange(120), values, block=1)
        fits = [scipy.stats.linregress(np.arange(120) / 10, v) for v in values.T]
        np.testing.assert_allclose(slope, [fit.slope for fit in fits])
        widths = np.diff(interval, axis=0)[0] / [2 * 1.645 * fit.stderr for fit in fits]
        assert widths.mean() == pytest.approx(1, abs=0.05)

    def test_few_years_tell_nothing(self):
        slope, interval = trend_interval(np.arange(4), np.arange(4.0)[:, None])
        np.testing.assert_allclose(slope, 10)
        assert np.isnan(interval).all()
        assert np.isnan(trend_interval(np.array([2000]), np.ones((1, 2)))[0]).all()
