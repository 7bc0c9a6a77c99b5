"""Monthly temperature, rain, wind and pressure over a relief, from random weather."""

from copy import copy

import numpy as np

from data_prep.simulators.matern import Matern
from data_prep.simulators.terrain import Ground, wind_directions

SOUTH = 25.0  # degree north, where north-south gradients start

# Temperature.
SEA_LEVEL = 297.0, 0.75  # K at the south, K per degree north
AMPLITUDE = 6.0, 0.5  # K, of the annual cycle at the south, K per degree north
LAPSE = 5.4, -0.8, -0.25  # K km-1: mean, more in winter, more in a month wetter by a standard deviation
WEATHER = 1.1, 0.3  # K, standard deviation of a month's anomaly, more in winter
SLOW = 0.45  # K, of anomalies that last for years
TREND = 0.02  # K per year
POOL = 4.0, 400.0  # K and m: cooling in a calm winter, and depth of the valley at which it is reached
TEXTURE = 0.25, 0.35  # K of noise, more in rough terrain

# Rain.
SPREAD = 2.5  # concentration (von Mises) of a month's rainy winds about their mean
SCALE_HEIGHT = 3500.0  # m of the moisture: plateaus are dry
SHOWERS = 0.08, 0.12  # standard deviation of the logarithm, more in summer
STORMS = 1.6, 0.4  # threshold of the noise above which a single storm shows, and its amplitude

# Wind.
EDDIES = 2.0  # m s-1, standard deviation of the monthly anomalies
CHANNEL = 0.8  # fraction of the flow across a valley that is turned along it
CREST = 0.45, 250.0  # relative speed-up and the height in m over the surroundings
SLOPE_WIND = 1.2  # m s-1 down a steep slope in winter, up it in summer
GUSTS = 0.18, 0.22  # m s-1 of noise, more in rough terrain


class Weather:
    """Random fields of a month: large ones that persist, small ones that are independent."""

    def __init__(self, rng, shape, cells):
        self.cells, far = cells, 1500 / cells.mean()
        self.warmth, self.moisture = Matern(rng, shape, far, 2.0, 0.35), Matern(rng, shape, 0.6 * far, 2.0, 0.25)
        self.slow = Matern(rng, shape, 1.5 * far, 2.0, 0.96)  # a memory of two years
        self.stream = Matern(rng, shape, far, 2.5, 0.3)
        self.texture, self.showers, self.storms = (Matern(rng, shape, reach, 1.0) for reach in (5, 5, 4))
        self.gusts = Matern(rng, shape, 7, 2.0)

    def step(self, rng: np.random.Generator) -> None:
        """Advances by a month."""
        for field in vars(self).values():
            if isinstance(field, Matern):
                field.step(rng)

    def copy(self) -> 'Weather':
        """The weather of this month, which `step` on the other leaves as it is."""
        other = copy(self)
        for name, field in vars(self).items():
            setattr(other, name, copy(field))
        return other

    def wind(self, field: Matern) -> np.ndarray:
        """[2, y, x]: y and x components of a non-divergent flow, each of unit variance."""
        d_y, d_x = np.gradient(field.values / field.slope)
        return np.stack([d_x, -d_y])


def climate(month: int, lat: np.ndarray, ground: Ground, weather: Weather) -> dict[str, np.ndarray]:
    """{variable: [H, W]} of one month, counted from a January."""
    winter = float(np.cos(2 * np.pi * (month - 0.2) / 12))  # 1 in mid-January, -1 in July
    north = (lat - SOUTH)[:, None].astype(np.float32)
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
    # winds of a month come from many directions
    directions = np.stack([np.sin(wind_directions()), np.cos(wind_directions())]).astype(np.float32)[..., None, None]
    heading = free / np.maximum(speed, 0.5)
    toward = directions[0] * heading[0] + directions[1] * heading[1]
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
    """Sea-level pressure reduced to the ground in hydrostatic balance with a lapse rate of 6 K km-1."""
    low = 9.80665 / (287.05 * 0.006)
    metres = 1000 * float(weather.cells.mean())
    # in geostrophic balance with the wind
    eddies = -1.2 * 8.5e-5 * EDDIES / weather.stream.slope * metres * weather.stream.values
    sea_level = 101250 + winter * (500 + 700 * ground.inland + 15 * north) + eddies
    return sea_level * (t2m / (t2m + 6 * ground.height)) ** low
