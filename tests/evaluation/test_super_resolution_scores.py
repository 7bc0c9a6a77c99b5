"""Scores of super-resolved fields: closed forms on both kinds of global grid and in a region, sums over times."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import roots_legendre
from scipy.stats import norm
from scores import probability, spatial

from downscale_jax.evaluation import super_resolution_scores as scores
from downscale_jax.evaluation.reference import Reference
from downscale_jax.evaluation.statistics import extremes
from downscale_jax.evaluation.statistics.bootstrap import total
from downscale_jax.evaluation.statistics.spectra import EnergySpectrum
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.fields.geometry.harmonics import harmonics
from downscale_jax.fields.geometry.wind import vorticity_divergence

HEIGHT, WIDTH = 16, 32
ROTATIONAL, WINDS = ('vorticity', 'divergence'), ('u', 'v')
NODES, WEIGHTS = roots_legendre(HEIGHT)
LON = np.arange(WIDTH) * 360 / WIDTH


def statics(coords):
    dims = tuple(coords)
    grid = xr.Dataset({'mask': (dims, np.ones((HEIGHT, WIDTH), bool))}, coords)
    return grid.assign(cell_area=(dims, cell_areas_km2(grid)))


GAUSSIAN = statics({'lat': np.rad2deg(np.arcsin(NODES)), 'lon': LON})
EVEN = statics({'lat': 90 - (np.arange(HEIGHT) + 0.5) * 180 / HEIGHT, 'lon': LON})
PLANE = statics({'y': np.arange(HEIGHT) * 2e4, 'x': np.arange(WIDTH) * 2e4})  # cells of 20 km, 400 km2
DEGREES = statics({'lat': 50 + np.arange(HEIGHT) * 0.25, 'lon': -4 + np.arange(WIDTH) * 0.25})
GRIDS = {'Gaussian': GAUSSIAN, 'even': EVEN, 'plane': PLANE, 'degrees': DEGREES}
GLOBAL = ('Gaussian', 'even')


def noise(count=2, seed=0):
    return np.random.default_rng(seed).normal(0, [1, 3][:count], (HEIGHT, WIDTH, count))


RANGES = np.array([[-2.0, 2.0], [-5.0, 15.0]])
THRESHOLDS = np.outer([1, 3], norm.ppf(extremes.LEVELS))  # of `noise`
WARM = np.array([0.5, -1.0])  # in July, where noise is about zero


def reference(count=2):
    normal = np.zeros((12, HEIGHT, WIDTH, count), 'f4')
    normal[6] = WARM[:count]
    return Reference(normal, np.stack([extremes.edges(*one) for one in RANGES[:count]]), THRESHOLDS[:count])


def measures(grid, variables=ROTATIONAL, winds=None):
    return scores.Measures(grid, variables, winds, RANGES[: len(variables)], reference(len(variables)), 4)


def gaps(value=0.0, count=2):
    return np.full((HEIGHT // 4, WIDTH // 4, count), value)


def sums_of(of, found, truth, gap=0.0, month=1):
    """Of a single field [H, W, V], or of members [M, H, W, V]."""
    gap = gaps(gap, truth.shape[-1]) if np.isscalar(gap) else gap
    return of.sums(found if found.ndim == 4 else found[None], truth, gap, month)


def summarise(of, pairs, top=100, gap=0.0, month=1):
    """Of times [(found, truth)]."""
    return scores.summarise([sums_of(of, *pair, gap, month) for pair in pairs], of, top, block=2)


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]


def test_distances_of_the_grids():
    """On cells of 1250 km no two are up to 1000 km apart; in the regions some are."""
    assert [measures(grid).pairs.kilometres.size > 0 for grid in GRIDS.values()] == [False, False, True, True]


def test_the_truth_as_its_own_method(grid):
    of = measures(grid)
    truths = noise(), noise(seed=1)
    found = {name: value[..., 0] for name, value in summarise(of, [(t, t) for t in truths]).items()}
    for name in ('rmse', 'mae', 'crps', 'bias', 'spectrum', 'energy', 'total_variation', 'closure', 'tail_crps'):
        assert not found[name].any(), name
    np.testing.assert_allclose(found['tail'], 0, atol=1e-12)
    for name in ('power', 'kinetic', 'ssim', 'variogram', 'acc', 'fss'):
        np.testing.assert_allclose(found[name], 1, rtol=1e-12, err_msg=name)
    assert np.isposinf(found['psnr']).all()
    if of.pairs.kilometres.size:
        assert not found['semivariogram'].any()
    else:
        assert np.isnan(found['semivariogram']).all()


def test_half_the_amplitude(grid):
    of = measures(grid)
    truths = noise(), noise(seed=1)
    found = {name: value[..., 0] for name, value in summarise(of, [(t / 2, t) for t in truths]).items()}
    for name in ('power', 'kinetic', 'variogram'):
        np.testing.assert_allclose(found[name], 1 / 4, rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(found['spectrum'], np.log(4), rtol=1e-9)
    assert found['energy'] == pytest.approx(np.log(4), rel=1e-9)
    np.testing.assert_allclose(found['total_variation'], -0.5, rtol=1e-12)
    np.testing.assert_allclose(found['semivariogram'], 0.75 if of.pairs.kilometres.size else np.nan, rtol=1e-9)
    weight = of.weight / of.weight.sum() / 2
    square, size, mean = (sum(np.tensordot(weight, f(t)) for t in truths) for f in (np.square, np.abs, np.asarray))
    np.testing.assert_allclose(found['rmse'], np.sqrt(square) / 2)
    np.testing.assert_allclose(found['mae'], size / 2)
    np.testing.assert_allclose(found['crps'], found['mae'], rtol=1e-12)
    np.testing.assert_allclose(found['bias'], -mean / 2)
    np.testing.assert_allclose(found['acc'], 1, rtol=1e-12)  # an anomaly half as large has the same sign everywhere
    # quantiles are those of all values by area
    pooled, by = np.concatenate([t.reshape(-1, 2) for t in truths]), np.tile(of.weight.ravel(), 2)
    for v in range(2):
        order = np.argsort(pooled[:, v])
        high = pooled[order[np.searchsorted(by[order].cumsum(), scores.HIGH * by.sum())], v]
        assert found['tail'][v] == pytest.approx(-high / 2, abs=0.05 * high)
        above = np.maximum(pooled[:, v], THRESHOLDS[v, 1]) - np.maximum(pooled[:, v] / 2, THRESHOLDS[v, 1])
        assert found['tail_crps'][v] == pytest.approx(np.average(above, weights=by), rel=1e-6)
    assert (found['fss'] < 0.3).all()  # a tenth of the events are left


def test_a_constant_offset_is_bias(grid):
    of = measures(grid)
    offset = np.array([0.5, -2.0])
    found = {name: value[..., 0] for name, value in summarise(of, [(noise() + offset, noise())], top=7).items()}
    np.testing.assert_allclose(found['bias'], offset)
    for name in ('mae', 'rmse'):
        np.testing.assert_allclose(found[name], np.abs(offset))
    np.testing.assert_allclose(found['psnr'], 20 * np.log10([4 / 0.5, 20 / 2]))  # ranges of 4 and 20
    for name in ('total_variation', 'spectrum', 'energy'):
        np.testing.assert_allclose(found[name], 0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(found['variogram'], 1)
    np.testing.assert_allclose(found['tail'], offset, atol=0.02)  # bins are 0.004 and 0.02 wide


def test_anomalies_are_those_of_the_month():
    """A field that says nothing but the climatology of July has no anomaly then, and one in January."""
    of, truth = measures(PLANE), noise()
    july = np.broadcast_to(WARM, truth.shape).astype('f4')
    assert np.isnan(summarise(of, [(july, truth)], month=7)['acc'][:, 0]).all()
    weight = of.weight[..., None]
    found = summarise(of, [(july, truth)])['acc'][:, 0]
    mean, square = np.average(truth, (0, 1), weight * np.ones(2)), np.average(truth**2, (0, 1), weight * np.ones(2))
    np.testing.assert_allclose(found, np.sign(WARM) * mean / np.sqrt(square), rtol=1e-6)
    field = truth[::-1] + WARM
    found = summarise(of, [(field, truth + WARM)], month=7)['acc'][:, 0]
    product = (weight * truth * truth[::-1]).sum((0, 1))
    expected = product / np.sqrt((weight * truth**2).sum((0, 1)) * (weight * truth[::-1] ** 2).sum((0, 1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_times_are_summed_before_roots_and_ratios():
    """Errors of 1 and 3; halved at one of two times of equal power: power (1/4 + 1) / 2."""
    of = measures(PLANE, ('a',))
    truth = noise(1)
    found = summarise(of, [(truth + 1, truth), (truth - 3, truth)])
    assert found['rmse'][0, 0] == pytest.approx(np.sqrt(5))
    assert found['mae'][0, 0] == pytest.approx(2)
    assert found['bias'][0, 0] == pytest.approx(-1)
    found = summarise(of, [(truth / 2, truth), (truth, truth)])
    np.testing.assert_allclose(found['power'][0, :, 0], 5 / 8)
    np.testing.assert_allclose(found['variogram'][0, :, 0], 5 / 8)
    assert found['spectrum'][0, 0] == pytest.approx(np.log(8 / 5))
    assert found['total_variation'][0, 0] == pytest.approx(-1 / 4)


def test_closure_in_standard_deviations_of_the_truth():
    truth = np.where(np.arange(WIDTH) % 2, 9.0, 5.0)[:, None] * np.ones((HEIGHT, 1, 1))  # 2 about 7
    of = measures(PLANE, ('a',))
    gap = gaps(0.0, 1)
    gap[0, 0] = np.nan  # a block without a coarse value is none
    gap[1:] = 3
    found = summarise(of, [(truth, truth)], top=8, gap=gap)
    assert found['closure'][0, 0] == pytest.approx(3 / 2 * np.sqrt(24 / 31))


def test_missing_cells_do_not_count():
    """Neither where the truth is missing, nor where the mask says so; what a method says there is nothing to it."""
    mask = np.ones((HEIGHT, WIDTH))
    mask[:, 20:] = 0
    of = measures(PLANE.assign(mask=(('y', 'x'), mask)), ('a',))
    truth = noise(1)
    truth[3, 4] = np.nan
    found = np.where(mask[..., None] > 0, truth, 1e3) + 0.5
    found[3, 4] = 1e3
    result = summarise(of, [(found, truth)])
    assert result['rmse'][0, 0] == result['bias'][0, 0] == pytest.approx(0.5)
    np.testing.assert_allclose(result['variogram'][0, :, 0], 1)
    assert result['total_variation'][0, 0] == pytest.approx(0)
    assert np.isnan(result['spectrum'][0, 0])  # harmonics and waves need all cells


def test_intervals_hold_the_value():
    """Nine times with errors of 1 to 9, in blocks of two."""
    of = measures(PLANE, ('a',))
    truth = noise(1)
    found = summarise(of, [(truth + error, truth) for error in range(1, 10)])
    value, low, high = found['bias'][0]
    assert value == pytest.approx(5)
    assert 2 < low < 4.5 < 5.5 < high < 8
    assert np.isfinite(found['semivariogram']).all()
    assert found['power'].shape == (1, 8, 3)  # 320 km to 40 km: the shorter side of 16 cells


@pytest.mark.parametrize('name', GRIDS)
def test_winds_have_the_energy_of_what_is_derived_from_them(name):
    grid, winds = GRIDS[name], noise()
    named = {n: (grid['mask'].dims, winds[..., i], {'units': 'm s-1'}) for i, n in enumerate(WINDS)}
    derived = vorticity_divergence(grid.assign(named), *WINDS)
    rotational = np.stack([derived[n].values for n in ROTATIONAL], -1)
    ours = sums_of(measures(grid, WINDS, WINDS), winds, winds / 2)
    theirs = sums_of(measures(grid), rotational, rotational / 2)
    assert ours['energy'].min() > 0
    for key in ('energy', 'energy_truth'):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, err_msg=key)
    np.testing.assert_allclose(ours['energy'], 4 * ours['energy_truth'], rtol=1e-5)
    # by name, not by place
    swapped = sums_of(measures(grid, WINDS[::-1], WINDS), winds[..., ::-1], winds[..., ::-1])
    np.testing.assert_allclose(swapped['energy'], ours['energy'])
    assert 'energy' not in sums_of(measures(grid, WINDS), winds, winds)
    assert 'energy' not in sums_of(measures(grid, ('vorticity', 'a')), winds, winds)


def test_energy_of_winds_by_quadrature(harmonic_sum):
    """Random winds up to n = 14: 2 pi times their mean energy by Gauss quadrature."""
    order, degree = np.triu_indices(15)
    random = np.random.default_rng(3).normal(size=(2, 2, degree.size)) / np.maximum(degree, 1)
    potentials = np.zeros((2, 15, 15), complex)
    potentials[:, order, degree] = random[0] + 1j * random[1] * (order > 0)
    theta, lam = np.arccos(NODES[::-1]), np.deg2rad(LON)
    (_, psi_y, psi_x), (_, chi_y, chi_x) = (harmonic_sum(one, theta, lam) for one in potentials)
    u, v = psi_y + chi_x, psi_x - chi_y
    winds = np.stack([u, v], -1)[::-1]  # the oracle's rows run from north to south
    found = sums_of(measures(GAUSSIAN, WINDS, WINDS), winds, winds)
    mean = np.sum(WEIGHTS[:, None] / 2 / WIDTH * (u**2 + v**2) / 2)
    assert found['energy'].sum() == pytest.approx(2 * np.pi * mean, rel=1e-6)
    np.testing.assert_array_equal(EnergySpectrum(GAUSSIAN).wavenumber, np.arange(1, found['energy'].size + 1))


def test_wavenumbers_that_the_truth_fills():
    assert scores.resolved(np.array([[5.0, 1.0, 1e-3, 1e-8, 1e-12]])) == 3
    assert scores.resolved(np.array([[1e-12, 5.0, 1e-9, 1.0, 1e-12]])) == 4  # a hole is no end
    both = np.array([[5.0, 1.0, 1.0, 1e-8], [5.0, 1.0, 1e-8, 1e-8]])
    assert scores.resolved(both) == 2  # the variable with the fewest
    assert scores.resolved(np.where([[False], [True]], np.nan, both)) == 3  # of one that is missing nothing is known
    assert scores.resolved(np.full((2, 4), np.nan)) == 4
    assert scores.resolved(np.zeros((2, 4))) == 4


@pytest.mark.parametrize('name', GLOBAL)
def test_beyond_the_truncation_of_the_truth_is_rounding(name):
    """Waves up to n = 7 of 15, in float32: rounding is neither scored nor drawn, nor is what a method puts there."""
    order, degree = np.triu_indices(15)
    random = np.random.default_rng(0).normal(size=(2, 2, degree.size))
    transform = harmonics('Gaussian' if name == 'Gaussian' else 'no pole', HEIGHT, WIDTH)
    waves = np.zeros((2, *transform.degree.shape), complex)
    waves[:, order, degree - order] = random[0] + 1j * random[1] * (order > 0)
    low, high = (
        np.moveaxis(transform.synthesise(waves * kept), 0, -1) for kept in (transform.degree <= 7, transform.degree > 7)
    )
    truth = low.astype(np.float32)
    of = measures(GRIDS[name])
    sums = sums_of(of, (low / 2 + high).astype(np.float32), truth)
    top = scores.resolved(total([sums, sums])['power_truth'])
    assert top == 7
    found = scores.of_sums(sums, of, top)
    assert found['power'].shape == (2, 7)
    np.testing.assert_allclose(found['power'], 1 / 4, rtol=1e-4)
    np.testing.assert_allclose(found['spectrum'], np.log(4), rtol=1e-4)
    np.testing.assert_allclose(found['energy'], np.log(4), rtol=1e-4)


def test_leading_axes_are_kept():
    """As the bootstrap gives them: resamples side by side are what they are one by one."""
    of = measures(PLANE)
    fields = [noise(seed=i) / (i + 1) for i in range(3)]
    ensembles = [np.stack([field, field / 2, field + 1]) for field in fields]
    for several in (fields, ensembles):
        sums = [sums_of(of, one, noise(seed=i), 0.1) for i, one in enumerate(several)]
        together = scores.of_sums({key: np.stack([s[key] for s in sums]) for key in sums[0]}, of, 6)
        for i, one in enumerate(sums):
            for key, value in scores.of_sums(one, of, 6).items():
                np.testing.assert_allclose(together[key][i], value, err_msg=key)
    assert together['ranks'].shape == (3, 2, 4)


def test_members_of_an_ensemble():
    """Every score against its definition, or the library `scores`; two times, and cells without a truth."""
    of, rng = measures(DEGREES, ('a', 'b')), np.random.default_rng(5)
    truths, ensembles = [noise(seed=i) for i in range(2)], []
    truths[0][3, 4] = np.nan
    for truth in truths:
        members = 0.6 * np.nan_to_num(truth) + 0.8 * rng.normal(0, [1, 3], (6, HEIGHT, WIDTH, 2))
        ensembles.append(members.astype('f4'))
    found = {key: value[..., 0] for key, value in summarise(of, list(zip(ensembles, truths, strict=True)), 4).items()}
    weight = np.stack([of.weight] * 2)
    for v in range(2):
        truth, members = (np.stack([one[..., v] for one in several]) for several in (truths, ensembles))
        members = members.swapaxes(0, 1).astype(float)  # [M, T, H, W]
        known = np.isfinite(truth)

        def mean(values, known=known):
            return np.average(values[known], weights=weight[known])

        error = members.mean(0) - truth
        assert found['rmse'][v] == pytest.approx(np.sqrt(mean(error**2)), rel=1e-5)
        assert found['mae'][v] == pytest.approx(mean(np.abs(error)), rel=1e-5)
        dims = ('member', 't', 'y', 'x')
        arrays = xr.DataArray(members, dims=dims), xr.DataArray(truth, dims=dims[1:])
        weights, threshold = xr.DataArray(weight, dims=dims[1:]), THRESHOLDS[v, extremes.LEVELS.index(scores.EVENT)]
        fair = {'ensemble_member_dim': 'member', 'method': 'fair', 'weights': weights}
        assert found['crps'][v] == pytest.approx(float(probability.crps_for_ensemble(*arrays, **fair)), rel=1e-5)
        tail = probability.tail_tw_crps_for_ensemble(*arrays, threshold=threshold, tail='upper', **fair)
        assert found['tail_crps'][v] == pytest.approx(float(tail), rel=1e-5)
        variance = mean(members.var(0, ddof=1))
        assert found['spread'][v] == pytest.approx(np.sqrt(variance), rel=1e-5)
        assert found['spread_skill'][v] == pytest.approx(np.sqrt(7 / 6 * variance / mean(error**2)), rel=1e-5)
        ranks = [mean((members < truth).sum(0) == k) * 7 for k in range(7)]
        np.testing.assert_allclose(found['ranks'][v], ranks, rtol=1e-6)
        assert found['reliability'][v] == pytest.approx(np.abs(np.cumsum(ranks)[:-1] - np.arange(1, 7)).mean() / 7)
        pooled, by = members[:, known], np.broadcast_to(weight[known], (6, known.sum()))
        quantiles = [weighted_quantile(*pair) for pair in ((pooled, by), (truth[known], weight[known]))]
        assert found['tail'][v] == pytest.approx(quantiles[0] - quantiles[1], abs=0.02 * (1, 5)[v])
        # all levels, the score's among them
        assert found['tail'][v] == found['quantile_error'][v, extremes.LEVELS.index(scores.HIGH)]
        assert found['tail_crps'][v] == found['crps_above'][v, extremes.LEVELS.index(scores.EVENT)]
        for level, error, above, limit in zip(
            extremes.LEVELS, found['quantile_error'][v], found['crps_above'][v], THRESHOLDS[v], strict=True
        ):
            quantiles = [weighted_quantile(*pair, level) for pair in ((pooled, by), (truth[known], weight[known]))]
            assert error == pytest.approx(quantiles[0] - quantiles[1], abs=0.02 * (1, 5)[v])
            tail = probability.tail_tw_crps_for_ensemble(*arrays, threshold=limit, tail='upper', **fair)
            assert above == pytest.approx(float(tail), rel=1e-5)


def weighted_quantile(values, weights, level=scores.HIGH):
    order = np.argsort(values.ravel())
    below = weights.ravel()[order].cumsum()
    return values.ravel()[order[np.searchsorted(below, level * below[-1])]]


def test_the_fractions_skill_score_is_that_of_the_library():
    """Of one field and a truth without gaps, all cells alike: windows of 5 cells away from the edge."""
    of, truth, found = measures(PLANE, ('a',)), noise(1), noise(1, seed=1)
    found = np.where(np.roll(truth, 2, 1) > 1, found + 2, found)
    # beyond the edge the library counts no events, we no cells: events stay away from it
    frame = np.zeros((HEIGHT, WIDTH, 1), bool)
    frame[4:-4, 4:-4] = True
    truth, found = (np.where(frame, field, -3) for field in (truth, found))
    result = summarise(of, [(found, truth)])
    theirs = [
        spatial.fss_2d_single_field(
            found[..., 0], truth[..., 0], event_threshold=threshold, window_size=(5, 5), zero_padding=True
        )
        for threshold in THRESHOLDS[0]
    ]
    np.testing.assert_allclose(result['fss_above'][0, :, 0, 0], np.where(np.array(theirs) > 0, theirs, 0), rtol=1e-6)
    ours = result['fss'][0, 0]
    assert of.windows == (5, 13)
    assert 0.1 < ours < 0.9
    assert ours == pytest.approx(theirs[extremes.LEVELS.index(scores.EVENT)], rel=1e-6)
    # windows of about three coarse cells are kinder
    wide = extremes.fss_sums(found[None, ..., 0], truth[..., 0], of.weight, THRESHOLDS[0], (13,))
    np.testing.assert_allclose(
        result['fss_above'][0, :, 1, 0], (1 - wide['fss_error'] / wide['fss_reference'])[:, 0], rtol=1e-12
    )
    assert result['fss_above'][0, 1, 1, 0] > ours


@pytest.mark.parametrize('members', [1, 3])
def test_names(members):
    found = summarise(measures(PLANE), [(np.stack([noise() + 1] * members), noise())])
    found['wasserstein'] = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    flat = scores.flat(found, ROTATIONAL)
    described = scores.described(ROTATIONAL, ('s-1', 'K'))
    of_members = {f'{name}_{v}' for name in ('spread_skill', 'reliability') for v in ROTATIONAL}
    of_tiles = {f'{name}_{v}' for name in ('seam', 'step') for v in ROTATIONAL}  # see `tile_seams`
    assert set(flat) == set(described) - of_tiles - (of_members if members == 1 else set())
    assert next(iter(described)) == 'energy'
    np.testing.assert_array_equal(flat['wasserstein_divergence'], [4, 5, 6])
    assert flat['bias_vorticity'][0] == pytest.approx(1)
    assert {described[f'{n}_divergence'].unit for n in ('rmse', 'crps', 'mae', 'bias', 'wasserstein', 'tail')} == {'K'}
    assert described['psnr_divergence'].unit == 'dB'
    assert described['rmse_vorticity'].table == 'Vorticity'
    assert 'energy' not in scores.flat({'rmse': found['rmse']}, ROTATIONAL)


def test_a_perfect_method_with_intervals():
    summarise(measures(PLANE), [(noise(), noise())] * 6)


def test_rows_too_unequal_have_the_spectra_of_the_wide_ones():
    """Of rows at 10N to 85N those up to 60N are half as wide as the first; what is beyond is in no wavenumber."""
    grid = statics({'lat': 10 + np.arange(HEIGHT) * 5.0, 'lon': np.arange(WIDTH) * 5.0})
    of, truth = measures(grid), noise()
    assert of.band == slice(0, 11)
    found = summarise(of, [(np.where(np.arange(HEIGHT)[:, None, None] < 11, truth / 2, truth), truth)])
    np.testing.assert_allclose(found['power'][..., 0], 1 / 4)
    np.testing.assert_allclose(found['kinetic'][..., 0], 1 / 4)
    assert (found['bias'][:, 0] != 0).all()
    assert measures(EVEN).band == measures(PLANE).band == slice(None)


def test_global_winds_with_gaps_have_no_energy():
    truth = noise()
    truth[3, 4] = np.nan
    found = summarise(measures(EVEN, WINDS, WINDS), [(truth + 1, truth)])
    assert np.isnan(found['energy']).all()
    np.testing.assert_allclose(found['bias'][:, 0], 1)
