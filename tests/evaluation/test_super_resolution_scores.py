"""Scores of super-resolved fields: closed forms on both kinds of global grid and in a region, sums over times."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import roots_legendre

from downscale_jax.evaluation import super_resolution_scores as scores
from downscale_jax.evaluation.bootstrap import total
from downscale_jax.evaluation.energy import EnergySpectrum
from downscale_jax.fields import wind
from downscale_jax.fields.grid import cell_areas_km2
from downscale_jax.fields.wind import spherical_harmonics, vorticity_divergence
from downscale_jax.runtime.errors import UserError

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


def measures(grid, variables=ROTATIONAL, winds=None):
    return scores.Measures(grid, variables, winds, np.array([[-2.0, 2.0], [-5.0, 15.0]])[: len(variables)])


def gaps(value=0.0, count=2):
    return np.full((HEIGHT // 4, WIDTH // 4, count), value)


def summarise(of, pairs, top=100, gap=0.0):
    """Of times [(found, truth)]."""
    sums = [of.sums(found, truth, gaps(gap, truth.shape[-1])) for found, truth in pairs]
    return scores.summarise(sums, of.ranges, of.pairs.kilometres, top, block=2)


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
    for name in ('rmse', 'mae', 'bias', 'spectrum', 'energy', 'total_variation', 'closure'):
        assert not found[name].any(), name
    for name in ('power', 'kinetic', 'ssim', 'variogram'):
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
    np.testing.assert_allclose(found['bias'], -mean / 2)


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
    found = scores.summarise([of.sums(truth, truth, gap)], of.ranges, of.pairs.kilometres, 8, block=2)
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
    ours = measures(grid, WINDS, WINDS).sums(winds, winds / 2, gaps())
    theirs = measures(grid).sums(rotational, rotational / 2, gaps())
    assert ours['energy'].min() > 0
    for key in ('energy', 'energy_truth'):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5, err_msg=key)
    np.testing.assert_allclose(ours['energy'], 4 * ours['energy_truth'], rtol=1e-5)
    # by name, not by place
    swapped = measures(grid, WINDS[::-1], WINDS).sums(winds[..., ::-1], winds[..., ::-1], gaps())
    np.testing.assert_allclose(swapped['energy'], ours['energy'])
    assert 'energy' not in measures(grid, WINDS).sums(winds, winds, gaps())
    assert 'energy' not in measures(grid, ('vorticity', 'a')).sums(winds, winds, gaps())


def test_energy_of_winds_by_quadrature():
    """Random winds up to n = 14: 2 pi times their mean energy by Gauss quadrature."""
    order, degree = np.triu_indices(15)
    random = np.random.default_rng(3).normal(size=(2, 2, degree.size)) * (degree > 0)
    v, u = spherical_harmonics().synthesis_2d(
        alm=random[0] + 1j * random[1] * (order > 0), spin=1, lmax=14, ntheta=HEIGHT, nphi=WIDTH, geometry='GL'
    ) * [[[-1]], [[1]]]
    winds = np.stack([u, v], -1)[::-1]  # ducc0's rows run from north to south
    found = measures(GAUSSIAN, WINDS, WINDS).sums(winds, winds, gaps())
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
    waves = (random[0] + 1j * random[1] * (order > 0))[:, None]
    geometry = {'ntheta': HEIGHT, 'nphi': WIDTH, 'lmax': 14, 'geometry': 'GL' if name == 'Gaussian' else 'F1'}
    low, high = (
        np.stack([spherical_harmonics().synthesis_2d(alm=one * kept, spin=0, **geometry)[0] for one in waves], -1)
        for kept in (degree <= 7, degree > 7)
    )
    truth = low.astype(np.float32)
    of = measures(GRIDS[name])
    sums = of.sums((low / 2 + high).astype(np.float32), truth, gaps())
    top = scores.resolved(total([sums, sums])['power_truth'])
    assert top == 7
    found = scores.of_sums(sums, np.array(of.ranges), of.pairs.kilometres, top)
    assert found['power'].shape == (2, 7)
    np.testing.assert_allclose(found['power'], 1 / 4, rtol=1e-4)
    np.testing.assert_allclose(found['spectrum'], np.log(4), rtol=1e-4)
    np.testing.assert_allclose(found['energy'], np.log(4), rtol=1e-4)


def test_leading_axes_are_kept():
    """As the bootstrap gives them: resamples side by side are what they are one by one."""
    of = measures(PLANE)
    ranges, kilometres = np.array(of.ranges), of.pairs.kilometres
    sums = [of.sums(noise(seed=i) / (i + 1), noise(seed=i), gaps(0.1)) for i in range(3)]
    together = scores.of_sums({key: np.stack([s[key] for s in sums]) for key in sums[0]}, ranges, kilometres, 6)
    for i, one in enumerate(sums):
        for key, value in scores.of_sums(one, ranges, kilometres, 6).items():
            np.testing.assert_allclose(together[key][i], value, err_msg=key)


def test_names():
    found = summarise(measures(PLANE), [(noise() + 1, noise())])
    found['wasserstein'] = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    flat = scores.flat(found, ROTATIONAL)
    described = scores.described(ROTATIONAL, ('s-1', 'K'))
    assert set(flat) == set(described)
    assert next(iter(described)) == 'energy'
    np.testing.assert_array_equal(flat['wasserstein_divergence'], [4, 5, 6])
    assert flat['bias_vorticity'][0] == pytest.approx(1)
    assert {described[f'{n}_divergence'].unit for n in ('rmse', 'mae', 'bias', 'wasserstein')} == {'K'}
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


def test_without_harmonics_global_spectra_are_refused(monkeypatch):
    def missing():
        raise UserError('global fields need ducc0')

    monkeypatch.setattr(wind, 'spherical_harmonics', missing)
    with pytest.raises(UserError, match='ducc0'):
        measures(EVEN)


def test_global_winds_with_gaps_have_no_energy():
    truth = noise()
    truth[3, 4] = np.nan
    found = summarise(measures(EVEN, WINDS, WINDS), [(truth + 1, truth)])
    assert np.isnan(found['energy']).all()
    np.testing.assert_allclose(found['bias'][:, 0], 1)
