"""The idealised climate over mountains: its fields against what they stand for."""

import numpy as np
import pytest
import xarray as xr
from scipy import ndimage

from data_prep.simulators import mountain_climate, mountains, terrain
from data_prep.simulators.matern import Matern
from downscale_jax.fields.datasets.canonical import canonical

FIELDS = ('t2m', 'tp', 'u10', 'v10', 'sp')
BLOCK = 10


@pytest.fixture(scope='module')
def years():
    return mountains.simulate(seed=3, rows=60, columns=90, months=96)


@pytest.fixture(scope='module')
def noiseless(years):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {'TEXTURE': (0, 0), 'SHOWERS': (0, 0), 'STORMS': (99, 0), 'GUSTS': (0, 0)}.items():
            patch.setattr(mountain_climate, name, value)
        return mountains.simulate(seed=3, rows=60, columns=90, months=24)


def within_blocks(values):
    """What a field [..., H, W] has beyond its means over blocks."""
    *lead, h, w = values.shape
    blocks = values.astype(float).reshape(*lead, h // BLOCK, BLOCK, w // BLOCK, BLOCK)
    return (blocks - blocks.mean((-3, -1), keepdims=True)).reshape(values.shape)


def anomalies(field):
    """[year, month, H, W] less the mean of each calendar month."""
    values = field.values.astype(float).reshape(-1, 12, *field.shape[1:])
    return values - values.mean(0)


def test_same_seed_same_bits():
    one, longer, other = (mountains.simulate(seed, 20, 30, months) for seed, months in ((3, 3), (3, 5), (4, 3)))
    xr.testing.assert_identical(one, longer.isel(time=slice(3)))
    for name in (*FIELDS, 'topography'):
        assert not np.array_equal(one[name], other[name])


def test_attributes(years):
    units = {'t2m': 'K', 'tp': 'mm day-1', 'u10': 'm s-1', 'v10': 'm s-1', 'sp': 'Pa', 'topography': 'm', 'land': '1'}
    assert {name: years[name].attrs['units'] for name in years.data_vars} == units
    assert all('standard_name' in years[name].attrs for name in years.data_vars)
    assert all(years[name].dtype == np.float32 for name in (*FIELDS, 'topography'))
    assert 'IDEALISED' in years.attrs['title']
    assert years.attrs['seed'] == 3
    assert years.attrs['Conventions'] == 'CF-1.8'
    assert years['time'].values[[0, -1]].astype('datetime64[D]').tolist() == [
        np.datetime64('1981-01-01').item(),
        np.datetime64('1988-12-01').item(),
    ]
    np.testing.assert_allclose(np.diff(years['lat']), 0.1)
    np.testing.assert_allclose(np.diff(years['lon']), 0.1)
    fields = canonical(years, FIELDS)
    assert fields['tp'].dims == ('time', 'lat', 'lon')
    assert bool(fields['mask'].all())


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_relief_has_a_sea_and_mountains(seed):
    height = terrain.draw_relief(np.random.default_rng(seed), 60, 90)
    land = height > 0
    assert height.min() == 0
    assert height[land].min() >= 1
    assert land.mean() == pytest.approx(1 - terrain.SEA, abs=0.01)
    assert 4000 < height.max() < 9000
    assert height[:, :30].mean() > 3 * height[:, 60:].mean()


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_rivers_reach_the_sea(seed):
    """Of random fractal ground a ninth of the cells are pits: here hardly any is."""
    height = terrain.draw_relief(np.random.default_rng(seed), 60, 90)
    lowest = ndimage.minimum_filter(height, footprint=[[1, 1, 1], [1, 0, 1], [1, 1, 1]], mode='constant', cval=1e9)
    assert (height < lowest)[height > 10].mean() < 0.02


def test_bounds(years):
    assert years['t2m'].min() > 215
    assert years['t2m'].max() < 315
    assert years['tp'].min() == 0
    assert 10 < years['tp'].max() < 120
    assert np.hypot(years['u10'], years['v10']).max() < 25
    assert years['sp'].min() > 35000
    assert years['sp'].max() < 105000


def test_rain_is_skewed(years):
    rain = years['tp'].values
    assert 0.03 < (rain < 0.1).mean() < 0.4
    assert rain.mean() > 1.2 * np.median(rain)
    assert np.quantile(rain, 0.999) > 5 * rain.mean()


@pytest.mark.parametrize(('name', 'share'), [('t2m', 0.6), ('sp', 0.95)])
def test_height_tells_the_fine_structure(years, name, share):
    fine = within_blocks(years[name].values)
    height = np.broadcast_to(within_blocks(years['topography'].values), fine.shape)
    slope = (fine * height).sum((1, 2)) / (height**2).sum((1, 2))
    assert ((fine - slope[:, None, None] * height) ** 2).mean() < (1 - share) * (fine**2).mean()
    assert (slope < 0).all()
    if name == 't2m':
        january, july = slope[::12].mean(), slope[6::12].mean()
        assert -0.0075 < july < january < -0.002


def test_height_alone_does_not_tell_rain_and_wind(years):
    """They depend on the month's wind too: what calendar months have in common is a part of their fine structure."""
    for name in ('tp', 'u10', 'v10'):
        fine = within_blocks(years[name].values)
        common = fine.reshape(-1, 12, *fine.shape[1:]).mean(0)
        assert 0.15 < (common**2).mean() / (fine**2).mean() < 0.9


@pytest.mark.parametrize(
    ('name', 'least', 'most'), [('t2m', 0.005, 0.15), ('tp', 0.15, 0.6), ('u10', 0.05, 0.4), ('v10', 0.05, 0.4)]
)
def test_noise_of_a_few_cells_remains(years, noiseless, name, least, most):
    truth = years[name].values[:24]
    noise = within_blocks(truth - noiseless[name].values)
    assert least < (noise**2).mean() / (within_blocks(truth) ** 2).mean() < most
    likeness = [(noise[..., lag:] * noise[..., :-lag]).mean() / (noise**2).mean() for lag in (1, 5)]
    assert 0.5 < likeness[0] < 0.95
    assert likeness[1] < 0.3


def test_windward_slopes_are_wet():
    """A ridge from south to north, winds from the west: rain before the crest, none of it behind."""
    at = np.arange(61)
    ridge = np.broadcast_to(2000 * np.exp(-(((at - 30) / 4) ** 2)), (20, 61)).astype(np.float32)
    ground = terrain.Ground(ridge + 1, np.array([11.0, 10.0]))
    east, west = ground.exposure[[0, terrain.DIRECTIONS // 2], 10]
    assert east[26:30].min() > 1.3
    assert east[34:38].max() < 0.9
    np.testing.assert_allclose(east, west[::-1], atol=1e-3)
    np.testing.assert_allclose(ground.exposure[terrain.DIRECTIONS // 4], 1, atol=1e-3)  # along the ridge
    np.testing.assert_allclose(east[:5], 1, atol=0.1)


def test_winds_turn_along_valleys():
    """Of a valley from south to north only the wind along it is left whole."""
    at = np.arange(60)
    valley = np.broadcast_to(2000 - 1500 * np.exp(-(((at - 30) / 3) ** 2)), (40, 60)).astype(np.float32)
    across = terrain.Ground(valley, np.array([11.0, 10.0])).across[:, 20]
    assert np.abs(across[1, 27:34]).min() > 0.7
    assert np.abs(across[0]).max() < 0.05
    assert np.abs(across[1, :10]).max() < 0.05


def test_seasons(years):
    monthly = years.groupby('time.month').mean().mean(('lat', 'lon'))
    assert monthly['t2m'].values.argmin() in (0, 1)
    assert monthly['t2m'].values.argmax() in (6, 7)
    assert 10 < float(monthly['t2m'].max() - monthly['t2m'].min()) < 30
    assert monthly['tp'].sel(month=7) > 2 * monthly['tp'].sel(month=1)
    assert monthly['v10'].sel(month=1) < 0 < monthly['v10'].sel(month=7)
    assert monthly['sp'].sel(month=1) > monthly['sp'].sel(month=7)
    land, sea = (years['t2m'].where(years['land'] == value).std('time').mean() for value in (1, 0))
    assert land > 1.2 * sea


def test_summers_that_are_hot_are_dry():
    years = mountains.simulate(seed=1, rows=20, columns=30, months=1200)
    years['t2m'] = years['t2m'] - mountain_climate.TREND / 12 * xr.DataArray(np.arange(1200), dims='time')
    warm, wet = (anomalies(years[name])[:, 5:8].reshape(300, -1) for name in ('t2m', 'tp'))
    assert -0.7 < np.mean((warm * wet).mean(0) / (warm.std(0) * wet.std(0))) < -0.2
    both = (warm > np.quantile(warm, 0.9, axis=0)) & (wet < np.quantile(wet, 0.1, axis=0))
    assert both.mean() > 0.015  # 0.01 by chance


def test_months_are_alike_and_years_differ(years):
    months = anomalies(years['t2m']).reshape(96, -1)
    assert 0.5 < months.std() < 2
    assert 0.15 < (months[1:] * months[:-1]).mean() / months.var() < 0.7
    assert 0.1 < months.reshape(8, 12, -1).mean((1, 2)).std() < 1


@pytest.mark.parametrize(('smoothness', 'reach'), [(1.0, 8), (2.5, 20)])
def test_matern(smoothness, reach):
    """Unit variance, a tenth of it in common at `reach` cells, `keep` of it after a step, the slope of differences."""
    rng = np.random.default_rng(0)
    field = Matern(rng, (200, 240), reach, smoothness, 0.6)
    before = []
    after = []
    slopes = []
    for _ in range(20):
        before.append(field.values)
        slopes.append(np.diff(field.values, axis=0))
        field.step(rng)
        after.append(field.values)
    one, two = np.stack(before), np.stack(after)
    assert one.var() == pytest.approx(1, abs=0.1)
    assert (one[:, reach:] * one[:, :-reach]).mean() == pytest.approx(0.12, abs=0.08)
    assert (one[..., reach:] * one[..., :-reach]).mean() == pytest.approx(0.12, abs=0.08)
    assert (one * two).mean() / one.var() == pytest.approx(0.6, abs=0.06)
    if smoothness > 2:
        assert np.std(slopes) == pytest.approx(field.slope, rel=0.1)


WORLD = mountains.World(3, 40, 60)


def test_the_months_from_the_start_on_are_those_of_the_simulation():
    simulated = mountains.simulate(3, 40, 60, months=5)
    found = dict(WORLD.months(-2, 6))
    assert sorted(found) == [-2, -1, 0, 1, 2, 3]
    for month in range(4):
        for name, values in found[month].items():
            np.testing.assert_array_equal(simulated[name].values[month], values.astype('f4'))
    assert not np.array_equal(found[-1]['t2m'], found[0]['t2m'])


def test_a_month_is_that_of_its_own_weather():
    _, present, _ = np.random.default_rng(3).spawn(3)
    weather = mountain_climate.Weather(present, WORLD.shape, WORLD.cells)
    for _ in range(3):
        weather.step(present)
    expected, found = mountain_climate.climate(3, WORLD.lat, WORLD.ground, weather), dict(WORLD.months(0, 5))[3]
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(('first', 'count'), [(-5, 2), (3, 2)])
def test_a_part_of_the_months_is_that_of_a_longer_one(first, count):
    whole, part = (dict(WORLD.months(*asked)) for asked in ((-5, 10), (first, count)))
    assert sorted(part) == [*range(first, first + count)]
    for month, fields in part.items():
        np.testing.assert_array_equal(fields['tp'], whole[month]['tp'])


def test_the_past_hangs_together_with_the_present():
    """Without its season and trend the last month of the past is as near to the first of the present as others are."""
    series = dict(WORLD.months(-240, 480))
    fields = np.stack([series[month]['t2m'].mean() for month in range(-240, 240)])
    anomaly = fields - mountain_climate.TREND * np.arange(480) / 12
    anomaly -= np.tile(np.stack([anomaly[m::12].mean() for m in range(12)]), 40)
    steps = np.abs(np.diff(anomaly))
    assert steps[239] < np.quantile(steps, 0.99)
    halves = [np.corrcoef(part[:-1], part[1:])[0, 1] for part in (anomaly[:240], anomaly[240:])]
    assert halves[0] == pytest.approx(halves[1], abs=0.2)
    # colder by what the trend makes of twenty years, as far as the weather allows
    assert fields[240:].mean() - fields[:240].mean() == pytest.approx(20 * mountain_climate.TREND, abs=0.35)
