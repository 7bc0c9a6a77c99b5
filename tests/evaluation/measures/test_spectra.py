"""Spectra by wavenumber on both kinds of global grid and in regions; energy of winds; what the truth resolves."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr
from scipy.special import roots_legendre

from downscale_jax.evaluation.measures.spectra import Spectra, summarise
from downscale_jax.evaluation.protocol import Variable
from downscale_jax.evaluation.statistics.spectra import spectrum_of
from downscale_jax.fields.geometry.grid import cell_areas_km2
from downscale_jax.fields.geometry.harmonics import harmonics
from downscale_jax.fields.geometry.wind import vorticity_divergence

HEIGHT, WIDTH = 16, 32
ROTATIONAL, WINDS = ('vorticity', 'divergence'), ('u', 'v')
NAMED = {'u': 'x_wind', 'v': 'y_wind'}
NODES, WEIGHTS = roots_legendre(HEIGHT)
LON = np.arange(WIDTH) * 360 / WIDTH


def statics(coords):
    dims = tuple(coords)
    grid = xr.Dataset({'mask': (dims, np.ones((HEIGHT, WIDTH), bool))}, coords)
    return grid.assign(cell_area=(dims, cell_areas_km2(grid)))


GRIDS = {
    'Gaussian': statics({'lat': np.rad2deg(np.arcsin(NODES)), 'lon': LON}),
    'even': statics({'lat': 90 - (np.arange(HEIGHT) + 0.5) * 180 / HEIGHT, 'lon': LON}),
    'plane': statics({'y': np.arange(HEIGHT) * 2e4, 'x': np.arange(WIDTH) * 2e4}),
    'degrees': statics({'lat': 50 + np.arange(HEIGHT) * 0.25, 'lon': -4 + np.arange(WIDTH) * 0.25}),
}


def noise(seed=0):
    return np.random.default_rng(seed).normal(0, [1, 3], (HEIGHT, WIDTH, 2))


def variables(names):
    return tuple(Variable(name, 'm s-1', name, 1.0, 80.0, 4) for name in names)


@pytest.fixture
def measured(of_setting, of_fields):
    """measured(grid, times of (prediction, truth), names, winds) -> a measure to which they are added."""

    def call(grid, times, names=ROTATIONAL, winds=None):
        setting = of_setting(2, statics=grid, variables=variables(names), winds=winds, shown=('net',), main='net')
        measure = Spectra(setting)
        for index, (prediction, truth) in enumerate(times):
            measure.add(of_fields(setting, truth, {'net': prediction}, index=index))
        return measure

    return call


def values(measure, method='net'):
    """{score: value}, and the ratios of power {key: [n]}."""
    result = measure.result()
    return {name: e[0] for name, e in result.scores[method].items()}, result.details['methods'][method]


@pytest.mark.parametrize('name', GRIDS)
def test_half_the_amplitude_has_a_quarter_of_the_power(measured, name):
    times = [(truth / 2, truth) for truth in (noise(), noise(1))]
    scores, ratios = values(measured(GRIDS[name], times))
    assert set(scores) == {'energy', 'spectrum_vorticity', 'spectrum_divergence'}
    for key in ('energy', *ROTATIONAL):
        np.testing.assert_allclose(ratios[key][:, 0], 1 / 4, rtol=1e-6)
    assert list(scores.values()) == pytest.approx([np.log(4)] * 3)
    scores, _ = values(measured(GRIDS[name], [(truth, truth) for _, truth in times]))
    assert list(scores.values()) == [0, 0, 0]


def test_of_an_ensemble_the_mean_is_taken_and_times_are_added_before_the_ratio(measured):
    truth = noise()
    members = np.stack([truth, 0 * truth])
    for times in ([(members, truth), (truth, truth)], [(truth / 2, truth), (truth, truth)]):
        scores, ratios = values(measured(GRIDS['plane'], times))
        np.testing.assert_allclose(ratios['vorticity'][:, 0], 5 / 8, rtol=1e-6)
        assert scores['spectrum_vorticity'] == pytest.approx(np.log(8 / 5))
    assert ratios['vorticity'].shape == (8, 3)  # 320 km to 40 km: the shorter side of 16 cells


def test_a_constant_offset_is_in_no_wavenumber(measured):
    for name in GRIDS:
        scores, _ = values(measured(GRIDS[name], [(noise() + np.array([0.5, -2.0]), noise())]))
        np.testing.assert_allclose(list(scores.values()), 0, atol=1e-5)


@pytest.mark.parametrize('name', GRIDS)
def test_winds_have_the_energy_of_what_is_derived_from_them(measured, name):
    grid, winds = GRIDS[name], noise()
    named = {
        n: (grid['mask'].dims, winds[..., i], {'units': 'm s-1', 'standard_name': NAMED[n]})
        for i, n in enumerate(WINDS)
    }
    derived = vorticity_divergence(grid.assign(named), *WINDS)
    rotational = np.stack([derived[n].values for n in ROTATIONAL], -1)
    ours = measured(grid, [(winds, winds / 2)], WINDS, NAMED).sums.total(('net', 'energy'))
    theirs = measured(grid, [(rotational, rotational / 2)]).sums.total(('net', 'energy'))
    assert ours['power'].min() > 0
    for key in ('power', 'truth'):
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5)
    np.testing.assert_allclose(ours['power'], 4 * ours['truth'], rtol=1e-5)
    # by name, not by place
    swapped = measured(grid, [(winds[..., ::-1], winds[..., ::-1])], WINDS[::-1], NAMED)
    np.testing.assert_allclose(swapped.sums.total(('net', 'energy'))['power'], ours['power'])
    for names in (WINDS, ('vorticity', 'a')):
        assert ('net', 'energy') not in measured(grid, [(winds, winds)], names).sums


def test_no_energy_of_winds_whose_direction_along_the_axes_is_unknown(measured):
    eastward = {'u': 'eastward_wind', 'v': 'northward_wind'}
    planes = np.meshgrid(50 + np.arange(HEIGHT) * 0.25, np.arange(WIDTH) * 0.25, indexing='ij')
    named = {name: (('y', 'x'), plane) for name, plane in zip(('lat', 'lon'), planes, strict=True)}
    curvilinear = GRIDS['plane'].drop_vars(['y', 'x']).assign_coords(named)
    for grid, names in ((GRIDS['plane'], eastward), (curvilinear, eastward), (curvilinear, NAMED)):
        assert ('net', 'energy') not in measured(grid, [(noise(), noise())], WINDS, names).sums


def test_energy_of_winds_by_quadrature(measured, harmonic_sum):
    """Random winds up to n = 14: 2 pi times their mean energy by Gauss quadrature."""
    order, degree = np.triu_indices(15)
    random = np.random.default_rng(3).normal(size=(2, 2, degree.size)) / np.maximum(degree, 1)
    potentials = np.zeros((2, 15, 15), complex)
    potentials[:, order, degree] = random[0] + 1j * random[1] * (order > 0)
    theta, lam = np.arccos(NODES[::-1]), np.deg2rad(LON)
    (_, psi_y, psi_x), (_, chi_y, chi_x) = (harmonic_sum(one, theta, lam) for one in potentials)
    u, v = psi_y + chi_x, psi_x - chi_y
    winds = np.stack([u, v], -1)[::-1]  # the oracle's rows run from north to south
    found = measured(GRIDS['Gaussian'], [(winds, winds)], WINDS, NAMED).sums.total(('net', 'energy'))
    mean = np.sum(WEIGHTS[:, None] / 2 / WIDTH * (u**2 + v**2) / 2)
    assert found['power'].sum() == pytest.approx(2 * np.pi * mean, rel=1e-6)
    assert found['power'].size == spectrum_of(GRIDS['Gaussian']).wavelength_km.size


@pytest.mark.parametrize(
    ('powers', 'top'),
    [
        ([[5.0, 1.0, 1e-3, 1e-8, 1e-12]], 3),
        ([[1e-12, 5.0, 1e-9, 1.0, 1e-12]], 4),  # a hole is no end
        ([[5.0, 1.0, 1.0, 1e-8], [5.0, 1.0, 1e-8, 1e-8]], 2),  # the variable with the fewest
        ([[np.nan] * 4, [5.0, 1.0, 1e-8, 1e-8]], 2),  # nothing is known of a variable that is missing
        ([[np.nan] * 4], 4),
        ([[0.0] * 4], 4),
    ],
)
def test_wavenumbers_that_the_truth_fills(measured, powers, top):
    measure = measured(GRIDS['plane'], [])
    measure._setting = replace(measure._setting, variables=variables('ab'[: len(powers)]))
    for name, power in zip('ab', powers, strict=False):
        measure.sums.add(('net', name), 0, {'power': np.array(power), 'truth': np.array(power), 'times': 1.0})
    assert measure.resolved() == top


@pytest.mark.parametrize('name', ['Gaussian', 'even'])
def test_beyond_the_truncation_of_the_truth_is_rounding(measured, name):
    """Waves up to n = 7 of 15, in float32: rounding is neither scored nor drawn, nor what a method has there."""
    order, degree = np.triu_indices(15)
    random = np.random.default_rng(0).normal(size=(2, 2, degree.size))
    transform = harmonics('Gaussian' if name == 'Gaussian' else 'no pole', HEIGHT, WIDTH)
    waves = np.zeros((2, *transform.degree.shape), complex)
    waves[:, order, degree - order] = random[0] + 1j * random[1] * (order > 0)
    low, high = (
        np.moveaxis(transform.synthesise(waves * kept), 0, -1) for kept in (transform.degree <= 7, transform.degree > 7)
    )
    measure = measured(GRIDS[name], [((low / 2 + high).astype('f4'), low.astype('f4'))] * 2)
    assert measure.resolved() == 7
    scores, ratios = values(measure)
    for key in ratios:
        np.testing.assert_allclose(ratios[key][:, 0], [1 / 4] * 7, rtol=1e-4)
    assert list(scores.values()) == pytest.approx([np.log(4)] * 3, rel=1e-4)


def test_rows_too_unequal_have_the_spectra_of_the_wide_ones(measured):
    """Of rows at 10N to 85N those up to 60N are half as wide as the first; what is beyond is in no wavenumber."""
    grid = statics({'lat': 10 + np.arange(HEIGHT) * 5.0, 'lon': np.arange(WIDTH) * 5.0})
    truth = noise()
    measure = measured(grid, [(np.where(np.arange(HEIGHT)[:, None, None] < 11, truth / 2, truth), truth)])
    _, ratios = values(measure)
    for key in ratios:
        np.testing.assert_allclose(ratios[key][:, 0], 1 / 4, rtol=1e-6)
    assert len(measure.result().notes) == 1
    assert measured(GRIDS['even'], [(truth, truth)]).result().notes == []


def test_a_grid_with_uneven_steps_has_a_note_instead_of_spectra(measured):
    mercator = np.rad2deg(np.arcsin(np.tanh(np.linspace(0.8, 1.4, HEIGHT))))
    grids = {
        "'lat' has uneven steps": statics({'lat': mercator, 'lon': np.arange(WIDTH) * 0.25}),
        'longitudes 0 to 360 repeat': statics({'lat': np.linspace(-75, 75, HEIGHT), 'lon': np.linspace(0, 360, WIDTH)}),
    }
    for reason, grid in grids.items():
        result = measured(grid, [(noise(), noise(1))], WINDS, NAMED).result()
        assert (result.scores, result.figures) == ({}, ())
        (note,) = result.notes
        assert note.startswith(f'No spectra by wavenumber: {reason}')


def test_uneven_rotated_axes_cost_the_energy_of_winds_only(measured):
    dims = ('y', 'x')
    lat, lon = np.meshgrid(50 + 0.1 * np.arange(HEIGHT), 0.1 * np.arange(WIDTH), indexing='ij')
    for power, has_energy in ((1, True), (1.05, False)):
        axes = {'rlat': ('y', 0.1 * np.arange(HEIGHT) ** power), 'rlon': ('x', 0.1 * np.arange(WIDTH))}
        grid = GRIDS['plane'].drop_vars(dims).assign_coords(axes | {'lat': (dims, lat), 'lon': (dims, lon)})
        scores, _ = values(measured(grid, [(noise() / 2, noise())], WINDS, NAMED))
        assert ('energy' in scores) == has_energy
        assert scores['spectrum_u'] == pytest.approx(np.log(4), rel=1e-5)


def test_gaps_leave_no_spectrum_on_the_globe_and_count_for_nothing_in_a_region(measured):
    truth = noise()
    truth[3, 4] = np.nan
    prediction = np.where(np.isfinite(truth), truth / 2, 1e3)
    result = measured(GRIDS['even'], [(prediction, truth)], WINDS, NAMED).result()
    assert (result.scores, result.figures, len(result.notes)) == ({}, (), 1)
    scores, _ = values(measured(GRIDS['plane'], [(prediction, truth)]))
    assert scores['spectrum_vorticity'] == pytest.approx(np.log(4), rel=1e-5)


def test_leading_axes_are_kept():
    rng = np.random.default_rng(0)
    sums = [{'power': rng.random(8), 'truth': rng.random(8)} for _ in range(3)]
    together = partial(summarise, top=6)({key: np.stack([one[key] for one in sums]) for key in sums[0]})
    for index, one in enumerate(sums):
        for key, value in summarise(one, 6).items():
            np.testing.assert_allclose(together[key][index], value)


@pytest.mark.parametrize('name', ['even', 'plane'])
def test_a_time_without_a_value_does_not_cost_the_others(measured, name):
    """At the second of three times one variable has a missing cell on the globe, no value at all in a region."""
    times = [(noise(seed) / 2, noise(seed)) for seed in range(3)]
    times[1][1][(3, 4, 1) if name == 'even' else np.s_[..., 1]] = np.nan
    measure, others = measured(GRIDS[name], times), measured(GRIDS[name], times[::2])
    scores, ratios = values(measure)
    assert list(scores.values()) == pytest.approx([np.log(4)] * 3)
    for key, ratio in ratios.items():
        np.testing.assert_allclose(ratio[:, 0], 1 / 4, rtol=1e-6)
        assert np.isfinite(measure.truth()[key]).all()
        same = np.allclose(measure.truth()[key], others.truth()[key])
        assert same == (key != 'vorticity')  # which all three times have
    notes = [note for note in measure.result().notes if '1 of 3 times' in note]
    assert len(notes) == len(ratios) - 1


def test_a_gap_in_another_variable_does_not_cost_the_energy_of_winds(of_setting, of_fields):
    names = ('u', 'v', 't')
    kinds = tuple(Variable(name, 'm s-1', name, 1.0, 80.0, 4) for name in names)
    setting = of_setting(2, statics=GRIDS['even'], variables=kinds, winds=NAMED, shown=('net',), main='net')
    truth = np.concatenate([noise(), noise(1)[..., :1]], -1)
    truth[3, 4, 2] = np.nan
    measure = Spectra(setting)
    measure.add(of_fields(setting, truth, {'net': truth / 2}))
    scores, _ = values(measure)
    assert scores['energy'] == pytest.approx(np.log(4))
