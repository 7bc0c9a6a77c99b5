"""Quantile mapping against closed forms, NumPy and its own invariants."""

import importlib

import numba
import numpy as np
import pytest
import scipy.stats
import xarray as xr

from downscale_jax.fields.datasets.store import write_netcdf
from downscale_jax.fields.transforms.quantile_mapping import (
    ADDITIVE,
    MULTIPLICATIVE,
    NODES,
    QuantileMap,
    Series,
    choose_groups,
    fit,
    sample_quantiles,
)
from downscale_jax.runtime.errors import UserError


def series(values, months=None):
    """Values [T, H, W, V]; all of January where no months are given: too few windows, so one group."""
    return Series([1] * len(values) if months is None else months, lambda: iter(values))


def fitted(source, target, kinds=(ADDITIVE,), **options):
    names = ('t2m', 'pr')[: len(kinds)]
    return fit(series(source), series(target), variables=names, units=('K', 'mm')[: len(kinds)], kinds=kinds, **options)


def cell(source, target, kind=ADDITIVE, nodes=(0.0, 0.5, 1.0)):
    """A map of one cell from its quantiles, as a function of values."""
    source, target = (np.array(q, 'f4').reshape(1, -1, 1, 1, 1) for q in (source, target))
    mapping = QuantileMap(('pr',), ('mm',), (kind,), nodes, source, target)
    return lambda x: mapping.apply(np.array(x, 'f4').reshape(-1, 1, 1, 1), 1)[:, 0, 0, 0]


def normal(seed, count=400, shape=(3, 4, 1)):
    return np.random.default_rng(seed).normal(280, 5, (count, *shape)).astype('f4')


class TestFit:
    @pytest.mark.parametrize('nodes', [NODES, (0.0, 0.3, 1.0)])
    def test_quantiles_are_those_of_numpy(self, nodes):
        values = normal(0, 37)
        values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
        values[1:, 0, 0], values[:, 0, 1], values[3, 1, 1] = np.nan, np.nan, np.inf
        with np.errstate(invalid='ignore'):
            known = np.where(np.isfinite(values), values, np.nan)
        found = sample_quantiles(values, np.array(nodes))
        assert np.isnan(found[:, 0, 1]).all()
        known[:, 0, 1] = 0
        found[:, 0, 1] = 0
        np.testing.assert_allclose(found, np.nanquantile(known.astype('f8'), nodes, axis=0), rtol=1e-12)

    def test_bands_of_rows_give_the_same(self):
        source, target = normal(0, 60, (5, 4, 2)), normal(1, 80, (5, 4, 2))
        passes = []

        def counted():
            passes.append(0)
            return iter(source)

        kinds = (ADDITIVE, MULTIPLICATIVE)
        names = {'variables': ('a', 'b'), 'units': ('K', 'mm'), 'kinds': kinds}
        whole = fitted(source, target, kinds)
        banded = fit(Series([1] * 60, counted), series(target), **names, most_bytes=2 * 60 * 4 * 2 * 4)
        assert len(passes) == 1 + 3  # to learn the shape; then two rows at a time
        np.testing.assert_array_equal(banded.source, whole.source)
        np.testing.assert_array_equal(banded.target, whole.target)

    def test_groups_by_count(self):
        years = list(range(1, 13))
        assert choose_groups(years * 17, years * 17, 50) == 12  # 51 times a window
        assert choose_groups(years * 17, years * 16, 50) == 1
        assert choose_groups(years * 16, years * 17, 50) == 1
        assert choose_groups([6, 7, 8] * 100, years * 100, 50) == 1  # no winter

    def test_months_apart(self):
        months = list(range(1, 13)) * 20
        seasonal = np.array(months, 'f4').reshape(-1, 1, 1, 1) * 100
        source = seasonal + normal(2, 240, (2, 3, 1))
        found = fit(
            series(source, months),
            series(source + np.array(months).reshape(-1, 1, 1, 1) // 7, months),
            variables=('t2m',),
            units=('K',),
            kinds=(ADDITIVE,),
        )
        assert found.source.shape == (12, 50, 2, 3, 1)
        # summer and winter are mapped by their own months: a degree is added from July on
        for month, shift in ((4, 0), (10, 1)):
            x = source[month - 1 :: 12]
            np.testing.assert_allclose(found.apply(x, month), x + shift, atol=2e-3)
        # January's window is December to February
        pooled = source[np.isin(months, (12, 1, 2))]
        np.testing.assert_allclose(found.source[0], np.quantile(pooled, NODES, axis=0), rtol=1e-5)

    @pytest.mark.parametrize(
        ('change', 'message'),
        [
            ({'kinds': ('relative',)}, 'kinds'),
            ({'units': ()}, 'one of each'),
            ({'nodes': (0.5, 0.5)}, 'increasing'),
            ({'nodes': (0.5, 1.5)}, 'within 0 and 1'),
            ({'source': Series([1] * 3, lambda: iter(normal(0, 2)))}, 'zip'),
            ({'target': series(normal(0, 5, (2, 4, 1)))}, r'\[G, Q, H, W, V\]'),
        ],
    )
    def test_arguments_that_do_not_fit(self, change, message):
        arguments = {'variables': ('t2m',), 'units': ('K',), 'kinds': (ADDITIVE,)}
        arguments |= {'source': series(normal(0, 5)), 'target': series(normal(0, 5))} | change
        with pytest.raises(ValueError, match=message):
            fit(arguments.pop('source'), arguments.pop('target'), **arguments)

    def test_no_times(self):
        with pytest.raises(UserError, match='target has no times'):
            fitted(normal(0, 5), np.empty((0, 3, 4, 1)))


class TestDistributions:
    @pytest.mark.parametrize('kind', [ADDITIVE, MULTIPLICATIVE])
    def test_identity_where_they_are_equal(self, kind):
        x = normal(3)
        mapping = fitted(x, np.random.default_rng(0).permutation(x), (kind,))
        beyond = np.concatenate([x, x - 40, x + 40])
        np.testing.assert_allclose(mapping.apply(beyond, 7), beyond, rtol=2e-7)

    def test_linear_transform(self):
        x = normal(4)
        mapping = fitted(x, 3 * x - 100)
        inside = np.clip(x, mapping.source[0, 0], mapping.source[0, -1])
        np.testing.assert_allclose(mapping.apply(inside, 1), 3 * inside - 100, rtol=1e-6)

    def test_ratio(self):
        x = np.random.default_rng(5).gamma(2, 3, (400, 3, 4, 1)).astype('f4')
        mapping = fitted(x, 1.7 * x, (MULTIPLICATIVE,))
        np.testing.assert_allclose(mapping.apply(x * 3, 1), 1.7 * x * 3, rtol=2e-6)  # within the range and beyond

    def test_normal_to_gamma(self):
        count = 20_000
        source, gamma = scipy.stats.norm(10, 2), scipy.stats.gamma(2.5, scale=3)
        rng = np.random.default_rng(6)
        x = source.rvs((count, 2, 2, 1), random_state=rng)
        mapping = fitted(x, gamma.rvs((count, 2, 2, 1), random_state=rng), (MULTIPLICATIVE,))
        probability = np.array([0.03, 0.2, 0.5, 0.8, 0.97])
        values = np.broadcast_to(source.ppf(probability)[:, None, None, None], (5, 2, 2, 1))
        expected = gamma.ppf(probability)
        # the quantiles of both samples err, each by sqrt(p (1 - p)/n) in probability
        error = np.sqrt(2 * probability * (1 - probability) / count) / gamma.pdf(expected)
        off = (mapping.apply(values, 1)[..., 0] - expected[:, None, None]) / error[:, None, None]
        assert np.abs(off).max() < 4
        assert np.sqrt(np.mean(off**2)) > 0.2  # the error is that of sampling, not of the test's tolerance

    def test_monotone(self):
        rng = np.random.default_rng(7)
        wet = np.where(rng.random((60, 4, 5, 2)) < 0.4, 0, rng.gamma(0.5, 3, (60, 4, 5, 2)))
        target = np.where(rng.random((90, 4, 5, 2)) < 0.2, 0, rng.gamma(0.9, 5, (90, 4, 5, 2)))
        mapping = fitted(wet, target, (ADDITIVE, MULTIPLICATIVE))
        x = np.linspace(0, 30, 301)
        x = np.sort(np.concatenate([np.broadcast_to(x[:, None, None, None], (301, 4, 5, 2)), mapping.source[0]]), 0)
        mapped = mapping.apply(x, 1)
        assert (np.diff(mapped, axis=0) >= -1e-6).all()

    def test_several_fields_at_once(self):
        mapping = fitted(normal(8), normal(9) * 2)
        x = normal(10, 6)
        found = mapping.apply(x.reshape(2, 3, 3, 4, 1), 1)
        assert found.shape == (2, 3, 3, 4, 1)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found[1, 2], mapping.apply(x[5], 1))


class TestOneCell:
    """Nodes 0, 0.5 and 1, so everything can be done by hand."""

    def test_linear_between_quantiles_and_constant_difference_beyond(self):
        mapped = cell([0, 2, 4], [10, 11, 20])
        np.testing.assert_allclose(mapped([0, 1, 2, 3, 4]), [10, 10.5, 11, 15.5, 20])
        np.testing.assert_allclose(mapped([-3, 7]), [7, 23])

    def test_constant_ratio_beyond(self):
        mapped = cell([1, 2, 4], [2, 3, 12], MULTIPLICATIVE)
        np.testing.assert_allclose(mapped([0, 0.5, 8]), [0, 1, 24])

    def test_growth_beyond_is_bounded(self):
        np.testing.assert_allclose(cell([0, 0, 0.01], [0, 1, 5], MULTIPLICATIVE)([0.01, 1.01]), [5, 15])
        np.testing.assert_allclose(cell([0, 0, 0], [0, 1, 5], MULTIPLICATIVE)([2]), [7])
        np.testing.assert_allclose(cell([0, 0, 0], [0, 0, 0], MULTIPLICATIVE)([0, 2]), [0, 2])

    def test_negative_rain_counts_as_none(self):
        np.testing.assert_allclose(cell([0, 2, 4], [0, 1, 2], MULTIPLICATIVE)([-3]), [0])
        source = np.array([-1, -1, 2, 4], 'f4').reshape(4, 1, 1, 1)
        assert fitted(source, source, (MULTIPLICATIVE,)).source.min() == 0

    def test_a_flat_piece_becomes_the_mean_of_the_target(self):
        nodes = (0.0, 0.25, 0.5, 1.0)
        mapped = cell([0, 0, 0, 4], [0, 1, 3, 9], nodes=nodes)
        # over probabilities 0 to 0.5: (0.25 * 0.5 + 0.25 * 2) / 0.5
        np.testing.assert_allclose(mapped([0, 0, 2]), [1.25, 1.25, 6])
        # within the range and at its upper end
        np.testing.assert_allclose(cell([-1, 0, 0, 4], [0, 1, 3, 9], nodes=nodes)([0]), [2])
        np.testing.assert_allclose(cell([-1, 0, 4, 4], [0, 1, 3, 9], nodes=nodes)([4, 5]), [6, 10])
        np.testing.assert_allclose(cell([4, 4, 4, 4], [0, 1, 3, 9], nodes=nodes)([4]), [0.25 * 0.5 + 0.25 * 2 + 3])

    def test_missing(self):
        mapped = cell([0, 2, 4], [10, 11, 20])([np.nan, 1])
        assert np.isnan(mapped[0])
        assert mapped[1] == 10.5
        assert np.isnan(cell([np.nan] * 3, [10, 11, 20])([1])).all()
        assert np.isnan(cell([0, 2, 4], [np.nan] * 3)([-1, 0, 1, 9])).all()


class TestRain:
    def sample(self, dry, mean, seed, count=2000):
        rng = np.random.default_rng(seed)
        shape = (count, 2, 3, 1)
        return np.where(rng.random(shape) < dry, 0, rng.exponential(mean, shape)).astype('f4')

    def test_fewer_dry_times_in_the_target(self):
        source, target = self.sample(0.5, 3, 0), self.sample(0.2, 4, 1)
        mapped = fitted(source, target, (MULTIPLICATIVE,)).apply(source, 1)
        np.testing.assert_allclose(mapped.mean(0), target.mean(0), rtol=0.02)
        for values in np.moveaxis(np.where(source == 0, mapped, np.nan), 0, -1).reshape(-1, 2000):
            assert np.unique(values[np.isfinite(values)]).size == 1  # no rain is one value in each cell

    def test_more_dry_times_in_the_target(self):
        source, target = self.sample(0.2, 4, 2), self.sample(0.5, 3, 3)
        mapped = fitted(source, target, (MULTIPLICATIVE,)).apply(source, 1)
        assert mapped.min() == 0
        np.testing.assert_allclose((mapped == 0).mean(0), (target == 0).mean(0), atol=0.025)  # a node's distance
        np.testing.assert_allclose(mapped.mean(0), target.mean(0), rtol=0.02)


class TestKept:
    def mapping(self, groups=12):
        source, target = normal(0, 240, (2, 3, 2)), normal(1, 240, (2, 3, 2))
        source[:, 0, 0] = np.nan
        months = list(range(1, 13)) * 20 if groups == 12 else [1] * 240
        both = (series(values, months) for values in (source, target))
        return fit(*both, variables=('t2m', 'pr'), units=('K', 'mm d-1'), kinds=(ADDITIVE, MULTIPLICATIVE))

    @pytest.mark.parametrize('groups', [1, 12])
    def test_round_trip(self, groups, tmp_path):
        mapping = self.mapping(groups)
        write_netcdf(mapping.to_dataset(), tmp_path / 'map.nc')
        with xr.open_dataset(tmp_path / 'map.nc') as dataset:
            assert dataset['pr_target'].attrs['units'] == 'mm d-1'
            assert ('month' in dataset.coords) == (groups == 12)
            found = QuantileMap.from_dataset(dataset)
        for name in ('variables', 'units', 'kinds', 'nodes'):
            assert getattr(found, name) == getattr(mapping, name)
        x = normal(2, 3, (2, 3, 2))
        np.testing.assert_array_equal(found.apply(x, 8), mapping.apply(x, 8))
        np.testing.assert_array_equal(found.source, mapping.source)

    def test_something_else(self):
        with pytest.raises(UserError, match='no quantile map'):
            QuantileMap.from_dataset(xr.Dataset({'t2m': ('x', [1.0])}))
        with pytest.raises(UserError, match='pr_source missing'):
            QuantileMap.from_dataset(self.mapping().to_dataset().drop_vars('pr_source'))

    def test_another_grid_or_month(self):
        mapping = self.mapping()
        with pytest.raises(ValueError, match='fitted to'):
            mapping.apply(np.zeros((3, 2, 2)), 1)
        with pytest.raises(ValueError, match='month is 0'):
            mapping.apply(np.zeros((2, 3, 2)), 0)


@pytest.fixture(scope='module')
def xsdba():
    """The library as plain Python: Numba would compile for a minute what is called here a few times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numba.config, 'DISABLE_JIT', True)
        patch.setattr(numba, 'guvectorize', lambda *_, **__: lambda function: function)  # compiles all the same
        yield importlib.import_module('xsdba')


@pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::FutureWarning')
class TestBesideXsdba:
    """An independent implementation of Cannon et al. (2015) with the same quantiles."""

    TIMES = 900

    def mapped(self, xsdba, reference, source, values, kind, method):
        """(ours, xsdba's) [T, X] of series [T, X]."""

        def series(data):
            return Series([1] * len(data), lambda: iter(data.astype('f4')[:, None, :, None]))

        def array(data):
            times = xr.date_range('2000-01-01', periods=len(data), freq='D')
            return xr.DataArray(data, {'time': times}, ('time', 'x'), attrs={'units': 'mm/d'})

        ours = fit(series(source), series(reference), variables=('a',), units=('mm/d',), kinds=(kind,))
        theirs = xsdba.EmpiricalQuantileMapping.train(
            array(reference), array(source), nquantiles=len(NODES), kind=method, group='time'
        )
        np.testing.assert_allclose(theirs.ds['quantiles'], NODES)
        adjusted = theirs.adjust(array(values), interp='linear', extrapolation='constant').transpose('time', 'x')
        return ours.apply(values.astype('f4')[:, None, :, None], 1)[:, 0, :, 0], adjusted.values

    def test_differences(self, xsdba):
        rng = np.random.default_rng(0)
        reference, source = rng.normal(3, 2, (self.TIMES, 4)), rng.normal(1, 1, (self.TIMES, 4))
        values = rng.normal(1.5, 2, (self.TIMES, 4))  # beyond the range of the source, too
        ours, theirs = self.mapped(xsdba, reference, source, values, ADDITIVE, '+')
        np.testing.assert_allclose(ours, theirs, atol=1e-5)

    def test_ratios_at_the_quantiles_and_beyond(self, xsdba):
        """Between quantiles ours interpolates values, xsdba's ratios."""
        rng = np.random.default_rng(1)
        reference, source = rng.gamma(2, 3, (self.TIMES, 4)), rng.gamma(3, 1, (self.TIMES, 4))
        inside = np.quantile(source, NODES, axis=0)
        values = np.concatenate([0.5 * inside[:1], inside, 2 * inside[-1:]])
        ours, theirs = self.mapped(xsdba, reference, source, values, MULTIPLICATIVE, '*')
        np.testing.assert_allclose(ours, theirs, rtol=2e-4)
