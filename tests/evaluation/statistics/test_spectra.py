"""Energy and variance by wavenumber: closed forms on the sphere and the plane, Parseval, real winds."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import roots_legendre

from downscale_jax.evaluation.statistics import windows as spectra
from downscale_jax.evaluation.statistics.spectra import spectral_distance, spectrum_of
from downscale_jax.fields.geometry.harmonics import harmonics
from downscale_jax.fields.geometry.wind import RADIUS, vorticity_divergence
from downscale_jax.runtime.errors import UserError

NODES, WEIGHTS = roots_legendre(24)
GLOBES = {
    'both poles': ('both poles', np.linspace(90, -90, 25)),
    'no pole': ('no pole', -90 + (np.arange(24) + 0.5) * 7.5),
    'Gaussian': ('Gaussian', np.rad2deg(np.arcsin(NODES))),
}


def globe(lat, columns=48):
    return xr.Dataset(coords={'lat': lat, 'lon': np.arange(columns) * 360 / columns})


def plane(height, width, dy=4000.0, dx=4000.0):
    return xr.Dataset(coords={'y': np.arange(height)[::-1] * dy, 'x': np.arange(width) * dx})


def angles(grid):
    return np.pi / 2 - np.deg2rad(grid['lat'].values)[:, None], np.deg2rad(grid['lon'].values)[None]


@pytest.mark.parametrize('lat', [lat for _, lat in GLOBES.values()], ids=list(GLOBES))
def test_solid_body_rotation(lat):
    """Spin s about any axis: vorticity 2 s cos(angle), mean energy a^2 s^2 / 3, all of it in n = 1."""
    grid, spin = globe(lat), 1e-5
    theta, lam = angles(grid)
    vorticity = 2 * spin * (0.6 * np.cos(lam - 1) * np.sin(theta) + 0.8 * np.cos(theta))
    spectrum = spectrum_of(grid)
    energy = spectrum.kinetic_energy(vorticity, np.zeros_like(vorticity))
    assert energy[0] == pytest.approx(2 * np.pi * (RADIUS * spin) ** 2 / 3, rel=1e-9)
    assert energy[1:].max() < 1e-20 * energy[0]
    assert energy.size == 23
    np.testing.assert_allclose(spectrum.wavelength_km, 2 * np.pi * 6371 / np.arange(1, 24))


def test_the_formula_on_single_harmonics():
    """zeta = 2 Re(c Y_3^2) has coefficients c and c* at m = 2, -2; delta = b Y_2^0 one."""
    grid, c, b = globe(GLOBES['Gaussian'][1]), (3 + 4j) * 1e-5, 2e-5
    theta, lam = angles(grid)
    vorticity = 2 * (c * np.exp(2j * lam)).real * np.sqrt(105 / (2 * np.pi)) / 4 * np.cos(theta) * np.sin(theta) ** 2
    divergence = b * np.sqrt(5 / np.pi) / 4 * (3 * np.cos(theta) ** 2 - 1) + 0 * lam
    expected = np.zeros(23)
    expected[2] = RADIUS**2 / (4 * 3 * 4) * 2 * abs(c) ** 2
    expected[1] = RADIUS**2 / (4 * 2 * 3) * b**2
    spectrum = spectrum_of(grid)
    np.testing.assert_allclose(spectrum.kinetic_energy(vorticity, divergence), expected, atol=1e-9 * expected.max())
    power = spectrum.power(3 + vorticity)  # the mean is in no wavenumber
    np.testing.assert_allclose(power, 2 * abs(c) ** 2 / (4 * np.pi) * (np.arange(1, 24) == 3), atol=1e-13)


def test_variance_on_every_global_grid():
    """Random waves up to n = 22: one power on all grids, either way round, its sum the variance by Gauss quadrature."""
    order, degree = np.triu_indices(23)
    random = np.random.default_rng(0).normal(size=(2, degree.size)) / (1 + degree)
    coefficients = np.zeros((23, 23), complex)
    coefficients[order, degree - order] = random[0] + 1j * random[1] * (order > 0)
    powers = []
    for rows, lat in GLOBES.values():
        transform = harmonics(rows, lat.size, 48)  # rows from the north; two of these grids run the other way
        known = np.zeros(transform.degree.shape, complex)
        known[:23, :23] = coefficients
        field = transform.synthesise(known)
        powers += [spectrum_of(globe(lat)).power(f)[:22] for f in (field, field[::-1], np.roll(field[:, ::-1], 5, 1))]
    for power in powers:
        np.testing.assert_allclose(power, powers[0], rtol=1e-9)
    weight = WEIGHTS[:, None] / 2 / 48
    variance = np.sum(weight * field**2) - np.sum(weight * field) ** 2
    assert powers[0].sum() == pytest.approx(variance, rel=1e-9)


def test_winds_have_the_energy_of_their_spectrum(harmonic_sum):
    """Random winds of up to n = 22: 2 pi times their mean energy by Gauss quadrature."""
    order, degree = np.triu_indices(23)
    random = np.random.default_rng(3).normal(size=(2, 2, degree.size)) / np.maximum(degree, 1)
    potentials = np.zeros((2, 23, 23), complex)
    potentials[:, order, degree] = random[0] + 1j * random[1] * (order > 0)
    theta, lam = np.arccos(NODES[::-1]), 2 * np.pi * np.arange(48) / 48
    (_, psi_y, psi_x), (_, chi_y, chi_x) = (harmonic_sum(one, theta, lam) for one in potentials)
    u, v = psi_y + chi_x, psi_x - chi_y
    grid = globe(GLOBES['Gaussian'][1][::-1])
    derived = vorticity_divergence(
        grid.assign({name: (('lat', 'lon'), wind, {'units': 'm s-1'}) for name, wind in (('u', u), ('v', v))})
    )
    energy = spectrum_of(grid).kinetic_energy(derived['vorticity'].values, derived['divergence'].values)
    mean = np.sum(WEIGHTS[:, None] / 2 / 48 * (u**2 + v**2) / 2)
    assert energy.sum() == pytest.approx(2 * np.pi * mean, rel=1e-6)


def test_real_winds(shared_data):
    """Winds cut off at coasts have 0.8 % of their energy beyond what one degree resolves."""
    with xr.open_dataset(shared_data / 'gfs_wind10m_1deg_20181006-20181016.nc') as data:
        winds = data[['u10', 'v10']].isel(time=0).load()
    derived = vorticity_divergence(winds, 'u10', 'v10')
    spectrum = spectrum_of(winds)
    energy = spectrum.kinetic_energy(derived['vorticity'].values, derived['divergence'].values)
    mean = ((winds['u10'] ** 2 + winds['v10'] ** 2) / 2).weighted(np.cos(np.deg2rad(winds['lat']))).mean()
    assert 0.985 < energy.sum() / (2 * np.pi * float(mean)) < 1
    assert energy.size == spectrum.wavelength_km.size == 179
    slope = np.polyfit(np.log(np.arange(20, 101)), np.log(energy[19:100]), 1)[0]
    assert -3 < slope < -5 / 3


@pytest.mark.parametrize('n', [24, 33])
def test_region_is_one_window_of_the_rings(n):
    field = np.random.default_rng(1).normal(2, 1, (n, n)).cumsum(0).cumsum(1)
    spectrum = spectrum_of(plane(n, n))
    np.testing.assert_allclose(spectrum.wavelength_km, spectra.wavelengths(n, 4.0))
    if n % 2:  # what `spectra` does not take: the same by the full transform
        w = np.outer(*[np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2] * 2)
        modes = np.abs(np.fft.fft2(w * (field - np.sum(w * field) / w.sum()))) ** 2 / (n**2 * np.sum(w**2))
        k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(n, 1 / n)] * 2))
        expected = [modes[(k >= i - 0.5) & (k < i + 0.5)].sum() for i in range(1, n // 2 + 1)]
    else:
        expected = spectra.power(spectra.transform(field, np.zeros((1, 2), int), n))
    power = spectrum.power(field)
    np.testing.assert_allclose(power, expected, rtol=1e-9)
    assert np.abs(spectrum.power(field + 1e4) - power).max() < 1e-9 * power.max()


LAT = np.arange(54, 66, 0.25)  # 48 rows of 27.8 km
REGIONS = {
    'square': (plane(48, 48), 48 * 4),
    'oblong, oblong cells': (plane(96, 40, 4000, 8000), 40 * 8),
    'degrees': (xr.Dataset(coords={'lat': LAT, 'lon': np.arange(-20, 12, 0.5)}), 48 * 0.25 * 6371 * np.pi / 180),
}


@pytest.mark.parametrize(('grid', 'side_km'), REGIONS.values(), ids=list(REGIONS))
@pytest.mark.parametrize('along', [0, 1])
def test_waves_of_one_length_in_either_direction(grid, side_km, along):
    """Vorticity A cos(k s), 8 cycles over the shorter side: energy A^2 / (4 k^2), in ring 8 and its neighbours."""
    if 'x' in grid:
        y, x = (grid[name].values for name in 'yx')
    else:
        y, x = (RADIUS * np.deg2rad(grid[name].values) for name in ('lat', 'lon'))
        x = x * np.cos(np.deg2rad(60))
    amplitude, k = 1e-4, 2 * np.pi * 8 / (1000 * side_km)
    wave = amplitude * np.cos(k * np.broadcast_arrays(y[:, None], x[None])[along] + 1)
    spectrum = spectrum_of(grid)
    assert spectrum.wavelength_km[0] == pytest.approx(side_km, rel=5e-3)
    assert spectrum.wavelength_km[-1] == pytest.approx(2e-3 * max(abs(y[1] - y[0]), abs(x[1] - x[0])), rel=0.05)
    for fields in ((wave, 0 * wave), (0 * wave, wave)):
        energy = spectrum.kinetic_energy(*fields)
        assert energy.sum() == pytest.approx(amplitude**2 / (4 * k**2), rel=0.05)
        assert np.argmax(energy) == 7
        assert energy[6:9].sum() > 0.98 * energy.sum()


def test_a_band_around_the_globe_has_no_seam():
    grid = xr.Dataset(coords={'lat': np.arange(20, 60, 2.5), 'lon': np.arange(0, 360, 2.5)})
    vorticity, divergence = np.random.default_rng(2).normal(size=(2, 16, 144))
    spectrum = spectrum_of(grid)
    rolled = spectrum.kinetic_energy(np.roll(vorticity, 31, 1), np.roll(divergence, 31, 1))
    np.testing.assert_allclose(rolled, spectrum.kinetic_energy(vorticity, divergence), rtol=1e-9)


def test_missing_values_leave_no_harmonics():
    grid = globe(GLOBES['no pole'][1])
    field = np.zeros((24, 48), np.float32)
    gap = field.copy()
    gap[3, 4] = np.nan
    spectrum = spectrum_of(grid)
    assert np.isnan(spectrum.power(gap)).all()
    assert np.isnan(spectrum.kinetic_energy(field, gap)).all()
    assert not spectrum.kinetic_energy(field, field).any()


def test_missing_cells_of_a_region_have_no_weight():
    """They are structure, the same for all fields that lack them; their values do not matter."""
    grid, field = plane(24, 48), np.random.default_rng(7).normal(3, 1, (24, 48))
    known = np.ones(field.shape, bool)
    known[5:9, 30:] = False
    gaps, power = np.where(known, field, np.nan), spectrum_of(grid).power
    taper = np.outer(*(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in field.shape))
    variance = np.average((field - np.average(field, weights=taper * known)) ** 2, weights=(taper * known) ** 2)
    assert 0.7 * variance < power(gaps).sum() <= variance  # without the corners beyond the last ring
    np.testing.assert_allclose(power(2 * gaps + 5), 4 * power(gaps), rtol=1e-9)
    np.testing.assert_allclose(power(np.where(known, 7.0, np.nan)), 0, atol=1e-20)
    assert np.isnan(power(np.full(field.shape, np.nan))).all()


def test_distance_of_the_upper_half():
    truth = np.array([5.0, 4.0, 3.0, 2.0])
    power = np.array([[5.0, 4.0, 3.0, 2.0], [9.0, 9.0, 1.5, 4.0], [1.0, 1.0, 3.0, 0.0]])
    np.testing.assert_allclose(spectral_distance(power, truth), [0, np.log(2), np.inf])
    assert spectral_distance(power[1], truth, 0.25) == pytest.approx(np.log(2))
    assert spectral_distance(power[1], truth, 1) == pytest.approx(np.log(9 / 5 * 9 / 4 * 2 * 2) / 4)


@pytest.mark.parametrize(
    ('coords', 'message'),
    [
        ({'lat': np.arange(90, -89.9, -1), 'lon': np.arange(0, 360, 1.0)}, 'cells are .* km wide.*cut a region'),
        ({'lat': np.arange(30, 80), 'lon': np.arange(40)}, 'too unequal for a region'),
        ({'lat': np.array([30, 31, 33, 36]), 'lon': np.arange(4)}, "'lat' has uneven steps"),
        ({'lat': np.linspace(-90, 90, 19), 'lon': np.arange(0, 361, 10)}, 'repeat the first meridian'),
        ({'x': np.arange(9) * 1e3, 'y': np.arange(2) * 1e3}, "'y' has 2 values"),
        ({'station': np.arange(9)}, 'neither x, y nor lat, lon'),
    ],
)
def test_grids_without_a_spectrum(coords, message):
    with pytest.raises(UserError, match=message):
        spectrum_of(xr.Dataset(coords=coords))
