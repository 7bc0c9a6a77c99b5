"""Idealised sea ice: the default data where no neXtSIM files are given.

A kinematic model, not a dynamical one. The velocity is that of plates that follow a random wind (`drift`), which
advects thickness and concentration (`advection`); this module opens, ridges, freezes and melts the ice.
Grid: y from the open ocean to the coast, x along the coast and periodic. Internal units are km and days.
"""

import numpy as np
import xarray as xr
from scipy import ndimage

from data_prep.simulators.advection import advect, blur
from data_prep.simulators.drift import FAULT_DAYS, PARTITIONS, STEP, Flow, Modes, Plates, deformation, drift

SPIN_UP = 30  # day, before the first state: the drift replaces the random initial texture

# Thermodynamics.
STEFAN = 5.7e-4  # m2 day-1 K-1: conductivity 2.03 W m-1 K-1 / (917 kg m-3 * 3.34e5 J kg-1)
SNOW = 0.35  # m of ice that insulates as much as the snow
FREEZING = -1.8  # degree C
AIR = (-14.0, 18.0, 35)  # mean and amplitude in degree C, coldest day of the year
MELT = (0.0145, 196, 54)  # m day-1 at its maximum, day of the year of the maximum, half the melt season in days
OCEAN = 0.0006  # m day-1 of basal melt: 2 W m-2
WARM_OCEAN = 0.05  # m day-1 of melt beyond the ice edge
LATERAL = 0.15  # day-1, concentration lost to waves and lateral melt beyond the ice edge
SIDES = 0.1  # fraction of the melt that reduces concentration instead of thickness (Hibler 1979: 0.5 for thin ice)
LEAD_CLOSING = 0.3  # m, new ice that closes open water (Hibler 1979 has 0.5)
SPREADING = 0.08  # day-1, rate at which rubble and broken floes of over 1 m spread into leads, also in summer
THIN = 0.1  # m, thickness at which open water freezes
KEEL = (2.8, 25.0)  # m and m day: thicker ice loses excess^2 / (25 m day) as keels melt and ridges collapse

# Without it old ridges and leads accumulate to white noise; structures of 20 km now last a week, new ones stay sharp.
MIXING = 1.4  # km2 day-1, diffusion by floes that mix within cells


def simulate(
    seed: int = 0, size: int = 256, states: int = 529, start: str = '2020-01-01', cell_km: float = 4.0
) -> xr.Dataset:
    """Idealised half-daily sea ice on `size` x `size` cells of `cell_km`, reproducible bit by bit.

    Returns (time, y, x) float32, NaN on land: `sit` [m], ice volume per area of the whole cell including open
    water, as in neXtSIM; `sic` [1]; `divergence` u_x + v_y and `shear` sqrt((u_x - v_y)^2 + (u_y + v_x)^2) [day-1], of
    the velocity in the half day before the time stamp, 0 where concentration is below 0.15. And `mask` (y, x) int8, 1
    on the sea. x and y in m; x is periodic.
    Not modelled: momentum and stress, ice classes within a cell, snow, ponds, tides, real geography and real weather.
    """
    rng = np.random.default_rng(seed)
    land = draw_land(rng, size, cell_km)
    flow = Flow(rng, land, cell_km)
    plates = [Plates(rng, size, cell_km, flow, age=i * FAULT_DAYS / PARTITIONS) for i in range(PARTITIONS)]
    climate = Climate(rng, land, cell_km)
    times = np.datetime64(start, 'ns') + np.arange(states) * np.timedelta64(int(STEP * 24), 'h')
    year_day = (times - times.astype('datetime64[Y]')) / np.timedelta64(1, 'D')
    ice = climate.first_ice(rng, plates, year_day[0])
    names = ('sit', 'sic', 'divergence', 'shear')
    fields = {name: np.full((states, size, size), np.nan, np.float32) for name in names}
    sea = ~land
    shore = ndimage.distance_transform_edt(land, return_distances=False, return_indices=True)
    for state in range(-round(SPIN_UP / STEP), states):
        day = year_day[max(state, 0)]
        u, v = drift(flow, plates, ice[1], land)
        # land is filled with the nearest sea cell: a drop to 0 would cause ripples along the coast
        ice = blur(ice[:, shore[0], shore[1]], MIXING * STEP / cell_km**2)
        ice = advect(ice, u * (STEP / cell_km), v * (STEP / cell_km))
        ice = climate.grow(ice, day)
        if state >= 0:
            icy = ice[1] > 0.15
            divergence, shear = deformation(u, v, cell_km)
            for name, values in zip(names, (*ice, divergence * icy, shear * icy), strict=True):
                np.copyto(fields[name][state], values, where=sea)
    return _dataset(fields, sea, times, seed, cell_km)


def draw_land(rng: np.random.Generator, size: int, cell_km: float) -> np.ndarray:
    """True on land (y, x): an irregular mainland along the last rows and an island; one connected sea."""
    y, x = cell_km * np.mgrid[:size, :size]
    length = size * cell_km
    rough = sum(
        weight * Modes(rng, size, cell_km, (km / 3, km)).draw() for km, weight in ((600, 40), (150, 16), (45, 7))
    )
    height = y - 0.89 * length + rough * min(1, length / 1000)
    centre, radius = rng.uniform((0.15, 0.62), (0.85, 0.72)) * length, 0.045 * length
    bump = 1.6 * radius - np.hypot((x - centre[0]) * 0.75, y - centre[1]) + 0.5 * rough * min(1, length / 1000)
    land = (height > 0) | (bump > radius)
    land[-1], land[: size // 2] = True, False
    bodies, _ = ndimage.label(land)
    sizes = np.bincount(bodies.ravel())
    land &= sizes[bodies] > (20 / cell_km) ** 2  # islands under 20 km would be obstacles of single cells
    seas, _ = ndimage.label(~land)
    return seas != seas[0, 0]


class Climate:
    """Growth and melt of the ice, and the extent of the warm ocean."""

    def __init__(self, rng, land, cell_km):
        size = len(land)
        self.sea = ~land
        self.north = (np.arange(size, dtype=np.float32)[:, None] + 0.5) / size  # 0 open ocean, 1 coast
        self.meander = 0.05 * Modes(rng, size, cell_km, (250, 900)).draw()

    def first_ice(self, rng, plates, day) -> np.ndarray:
        """(2, y, x): thickness [m] and concentration of floes whose age varies between plates."""
        floes = sum(rng.standard_normal(2**p.levels).astype(np.float32)[p.label] for p in plates) / np.sqrt(len(plates))
        mean = 0.9 + 2.0 * np.clip((self.north - 0.35) / 0.5, 0, 1) ** 1.3
        cover = self.sea * (1 - self.warm(day))
        return np.stack([mean * np.exp(0.25 * floes) * cover, np.minimum(cover, 0.99)]).astype(np.float32)

    def warm(self, day: float) -> np.ndarray:
        """0 in the pack, 1 beyond the ice edge, which is southernmost in March and northernmost in September."""
        edge = 0.23 - 0.10 * np.cos(2 * np.pi * (day - 75) / 366) + self.meander
        return 1 / (1 + np.exp((self.north - edge) / 0.035))

    def grow(self, ice: np.ndarray, day: float) -> np.ndarray:
        """Half a day of freezing, melting and ridging: concentration above 1 is clipped at constant volume."""
        volume, cover = np.maximum(ice * self.sea, 0)
        cover = np.minimum(cover, 1)
        mean, amplitude, coldest = AIR
        air = min(FREEZING, mean - amplitude * np.cos(2 * np.pi * (day - coldest) / 366))
        height, midsummer, half = MELT
        melt = height * max(0.0, np.cos(np.pi / 2 * (day - midsummer) / half)) if abs(day - midsummer) < half else 0.0
        warm = self.warm(day)
        cold = STEFAN * (FREEZING - air) * (1 - warm)
        thick = volume / np.maximum(cover, 0.02)
        loss = OCEAN + WARM_OCEAN * warm + melt * (1.35 - 0.7 * self.north)
        excess = np.maximum(thick - KEEL[0], 0) ** 2 / KEEL[1]
        new = cold / (THIN + SNOW / 3) * (1 - cover)  # open water has no snow, young ice little
        shrink = np.maximum(loss - cold / (thick + SNOW), 0)
        volume = volume + STEP * (new + cover * (cold / (thick + SNOW) - loss - excess))
        lateral = np.minimum(SIDES * shrink / np.maximum(thick, 0.1), 1) + LATERAL * warm
        cover = cover * (1 - STEP * lateral)
        closing = cold / (THIN + SNOW / 3) / LEAD_CLOSING + SPREADING * (1 - warm) * np.minimum(thick, 1)
        cover = 1 - (1 - cover) * np.exp(-STEP * closing)
        volume = np.maximum(volume, 0)
        cover = np.where(volume > 0.01, cover, 0)  # less would linger as a thin film
        return np.stack([np.where(cover > 0, volume, 0), cover]).astype(np.float32)


def _dataset(fields, sea, times, seed, cell_km):
    rate = {'units': 'day-1', 'cell_methods': 'time: mean (interval: 12 hours)'}
    attributes = {
        'sit': {'units': 'm', 'standard_name': 'sea_ice_thickness', 'long_name': 'ice volume per area of the cell'},
        'sic': {'units': '1', 'standard_name': 'sea_ice_area_fraction', 'long_name': 'sea-ice concentration'},
        'divergence': {
            'standard_name': 'divergence_of_sea_ice_velocity',
            'long_name': 'divergence of the drift',
            **rate,
        },
        'shear': {'long_name': 'shear rate of the drift', **rate},
    }
    variables: dict[str, tuple] = {name: (('time', 'y', 'x'), fields[name], attributes[name]) for name in fields}
    mask = {
        'units': '1',
        'standard_name': 'sea_binary_mask',
        'flag_values': np.array([0, 1], np.int8),
        'flag_meanings': 'land sea',
    }
    variables['mask'] = (('y', 'x'), sea.astype(np.int8), mask)
    at = (np.arange(len(sea)) + 0.5) * cell_km * 1000
    coordinates = {'time': ('time', times, {'standard_name': 'time'})}
    for dim in 'yx':
        coordinates[dim] = (dim, at, {'units': 'm', 'standard_name': f'projection_{dim}_coordinate'})
    return xr.Dataset(
        variables,
        coordinates,
        attrs={
            'Conventions': 'CF-1.8',
            'title': 'IDEALISED sea ice: no observation, no forecast',
            'source': 'downscale_jax data_prep.simulators.sea_ice.simulate: plates driven by random wind',
            'seed': seed,
            'comment': 'Modelled: drift of rigid plates with faults, leads, ridges, Stefan growth, summer melt, an ice '
            'edge. Not modelled: momentum, stress, thickness classes, snow, ponds, tides, real places, real weather.',
        },
    )
