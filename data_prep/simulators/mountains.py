"""Idealised climate over mountains: the monthly fields that DPDM learns from where no reanalysis is given.

Not a climate model: smooth random weather with seasons, and on it what relief makes of it (a lapse rate, cold pools,
rain on windward slopes, winds along valleys), and on that noise of a few cells that nothing else tells.
Arrays are (y, x) from the south-west; distances are those of the middle latitude throughout.
"""

from collections.abc import Iterator

import numpy as np
import xarray as xr
from scipy import fft, ndimage, sparse
from scipy.sparse import csgraph

CELL = 0.1  # degree
CORNER = (25.0, 100.0)  # degree north and east, of the south-western cell
START = '1981-01'
KM = 111.2  # a degree of latitude

# Relief.
SEA = 0.24  # share of the domain
HEIGHT = 5600.0  # m, exceeded by one cell of land in a thousand
EROSION = 40, 0.12  # steps; cells / sqrt(cells drained), how fast a river cuts, a step
RIVER = 0.45  # power of the drained area (Whipple and Tucker 1999: about 0.5)

# Temperature.
SEA_LEVEL = 297.0, 0.75  # K at the south, K a degree north
AMPLITUDE = 6.0, 0.5  # K of the yearly cycle at the south, K a degree north
LAPSE = 5.4, -0.8, -0.25  # K km-1: mean, more in winter, more in a month wetter by a standard deviation
WEATHER = 1.1, 0.3  # K, standard deviation of a month's anomaly, more in winter
SLOW = 0.45  # K, of anomalies that last for years
TREND = 0.02  # K a year
POOL = 4.0, 400.0  # K and m: how cold the air is in a calm winter in a valley that deep
TEXTURE = 0.25, 0.35  # K of noise, more in rough terrain

# Rain.
DIRECTIONS = 16  # winds for which the exposure of slopes is computed
DRIFT = 20.0  # km that rain drifts while it forms, and again while it falls
GAIN = 110.0  # relative, by slope of the ascending air
SPREAD = 2.5  # concentration (von Mises) of a month's rainy winds about their mean
SCALE_HEIGHT = 3500.0  # m of the moisture: plateaus are dry
SHOWERS = 0.08, 0.12  # standard deviation of the logarithm, more in summer
STORMS = 1.6, 0.4  # threshold of the noise where one storm leaves its mark, size of the mark

# Wind.
EDDIES = 2.0  # m s-1, standard deviation of the monthly anomalies
CHANNEL = 0.8  # of the flow across a valley that turns away
CREST = 0.45, 250.0  # relative speed-up and the height in m over the surroundings
SLOPE_WIND = 1.2  # m s-1 down a steep slope in winter, up it in summer
GUSTS = 0.18, 0.22  # m s-1 of noise, more in rough terrain


def simulate(seed: int = 0, rows: int = 160, columns: int = 240, months: int = 240) -> xr.Dataset:
    """Idealised monthly means on cells of 0.1 degree, from 25 N 100 E and January 1981; same arguments, same bits.

    Returns (time, lat, lon) float32 `t2m` [K], `tp` [mm day-1], `u10`, `v10` [m s-1], `sp` [Pa], and (lat, lon)
    `topography` [m], 0 on the sea, and `land` int8, 1 on land; all fields are everywhere. Relief is a river network's,
    its features as large as the domain allows. A longer series begins with the shorter one.
    Left out: dynamics, ice and snow, lakes, the daily cycle, real places, real weather.
    """
    world = World(seed, rows, columns)
    fields = {name: np.empty((months, rows, columns), np.float32) for name in ATTRIBUTES}
    for month, found in world.months(0, months):
        for name, values in found.items():
            fields[name][month] = values
    return _dataset(fields, world.topography, world.lat, world.lon, seed)


class World:
    """A domain and its relief, whose weather goes on before and after the months that `simulate` gives."""

    def __init__(self, seed: int, rows: int, columns: int):
        self.shape, self.seed = (rows, columns), seed
        self.lat, self.lon = (
            corner + CELL * (np.arange(n) + 0.5) for corner, n in zip(CORNER, self.shape, strict=True)
        )
        self.cells = KM * CELL * np.array([1.0, np.cos(np.deg2rad(self.lat.mean()))])
        self.topography = draw_relief(self._generators()[0], rows, columns)
        self.ground = Ground(self.topography, self.cells)

    def months(self, first: int, count: int) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """(month from START, its fields [H, W]) of `count` months from `first`, in no order, whatever else is asked.

        The past, months below 0, is the weather run backwards with other random numbers: Gaussian fields that keep a
        constant share of themselves have the same law in either direction. The trend goes on.
        """
        end = first + count
        for step, months in ((1, range(end)), (-1, range(0, first - 1, -1))):
            asked = [month for month in months if first <= month < end and (month < 0) == (step < 0)]
            if not asked:
                continue
            _, present, past = self._generators()
            weather = Weather(present, self.shape, self.cells)  # of month 0
            for month in months:
                if month in asked:
                    yield month, climate(month, self.lat, self.ground, weather)
                weather.step(past if step < 0 else present)

    def _generators(self) -> list[np.random.Generator]:
        """Of the relief, of the weather from START on, of the weather before."""
        return np.random.default_rng(self.seed).spawn(3)


class Matern:
    """A random field (y, x) of unit variance that keeps `keep` of itself a month: `values`, renewed by `step`.

    Covariance of Matern's kind with exponent `smoothness`, falling to about 0.1 at `reach` cells (Lindgren et al. 2011,
    J. R. Stat. Soc. B 73, 423-498). `slope`: its rms derivative along an axis, per cell, of smoothness over 1.
    """

    def __init__(self, rng, shape, reach, smoothness, keep=0.0):
        self.shape, self.keep = shape, np.float32(keep)
        # wider than the field, since it is periodic there
        padded = [fft.next_fast_len(int(n + min(1.3 * reach, n) + 4), real=True) for n in shape]
        k_y, k_x = 2 * np.pi * fft.fftfreq(padded[0])[:, None], 2 * np.pi * fft.rfftfreq(padded[1])
        power = (8 * smoothness / reach**2 + k_y**2 + k_x**2) ** -(smoothness + 1)
        power[0, 0] = 0
        twice = np.where((k_x > 0) & (k_x < np.pi), 2, 1)  # columns that stand for both signs
        total = (power * twice).sum()
        self.slope = float(np.sqrt((power * twice * (k_y**2 + k_x**2)).sum() / total / 2))
        self.padded = padded
        self.amplitude = (np.sqrt(power / total) * np.sqrt(padded[0] * padded[1])).astype(np.float32)
        self.values = self._draw(rng)

    def step(self, rng: np.random.Generator) -> None:
        """A month on."""
        self.values = self.keep * self.values + np.sqrt(1 - self.keep**2) * self._draw(rng)

    def _draw(self, rng):
        white = fft.rfft2(rng.standard_normal(self.padded, np.float32))
        return fft.irfft2(self.amplitude * white, self.padded)[: self.shape[0], : self.shape[1]]


def draw_relief(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Heights [m], (y, x) float32: a plateau in the west, belts of mountains, plains, a ragged coast in the south-east.

    The sea is 0, land 1 or more. Uplift in belts, cut by rivers (`_erode`) until the two nearly balance.
    """
    shape, size = (rows, columns), min(rows, columns)
    y, x = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing='ij')
    ragged, swell, belts, along, rough = (
        Matern(rng, shape, reach * size, smoothness).values
        for reach, smoothness in ((0.5, 0.9), (0.7, 2.0), (0.45, 2.0), (0.4, 1.5), (0.12, 0.6))
    )
    continent = 0.5 * y - 0.9 * x + 0.16 * ragged
    land = continent > np.quantile(continent, SEA)
    inland = np.clip(continent - np.quantile(continent, SEA), 0, None)
    plateau = 1 / (1 + np.exp((x - 0.33 - 0.10 * swell - 0.12 * y) / 0.05))
    # a belt along the lines where a smooth field is zero, stronger here, broken there
    belt = np.exp(-((belts / 0.28) ** 2)) * np.clip(0.55 + 0.5 * along, 0, 1.3)
    uplift = (0.05 + 0.9 * plateau + 1.2 * belt) * np.minimum(inland / 0.15, 1) * np.exp(0.35 * rough)
    height = _erode(land, ndimage.gaussian_filter(uplift, 1.0))
    height = np.where(land, ndimage.gaussian_filter(height, 0.6), 0)
    height = np.maximum(height * HEIGHT / np.quantile(height[land], 0.999), 1)
    return np.where(land, height, 0).astype(np.float32)


def _erode(land: np.ndarray, uplift: np.ndarray) -> np.ndarray:
    """Heights in the unit of `uplift`, (y, x): dh/dt = uplift - K A^m dh/dx, the law of streams, implicit in time.

    Braun and Willett (2013, Geomorphology 180-181, 170-179). Water leaves pits over their lowest rim: it runs along the
    minimum spanning tree of neighbours whose edges are as long as the higher one's height.
    """
    steps, rate = EROSION
    height = uplift * land
    one, other = _neighbours(land.shape)
    nodes = land.size
    root = np.full((~land).sum(), nodes)
    sea = np.flatnonzero(~land)
    for _ in range(steps):
        flat = height.ravel()
        # the lower of two neighbours on the way down is preferred; 1, since csgraph takes 0 for no edge
        longest = 1 + np.maximum(flat[one], flat[other]) + 1e-4 * np.minimum(flat[one], flat[other])
        edges = sparse.coo_array(
            (np.append(longest, np.full(sea.size, 0.5)), (np.append(one, root), np.append(other, sea))),
            (nodes + 1,) * 2,
        )
        tree = csgraph.minimum_spanning_tree(edges.tocsr())
        order, parents = csgraph.breadth_first_order(tree, nodes, directed=False)
        distance = _distances(parents[:nodes], land.shape)
        drained = np.ones(nodes + 1).tolist()
        parents = parents.tolist()
        order = order.tolist()
        for node in reversed(order[1:]):
            drained[parents[node]] += drained[node]
        cut = (rate * np.array(drained[:nodes]) ** RIVER / distance).tolist()
        risen = (flat + uplift.ravel()).tolist()
        fresh = [0.0] * (nodes + 1)
        for node, on_land in zip(order[1:], land.ravel()[order[1:]].tolist(), strict=True):
            if on_land:
                fresh[node] = (risen[node] + cut[node] * fresh[parents[node]]) / (1 + cut[node])
        height = np.array(fresh[:nodes]).reshape(land.shape)
    return height


def _neighbours(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Flat indices of all pairs of cells that share a side or a corner."""
    index = np.arange(shape[0] * shape[1]).reshape(shape)
    pairs = (
        (index[:, :-1], index[:, 1:]),
        (index[:-1], index[1:]),
        (index[:-1, :-1], index[1:, 1:]),
        (index[1:, :-1], index[:-1, 1:]),
    )
    one, other = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    return one, other


def _distances(parents: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """In cells, from each cell to that it drains to: 1 or the root of 2."""
    step = np.abs(parents - np.arange(parents.size))
    return np.where((step == 1) | (step == shape[1]), 1.0, np.sqrt(2))


class Ground:
    """What the relief means to the air, all (y, x).

    `height` in km, that of the wider surroundings `plateau`, `crest` in m over the closer surroundings, `rough` 0 to 1,
    `land` 0 to 1 with a coast of two cells, `inland` 0 at the coast to 1 far from it, `exposure` of slopes to winds
    from all sides [direction, y, x], `slope` [2, y, x] y and x components in m/m, `across` [2, y, x] the unit vector
    across valleys, scaled by how much of the wind there is turned along them.
    """

    def __init__(self, topography, cells):
        self.height, self.plateau = topography / 1000, ndimage.gaussian_filter(topography, 5.0) / 1000
        near = ndimage.gaussian_filter(topography, 3.0)
        self.crest = topography - near
        self.rough = np.minimum(np.sqrt(ndimage.gaussian_filter(self.crest**2, 3.0)) / 300, 1)
        sea = topography == 0
        self.land = ndimage.gaussian_filter((~sea).astype(np.float32), 0.7)
        self.inland = (1 - np.exp(-ndimage.distance_transform_edt(~sea, cells) / 500)).astype(np.float32)
        self.exposure = _exposure(topography, cells)
        slope = np.gradient(ndimage.gaussian_filter(topography, 1.0), *(1000 * cells))
        self.slope = np.stack(slope).astype(np.float32)
        self.across = _across(self.slope)


def _across(slope: np.ndarray) -> np.ndarray:
    """[2, y, x]: the direction along which the relief changes most; its length: how clear and how steep that is."""
    yy, xx, yx = (ndimage.gaussian_filter(a * b, 1.5) for a, b in (slope[[0, 0]], slope[[1, 1]], slope))
    anisotropy = np.hypot(xx - yy, 2 * yx) / np.maximum(xx + yy, 1e-12)
    angle = np.arctan2(2 * yx, xx - yy) / 2
    steep = np.minimum(np.sqrt(xx + yy) / 0.012, 1)
    return np.sqrt(anisotropy * steep) * np.stack([np.sin(angle), np.cos(angle)])


def _exposure(topography: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """[DIRECTIONS, y, x]: rain relative to that of flat land, by the direction the wind blows to, from east leftwards.

    The linear model of Smith and Barstad (2004, J. Atmos. Sci. 61, 1377-1391) without waves: what condenses on the
    slope drifts on twice, i k.e h / (1 + i k.e DRIFT)^2, and what sinks behind the crest dries.
    """
    pad = int(np.ceil(5 * DRIFT / cells.min()))
    padded = np.pad(topography, pad, mode='edge')
    # edges that differ would be cliffs, the domain is periodic here: so it is mirrored
    spectrum = fft.rfft2(np.pad(padded, [(0, n) for n in padded.shape], mode='symmetric'))
    shape = 2 * padded.shape[0], 2 * padded.shape[1]
    k_y, k_x = 2 * np.pi * fft.fftfreq(shape[0], cells[0])[:, None], 2 * np.pi * fft.rfftfreq(shape[1], cells[1])
    result = np.empty((DIRECTIONS, *topography.shape), np.float32)
    for number, angle in enumerate(_angles()):
        along = 1j * (k_x * np.cos(angle) + k_y * np.sin(angle))
        lifted = fft.irfft2(spectrum * along / (1 + DRIFT * along) ** 2, shape)[pad:, pad:]
        gain = 1 + GAIN * lifted[: topography.shape[0], : topography.shape[1]] / 1000
        result[number] = np.clip(gain, 0.15, 6)
    return result


def _angles() -> np.ndarray:
    return 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS


class Weather:
    """A month's random fields: large ones that linger, small ones drawn anew."""

    def __init__(self, rng, shape, cells):
        self.cells, far = cells, 1500 / cells.mean()
        self.warmth, self.moisture = Matern(rng, shape, far, 2.0, 0.35), Matern(rng, shape, 0.6 * far, 2.0, 0.25)
        self.slow = Matern(rng, shape, 1.5 * far, 2.0, 0.96)  # a memory of two years
        self.stream = Matern(rng, shape, far, 2.5, 0.3)
        self.texture, self.showers, self.storms = (Matern(rng, shape, reach, 1.0) for reach in (5, 5, 4))
        self.gusts = Matern(rng, shape, 7, 2.0)

    def step(self, rng: np.random.Generator) -> None:
        """A month on."""
        for field in vars(self).values():
            if isinstance(field, Matern):
                field.step(rng)

    def wind(self, field: Matern) -> np.ndarray:
        """[2, y, x] y and x components of a flow without divergence, of unit variance each."""
        d_y, d_x = np.gradient(field.values / field.slope)
        return np.stack([d_x, -d_y])


def climate(month: int, lat: np.ndarray, ground: Ground, weather: Weather) -> dict[str, np.ndarray]:
    """The fields of one month, counted from a January; [H, W] each."""
    winter = float(np.cos(2 * np.pi * (month - 0.2) / 12))  # 1 in mid-January, -1 in July
    north = (lat - CORNER[0])[:, None].astype(np.float32)
    free = _free_wind(winter, north, weather)
    speed = np.hypot(*free)
    rain = _rain(winter, north, free, speed, ground, weather)
    t2m = _temperature(month, winter, north, speed, ground, weather)
    v10, u10 = _wind(winter, free, ground, weather)
    return {'t2m': t2m, 'tp': rain, 'u10': u10, 'v10': v10, 'sp': _pressure(winter, north, t2m, ground, weather)}


def _free_wind(winter, north, weather):
    """[2, y, x] (v, u) over the hills: the monsoon, from the north-west in winter and the south in summer."""
    mean = np.stack(np.broadcast_arrays(0.3 - 2.8 * winter + 0 * north, 1.5 + (0.07 + 0.08 * winter) * north))
    return mean + EDDIES * weather.wind(weather.stream)


def _temperature(month, winter, north, speed, ground, weather):
    (south, by_latitude), (range_south, range_north) = SEA_LEVEL, AMPLITUDE
    yearly = range_south + range_north * north
    late = float(np.cos(2 * np.pi * (month - 1.7) / 12))  # the sea lags by a month and a half
    season = ground.land * (0.85 + 0.35 * ground.inland) * winter + (1 - ground.land) * 0.6 * late
    anomaly = (WEATHER[0] + WEATHER[1] * winter) * (
        0.8 * weather.warmth.values - 0.7 * max(-winter, 0) * weather.moisture.values  # dry soils are hot in summer
    )
    anomaly = anomaly * (0.6 + 0.4 * ground.land) + SLOW * weather.slow.values + TREND * month / 12
    lapse = LAPSE[0] + LAPSE[1] * winter + LAPSE[2] * weather.moisture.values
    depth = np.clip(-ground.crest / POOL[1], 0, 1.5)
    pool = POOL[0] * max(winter, 0) * depth * np.exp(-speed / 8)
    noise = (TEXTURE[0] + TEXTURE[1] * ground.rough) * (0.3 + 0.7 * ground.land) * weather.texture.values
    return south - by_latitude * north - yearly * season + anomaly - lapse * ground.height - pool + noise


def _rain(winter, north, free, speed, ground, weather):
    summer = (1 - winter) / 2
    wet = summer**1.5 * (6.0 - 0.15 * north) * (0.7 + 0.3 * ground.land) * (1 - 0.3 * ground.inland)
    dry = (1 - summer) * np.maximum(2.2 - 0.12 * north, 0.3) * (1 - 0.8 * ground.inland)
    amount = (wet + dry) * np.exp(0.5 * weather.moisture.values - 0.2 * weather.slow.values)
    amount = amount * np.exp(-1000 * ground.plateau / SCALE_HEIGHT)
    # a month's winds blow from many sides
    ways = np.stack([np.sin(_angles()), np.cos(_angles())]).astype(np.float32)[..., None, None]
    heading = free / np.maximum(speed, 0.5)
    toward = ways[0] * heading[0] + ways[1] * heading[1]
    share = np.exp(SPREAD * (toward - 1))
    exposed = (share * ground.exposure).sum(0) / share.sum(0)
    amount = amount * (1 + (exposed - 1) * np.tanh(speed / 3))
    spread = SHOWERS[0] + SHOWERS[1] * summer
    threshold, mark = STORMS
    storms = mark * summer * np.maximum(weather.storms.values - threshold, 0)
    amount = amount * (np.exp(spread * weather.showers.values - spread**2 / 2) + storms)
    return np.maximum(amount**2 / (amount + 0.3) - 0.01, 0)  # light rain dries before it falls


def _wind(winter, free, ground, weather):
    """[2, y, x] (v, u) at 10 m."""
    friction = 0.85 - 0.37 * ground.land
    lifted = 1 + CREST[0] * np.tanh(ground.crest / CREST[1]) + 0.12 * ground.height
    channelled = free - CHANNEL * ground.across * (ground.across * free).sum(0)
    slope = SLOPE_WIND * winter * np.tanh(ground.slope / 0.015)
    noise = (GUSTS[0] + GUSTS[1] * ground.rough) * weather.wind(weather.gusts)
    return channelled * friction * lifted - slope + noise


def _pressure(winter, north, t2m, ground, weather):
    """The sea-level pressure carried up to the ground by the hydrostatic balance under a lapse rate of 6 K km-1."""
    low = 9.80665 / (287.05 * 0.006)
    metres = 1000 * float(weather.cells.mean())
    # in geostrophic balance with the wind
    eddies = -1.2 * 8.5e-5 * EDDIES / weather.stream.slope * metres * weather.stream.values
    sea_level = 101250 + winter * (500 + 700 * ground.inland + 15 * north) + eddies
    return sea_level * (t2m / (t2m + 6 * ground.height)) ** low


ATTRIBUTES = {
    't2m': {'units': 'K', 'standard_name': 'air_temperature', 'long_name': 'temperature at 2 m'},
    'tp': {'units': 'mm day-1', 'standard_name': 'lwe_precipitation_rate', 'long_name': 'precipitation'},
    'u10': {'units': 'm s-1', 'standard_name': 'eastward_wind', 'long_name': 'eastward wind at 10 m'},
    'v10': {'units': 'm s-1', 'standard_name': 'northward_wind', 'long_name': 'northward wind at 10 m'},
    'sp': {'units': 'Pa', 'standard_name': 'surface_air_pressure', 'long_name': 'pressure at the ground'},
}


def _dataset(fields, topography, lat, lon, seed):
    monthly = {'cell_methods': 'time: mean (interval: 1 month)'}
    variables: dict[str, tuple] = {
        name: (('time', 'lat', 'lon'), values, {**ATTRIBUTES[name], **monthly}) for name, values in fields.items()
    }
    variables['topography'] = (
        ('lat', 'lon'), topography, {'units': 'm', 'standard_name': 'surface_altitude', 'long_name': 'topography'}
    )  # fmt: skip
    land = {
        'units': '1',
        'standard_name': 'land_binary_mask',
        'flag_values': np.array([0, 1], np.int8),
        'flag_meanings': 'sea land',
    }
    variables['land'] = (('lat', 'lon'), (topography > 0).astype(np.int8), land)
    months = np.datetime64(START, 'M') + np.arange(len(fields['t2m']))
    return xr.Dataset(
        variables,
        {
            'time': ('time', months.astype('datetime64[ns]'), {'standard_name': 'time'}),
            'lat': ('lat', lat, {'units': 'degrees_north', 'standard_name': 'latitude'}),
            'lon': ('lon', lon, {'units': 'degrees_east', 'standard_name': 'longitude'}),
        },
        attrs={
            'Conventions': 'CF-1.8',
            'title': 'IDEALISED climate over mountains: no observation, no forecast',
            'source': 'downscale_jax data_prep.simulators.mountains.simulate: random weather over a relief of rivers',
            'seed': seed,
            'comment': 'Modelled: seasons, monthly anomalies, a trend, a lapse rate, cold pools, rain on windward '
            'slopes, winds along valleys, noise of a few cells. Not modelled: dynamics, snow, lakes, real places, real '
            'weather.',
        },
    )
