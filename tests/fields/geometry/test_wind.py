"""Vorticity and divergence: closed forms on the sphere and the plane, symmetries, an independent tool's fields."""

import dask.array
import numpy as np
import pytest
import xarray as xr
from scipy.special import roots_legendre

from downscale_jax.fields.geometry import wind
from downscale_jax.fields.geometry.wind import RADIUS, vorticity_divergence
from downscale_jax.runtime.errors import UserError

SPIN = 1e-5  # s-1, of solid-body rotation
AXIS = np.array([0.5, -0.3, np.sqrt(0.66)])
LATITUDES = {
    'both poles': np.linspace(-90, 90, 37),
    'no pole': np.arange(-87.5, 90, 5),
    'Gaussian': np.rad2deg(np.arcsin(roots_legendre(36)[0])),
}
REGION = {'lat': np.arange(30, 60.1, 0.5), 'lon': np.arange(-40, -4.9, 0.5)}


def on_grid(lat, lon, u, v, units='m s-1'):
    """u, v of latitude and longitude in radians."""
    phi, lam = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None]
    fields = {
        name: (('time', 'lat', 'lon'), np.broadcast_to(f(phi, lam), (2, lat.size, lon.size)), {'units': units})
        for name, f in (('u', u), ('v', v))
    }
    degrees = {'lat': ('lat', lat, {'units': 'degrees_north'}), 'lon': ('lon', lon, {'units': 'degrees_east'})}
    return xr.Dataset(fields, {'time': np.array(['2000-01-01', '2000-01-02'], 'M8[ns]'), **degrees})


def rotation(lat, lon, axis=AXIS):
    """Solid-body rotation around a tilted axis: (winds, its vorticity 2 SPIN axis.r [H, W])."""
    a, b, c = axis
    fields = on_grid(
        lat,
        lon,
        lambda phi, lam: RADIUS * SPIN * (c * np.cos(phi) - (a * np.cos(lam) + b * np.sin(lam)) * np.sin(phi)),
        lambda phi, lam: RADIUS * SPIN * (a * np.sin(lam) - b * np.cos(lam)) + 0 * phi,
    )
    phi, lam = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None]
    sine = (a * np.cos(lam) + b * np.sin(lam)) * np.cos(phi) + c * np.sin(phi)
    return fields, 2 * SPIN * sine


def around(rows, origin=-180.0):
    return origin + np.arange(2 * rows) * 180 / rows


def waves(lat, lon):
    """Winds of psi = A sin 3 lam cos^3 phi and chi = B cos 2 lam cos^2 phi sin phi, harmonics of degree 3 both."""

    def u(phi, lam):
        chi = -2 * np.sin(2 * lam) * np.cos(phi) * np.sin(phi)
        return 90 * np.sin(3 * lam) * np.cos(phi) ** 2 * np.sin(phi) + 9 * chi

    def v(phi, lam):
        chi = np.cos(2 * lam) * (np.cos(phi) ** 3 - 2 * np.cos(phi) * np.sin(phi) ** 2)
        return 90 * np.cos(3 * lam) * np.cos(phi) ** 2 + 9 * chi

    phi, lam = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None]
    vorticity = -12 * 30 * np.sin(3 * lam) * np.cos(phi) ** 3 / RADIUS  # -l (l + 1) / a^2 psi, psi in 30 a m s-1
    divergence = -12 * 9 * np.cos(2 * lam) * np.cos(phi) ** 2 * np.sin(phi) / RADIUS
    return on_grid(lat, lon, u, v), vorticity, divergence


@pytest.mark.parametrize('lat', LATITUDES.values(), ids=list(LATITUDES))
@pytest.mark.parametrize('flip', [False, True])
def test_rotation_about_a_tilted_axis(lat, flip):
    winds, expected = rotation(lat[::-1] if flip else lat, around(36))
    result = vorticity_divergence(winds)
    assert result['vorticity'].dtype == np.float32
    np.testing.assert_allclose(result['vorticity'][1], expected, atol=1e-6 * SPIN)
    np.testing.assert_allclose(result['divergence'], 0, atol=1e-6 * SPIN)


@pytest.mark.parametrize('lat', LATITUDES.values(), ids=list(LATITUDES))
def test_waves_are_exact_on_global_grids(lat):
    winds, vorticity, divergence = waves(lat, around(36))
    result = vorticity_divergence(winds)
    np.testing.assert_allclose(result['vorticity'][0], vorticity, atol=1e-6 * np.abs(vorticity).max())
    np.testing.assert_allclose(result['divergence'][0], divergence, atol=1e-6 * np.abs(divergence).max())


def test_highest_wave_that_a_grid_with_poles_resolves():
    """psi = sin(m lam) cos^m phi has degree m: exact for m = H - 2, and (W - 1)/2 no less."""
    lat, lon, m = np.linspace(90, -90, 37), around(36), 35
    winds = on_grid(
        lat,
        lon,
        lambda phi, lam: m * np.sin(m * lam) * np.cos(phi) ** (m - 1) * np.sin(phi),
        lambda phi, lam: m * np.cos(m * lam) * np.cos(phi) ** (m - 1),
    )
    expected = -m * (m + 1) / RADIUS * np.sin(m * np.deg2rad(lon)) * np.cos(np.deg2rad(lat))[:, None] ** m
    result = vorticity_divergence(winds)
    np.testing.assert_allclose(result['vorticity'][0], expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize('rows', [np.linspace(-90, 90, 37), np.linspace(0, 90, 37), REGION['lat']])
def test_rolling_and_flipping(rows):
    """Rolled longitudes roll the result where they close; flipped axes flip it everywhere."""
    rng = np.random.default_rng(0)
    lon = around(36) if rows[-1] == 90 else REGION['lon']
    winds = on_grid(rows, lon, lambda *_: 0, lambda *_: 0)
    winds = winds.map(lambda f: f.copy(data=rng.standard_normal(f.shape)))
    result = vorticity_divergence(winds)
    scale = float(abs(result['vorticity']).max())
    for flip in ({'lat': slice(None, None, -1)}, {'lon': slice(None, None, -1)}):
        flipped = vorticity_divergence(winds.isel(flip))
        xr.testing.assert_allclose(flipped, result.isel(flip), rtol=0, atol=1e-5 * scale)
    if rows[-1] == 90:
        rolled = vorticity_divergence(winds.roll(lon=11).assign_coords(lon=winds['lon'] + 33))
        xr.testing.assert_allclose(
            rolled.drop_vars('lon'), result.roll(lon=11).drop_vars('lon'), rtol=0, atol=1e-5 * scale
        )


def test_differences_are_of_second_order():
    """Half the step, a quarter of the error, edges included; beside the pole of a hemisphere half of it."""

    def errors(lat, lon):
        winds, *expected = waves(lat, lon)
        result = vorticity_divergence(winds.isel(time=0))
        beside = lat > 75
        for name, truth in zip(('vorticity', 'divergence'), expected, strict=True):
            error = np.abs(result[name].values - truth).max(1) / np.abs(truth).max()
            yield from (error[~beside].max(), error[beside].max(initial=0))

    region = [np.array([*errors(np.linspace(75, 20, n), np.linspace(350, 410, n))]) for n in (23, 45)]
    hemisphere = [np.array([*errors(np.linspace(0, 90, n), around(2 * n - 2))]) for n in (25, 49)]
    assert (region[1][::2] < 0.3 * region[0][::2]).all()
    assert (hemisphere[1][::2] < 0.3 * hemisphere[0][::2]).all()
    assert (hemisphere[1][1::2] < 0.55 * hemisphere[0][1::2]).all()
    assert max(region[1][::2]) < 0.01


def test_differences_agree_with_harmonics_and_sum_to_zero():
    lat, lon = np.linspace(90, -90, 91), around(90)
    winds, vorticity, _ = waves(lat, lon)
    u, v = (winds[name].values[0] for name in 'uv')
    exact = wind.by_harmonics(u, v, 'both poles', False, False)
    near = wind.sphere(lat, lon, True)(u, v)
    faces = np.deg2rad(np.clip(np.append(lat + 1, -91), -90, 90))
    area = -np.diff(np.sin(faces))[:, None]
    for a, b in zip(exact, near, strict=True):
        assert np.abs(a - b).max() < 0.01 * np.abs(vorticity).max()
        assert abs((area * b).mean()) < 1e-12 * np.abs(area * b).mean()


def test_plane_by_hand():
    """u = 3 y^2 + x, v = x^2 - 2 y: vorticity 2 x - 6 y and divergence -1, exact for parabolas up to the edge."""
    x, y = np.arange(5) * 2000.0, np.arange(6)[::-1] * 1000.0
    xx, yy = np.meshgrid(x, y)
    winds = xr.Dataset(
        {
            'u': (('y', 'x'), 3 * yy**2 + xx, {'units': 'km s-1'}),
            'v': (('y', 'x'), xx**2 - 2 * yy, {'units': 'km s-1'}),
        },
        {'y': y, 'x': x},
    )
    result = vorticity_divergence(winds)
    np.testing.assert_allclose(result['vorticity'], 1000 * (2 * xx - 6 * yy), rtol=1e-5, atol=1)
    np.testing.assert_allclose(result['divergence'], -1000, rtol=1e-4)


def test_missing_neighbours_are_missing():
    winds, _ = rotation(**REGION)
    winds = winds.where((winds['lat'] != winds['lat'][20]) | (winds['lon'] != winds['lon'][30]))
    result = vorticity_divergence(winds)
    for array in result.data_vars.values():
        lost = np.argwhere(np.isnan(array[0].values))
        assert {tuple(at) for at in lost} == {(20, 30), (19, 30), (21, 30), (20, 29), (20, 31)}


@pytest.mark.parametrize('lat', [LATITUDES['both poles'], REGION['lat']], ids=['globe', 'region'])
@pytest.mark.parametrize('lost', ['u', 'v', 'uv'])
def test_a_missing_time_costs_no_other(lat, lost):
    winds, _ = rotation(lat, around(36) if lat[0] == -90 else REGION['lon'])
    whole = vorticity_divergence(winds)
    winds = winds.assign({name: winds[name].where(winds['time'] == winds['time'][1]) for name in lost})
    result = vorticity_divergence(winds)
    xr.testing.assert_identical(result, whole.where(whole['time'] == whole['time'][1]))


def test_the_pole_of_a_sector_is_missing():
    lat = np.linspace(60, 90, 31)
    winds, expected = rotation(lat, REGION['lon'])
    result = vorticity_divergence(winds)['vorticity'][0]
    assert np.isnan(result[-1]).all()
    np.testing.assert_allclose(result[:-1], expected[:-1], atol=5e-3 * SPIN)


def test_lazy_chunk_by_chunk():
    """Nothing is computed before it is asked for, and one time costs its own chunk alone."""
    reads = []

    def block(block_info=None):
        reads.append(block_info[None]['chunk-location'])
        return np.ones((2, 37, 72), np.float32)

    lazy = dask.array.map_blocks(block, chunks=((2,) * 50, (37,), (72,)), dtype=np.float32)
    winds = on_grid(LATITUDES['both poles'], around(36), lambda *_: 0, lambda *_: 0).isel(time=0, drop=True)
    winds = xr.Dataset({n: (('time', 'lat', 'lon'), lazy, {'units': 'm s-1'}) for n in 'uv'}, winds.coords)
    result = vorticity_divergence(winds)
    assert not reads
    assert result['vorticity'].chunks[0] == (2,) * 50
    result.isel(time=[7]).compute()
    assert set(reads) == {(3, 0, 0)}


def test_what_stays_and_what_is_said():
    winds, _ = rotation(**REGION)
    winds['mask'] = (('lat', 'lon'), np.ones((61, 71), bool))
    winds.attrs['title'] = 'winds'
    result = vorticity_divergence(winds)
    assert set(result.data_vars) == {'mask', 'vorticity', 'divergence'}
    assert result.attrs['title'] == 'winds'
    assert result['vorticity'].attrs['units'] == result['divergence'].attrs['units'] == 's-1'
    assert result['divergence'].attrs['standard_name'] == 'divergence_of_wind'
    xr.testing.assert_identical(result['time'], winds['time'])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda d: d.drop_vars('v'), "have no 'v'.*both components"),
        (lambda d: d.assign(u=d['u'].drop_attrs()), "'u' has no units"),
        (lambda d: d.assign(v=d['v'].assign_attrs(units='K')), "'v' has units 'K'"),
        (lambda d: d.isel(lat=[0, 1, 3, 4, 8]), "'lat' has uneven steps, 0.5 to 2"),
        (lambda d: d.isel(lon=[0, 1, 2, 4, 7, 11]), "'lon' has uneven steps"),
        (lambda d: d.isel(lat=[0, 1]), "'lat' has 2 values"),
        (lambda d: d.drop_vars(['lat', 'lon']), 'not evenly spaced'),
        (lambda d: d.drop_vars(['lat', 'lon']).assign_coords(lat=(('lat', 'lon'), np.ones((61, 71)))), 'not evenly'),
    ],
)
def test_mistakes_are_told_in_a_line(change, message):
    winds, _ = rotation(**REGION)
    with pytest.raises(UserError, match=message):
        vorticity_divergence(change(winds))


def test_global_mistakes():
    winds, _ = rotation(LATITUDES['Gaussian'], around(36))
    with pytest.raises(UserError, match='missing values on a global grid'):
        vorticity_divergence(winds.assign(u=winds['u'].where(winds['lat'] > 0)))
    beside_a_missing_time = (winds['time'] == winds['time'][1]) & (winds['lon'] != 0)
    with pytest.raises(UserError, match='missing values on a global grid'):
        vorticity_divergence(winds.assign(u=winds['u'].where(beside_a_missing_time)))
    with pytest.raises(UserError, match='uneven steps'):
        vorticity_divergence(winds.isel(lat=slice(2, None)))
    winds, _ = rotation(LATITUDES['both poles'], np.arange(0, 361, 5.0))
    with pytest.raises(UserError, match='repeat'):
        vorticity_divergence(winds)


def test_agreement_with_an_independent_tool(shared_data):
    """Its fields are differences, zero at the poles: ours are within 2 %, harmonics see more in the short waves."""
    with xr.open_dataset(shared_data / 'wind_vorticity_divergence_2.5deg.nc') as data:
        data = data.load()
    lat, lon = data['lat'].values.astype(float), data['lon'].values.astype(float)
    for time in range(2):
        u, v = (data[name].values[time].astype(float) for name in 'uv')
        near = wind.sphere(lat, lon, True)(u, v)
        exact = wind.by_harmonics(u, v, 'both poles', True, False)
        for name, differences, harmonics in zip(('vor', 'div'), near, exact, strict=True):
            rows = np.abs(lat) <= 60
            truth = data[name].values[time][rows]
            error = np.sqrt(np.mean((differences[rows] - truth) ** 2) / np.mean(truth**2))
            assert error < (0.01 if name == 'vor' else 0.02)
            assert np.corrcoef(harmonics[rows].ravel(), truth.ravel())[0, 1] > (0.995 if name == 'vor' else 0.965)


def test_real_global_winds(shared_data):
    """The global means of both are zero, by Stokes and Gauss; vorticity has the size of weather on one degree."""
    with xr.open_dataset(shared_data / 'gfs_wind10m_1deg_20181006-20181016.nc') as data:
        winds = data[['u10', 'v10']].isel(time=slice(0, 2)).load()
    result = vorticity_divergence(winds, 'u10', 'v10')
    weight = np.cos(np.deg2rad(winds['lat']))
    for array in result.data_vars.values():
        assert np.isfinite(array).all()
        spread = float(np.sqrt((array**2).weighted(weight).mean()))
        assert 1e-5 < spread < 5e-5
        assert abs(float(array.weighted(weight).mean())) < 1e-3 * spread


@pytest.mark.parametrize(
    ('lat', 'lon', 'allowed'),
    [
        (np.arange(40, 50.0), np.arange(8.0), True),
        (np.rad2deg(np.arcsin(roots_legendre(16)[0])), np.arange(32) * 11.25, True),  # Gaussian and global
        (np.rad2deg(np.arcsin(roots_legendre(16)[0])), np.arange(31) * 11.25, False),
        (np.array([40, 41, 42.1, 43.3]), np.arange(8.0), False),
        (np.arange(40, 42.0), np.arange(8.0), False),
    ],
)
def test_grids_that_allow_vorticity(lat, lon, allowed):
    grid = xr.Dataset({'mask': (('lat', 'lon'), np.ones((lat.size, lon.size)))}, {'lat': lat, 'lon': lon})
    assert wind.allows_vorticity(grid) == allowed
