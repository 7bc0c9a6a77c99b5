"""Idealised sea ice: the data this code runs on where no neXtSIM files are given.

A kinematic model, not a dynamical one. A smooth wind-driven flow is handed to plates: the pack is cut by a tree of
conjugate faults, and each plate takes the rigid motion closest to the flow. So all deformation sits in narrow lines
that sum up to the deformation of the wind, which is what makes the fine scale partly predictable from the coarse one.
Thickness and concentration are then carried by that velocity, opened, ridged, frozen and melted.
Grid: y from the open ocean to the coast, x along the coast and periodic; lengths in km and times in days inside.
"""

import numpy as np
import xarray as xr
from scipy import fft, ndimage

STEP = 0.5  # day, between states
SPIN_UP = 30  # day, before the first state: the drawn texture becomes one that the drift has made

# Free drift. Rates of 100 km means: Stern & Lindsay (2009), 0.02 to 0.05 day-1.
STRAIN = 0.022  # day-1, rms gradient of the solenoidal flow
COMPRESSION = 0.3  # of the flow's gradient that is divergent rather than solenoidal
MEAN_DRIFT = 2.0  # km day-1, standard deviation along the coast: low, for the less is lost to advection
SYNOPTIC_DAYS = 2.5  # day, memory of the wind
SYNOPTIC_KM = (350, 1100)  # wavelengths of the wind-driven flow
EDDY_DAYS = 4.0
EDDY_KM = (50, 300)  # eddies that stir the marginal zone
EDDY_STRAIN = 0.06  # day-1
COAST_KM = 110  # reach of the mainland's drag on the flow
ISLAND_KM = 60  # reach of the islands', which the flow passes around
LEE_KM = 15  # within reach of any coast the ice slides along it rather than moves in plates

# Plates and faults.
PARTITIONS = 3  # fault systems alive at a time, each fading in and out: lines cross where they overlap
FAULT_DAYS = 3.0  # day, life of a fault system; LKF live about a day to some days (Hutter et al. 2019)
HALF_ANGLE = 28.0  # degree, between fault and compression; observed 20 to 25, where plates open too much
HALF_ANGLE_SPREAD = 9.0  # degree
PLATE_KM = 50  # size of the smallest plates
YIELD = 0.8  # km day-1: plates that would slip less stay with their parent, so few faults carry much
COARSEST_LEVEL = 2  # of the tree that moves by itself: 2**2 plates
WARP_KM = ((200, 14), (50, 3.0))  # wavelength and amplitude of the faults' undulation
RIGID_CONCENTRATION = (0.45, 0.75)  # free drift below, plates above (Hibler's exp(-20 (1 - A)) falls as fast)

# Thermodynamics.
STEFAN = 5.7e-4  # m2 day-1 K-1: conductivity 2.03 W m-1 K-1 / (917 kg m-3 * 3.34e5 J kg-1)
SNOW = 0.35  # m of ice that insulates as the snow does
FREEZING = -1.8  # degree C
AIR = (-14.0, 18.0, 35)  # degree C mean, degree C amplitude, day of the year that is coldest
MELT = (0.0145, 196, 54)  # m day-1 at the height of summer, its day of the year, half the melt season in days
OCEAN = 0.0006  # m day-1 of basal melt: 2 W m-2
WARM_OCEAN = 0.05  # m day-1 of melt beyond the ice edge
LATERAL = 0.15  # day-1, concentration lost to waves and lateral melt there
SIDES = 0.1  # of the melt that takes concentration rather than thickness (Hibler 1979: 0.5, for all thin ice at once)
LEAD_CLOSING = 0.3  # m, new ice that closes open water (Hibler 1979 has 0.5)
SPREADING = 0.08  # day-1, pace at which rubble and broken floes of over 1 m spread into leads, summer too
THIN = 0.1  # m, thickness at which open water freezes
KEEL = (2.8, 25.0)  # m and m day: thicker ice loses excess^2 / (25 m day), for keels melt and ridges collapse

# Without it old ridges and leads pile up to a white mottle; of 20 km they now last a week, fresh ones stay sharp.
MIXING = 1.4  # km2 day-1, floes shuffled within the cells
SMOOTHING = 0.08  # weight of each neighbour when a fault is blunted
COURANT = 1.0  # largest of an advection step: stable, and exact when it is reached
BLOCK = 64  # rows or columns advected at once: fits the cache, twice as fast as 256


def simulate(
    seed: int = 0, size: int = 256, states: int = 529, start: str = '2020-01-01', cell_km: float = 4.0
) -> xr.Dataset:
    """Idealised half-daily sea ice on `size` x `size` cells of `cell_km`; the same bits for the same arguments.

    Returns (time, y, x) float32, NaN on land: `sit` [m], ice volume per area of the whole cell, open water included,
    as neXtSIM's; `sic` [1]; `divergence` u_x + v_y and `shear` sqrt((u_x - v_y)^2 + (u_y + v_x)^2) [day-1], of the
    velocity that moved the ice in the half day before the time stamp, 0 where concentration is under 0.15. And
    `mask` (y, x) int8, 1 on the sea. x and y in m; x is periodic.
    Left out: momentum and stress, ice classes within a cell, snow, ponds, tides, real geography and real weather.
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
        # Land filled with the nearest sea, whose fluxes reach as far as that: a drop to 0 would ripple along the coast.
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
    land &= sizes[bodies] > (20 / cell_km) ** 2  # specks under 20 km would be obstacles of single cells
    seas, _ = ndimage.label(~land)
    return seas != seas[0, 0]


class Modes:
    """A smooth random field, periodic in x, of unit variance, that forgets itself in `memory` days."""

    def __init__(self, rng, size, cell_km, wavelengths, memory=1.0):
        self.rng, self.keep = rng, np.exp(-STEP / memory)
        self.size, rows = size, round(1.3 * size)  # more rows than the grid has: it is not periodic in y
        shortest, longest = min(wavelengths[0], size * cell_km / 2), min(wavelengths[1], size * cell_km)
        k_x = np.arange(int(size * cell_km / shortest) + 1) / (size * cell_km)
        k = np.hypot(np.fft.fftfreq(rows, cell_km)[:, None], k_x)
        amplitude = np.where((k <= 1.001 / shortest) & (k >= 0.75 / longest), np.maximum(k, 1e-9) ** -1.5, 0)
        amplitude *= np.where(k_x, 1, np.sqrt(0.5))  # what stands for both signs of k_y is there twice
        amplitude /= np.sqrt((amplitude**2).sum())
        self.wavenumber = 2 * np.pi * np.sqrt(((amplitude * k) ** 2).sum())  # rms, km-1
        self.amplitude = (amplitude * np.where(k_x, 1, 2) * (rows * size / 2)).astype(np.float32)
        self.renew()

    def renew(self) -> None:
        self.coefficients = self._noise()

    def step(self) -> None:
        keep, fresh = np.float32(self.keep), np.float32(np.sqrt(1 - self.keep**2))
        self.coefficients = keep * self.coefficients + fresh * self._noise()

    def draw(self) -> np.ndarray:
        return fft.irfft(fft.ifft(self.coefficients, axis=0)[: self.size], self.size, axis=1)

    def _noise(self):
        rows, columns = self.amplitude.shape
        return self.amplitude * self.rng.standard_normal((rows, 2 * columns), np.float32).view(np.complex64)


class Flow:
    """Free drift at the cells' centres, km day-1: `u`, `v`, and the marginal zone's eddies `eddy`."""

    def __init__(self, rng, land, cell_km):
        size = len(land)
        self.rng, self.cell_km, self.keep = rng, cell_km, np.exp(-STEP / SYNOPTIC_DAYS)
        self.stream, self.potential = (Modes(rng, size, cell_km, SYNOPTIC_KM, SYNOPTIC_DAYS) for _ in range(2))
        self.eddies = Modes(rng, size, cell_km, EDDY_KM, EDDY_DAYS)
        bodies, count = ndimage.label(land)
        self.off_land = 1 - np.exp(-((_distance(land, cell_km) / LEE_KM) ** 2))
        self.off_mainland = 1 - np.exp(-((_distance(bodies == bodies[-1, 0], cell_km) / COAST_KM) ** 2))
        self.islands = [bodies == i for i in range(1, count + 1) if i != bodies[-1, 0]]
        self.near = [np.exp(-((_distance(island, cell_km) / ISLAND_KM) ** 2)) for island in self.islands]
        self.along = (cell_km * (0.89 * size - np.arange(size, dtype=np.float32)))[:, None]  # a stream function of 1
        self.mean = rng.standard_normal()
        self._evaluate()

    def step(self) -> None:
        for modes in (self.stream, self.potential, self.eddies):
            modes.step()
        self.mean = self.keep * self.mean + np.sqrt(1 - self.keep**2) * self.rng.standard_normal()
        self._evaluate()

    def _evaluate(self):
        # A stream function that is constant on each piece of land has no flow into it.
        stream = STRAIN / self.stream.wavenumber**2 * self.stream.draw() + MEAN_DRIFT * self.mean * self.along
        stream = stream * self.off_mainland
        for island, near in zip(self.islands, self.near, strict=True):
            stream = stream - near * (stream - stream[island].mean())
        potential = COMPRESSION * STRAIN / self.potential.wavenumber**2 * self.potential.draw() * self.off_mainland
        (s_y, s_x), (p_y, p_x) = _gradient(stream, self.cell_km), _gradient(potential, self.cell_km)
        self.u, self.v = p_x * self.off_land - s_y, p_y * self.off_land + s_x
        e_y, e_x = _gradient(self.eddies.draw(), self.cell_km)
        self.eddy = np.stack([-e_y, e_x]) * (EDDY_STRAIN / self.eddies.wavenumber**2 * self.off_land)


class Plates:
    """One fault system: a binary tree of plates cut along the conjugate directions of the flow at its birth."""

    def __init__(self, rng, size, cell_km, flow, age):
        self.rng, self.size, self.cell_km, self.flow, self.age = rng, size, cell_km, flow, age
        self.y, self.x = (cell_km * np.mgrid[:size, :size]).astype(np.float32)
        self.levels = max(COARSEST_LEVEL + 1, round(2 * np.log2(size * cell_km / PLATE_KM)))
        self.undulation = [(Modes(rng, size, cell_km, (km / 2, km)), a) for km, a in WARP_KM]
        self._cut()

    def step(self) -> None:
        """Half a day older, or cut anew at the end of its life; then follows the flow."""
        self.age += STEP
        if self.age >= FAULT_DAYS:
            self.age -= FAULT_DAYS
            for modes, _ in self.undulation:
                modes.renew()
            self._cut()
        self._fit()

    def carry(self, u: np.ndarray, v: np.ndarray, days: float) -> None:
        self.moved_x += u * days
        self.moved_y += v * days

    def velocity(self) -> np.ndarray:
        """(2, y, x) of the plates where they are now, as far as this system has a say."""
        label, x = self._here()
        u0, v0, turn = (m.take(label) for m in self.motion)
        return np.stack([u0 - turn * self.y, v0 + turn * x])

    def _cut(self):
        length = self.size * self.cell_km
        self.moved_x, self.moved_y = np.zeros_like(self.x), np.zeros_like(self.y)
        warp_x = sum(a * modes.draw() for modes, a in self.undulation)
        warp_y = sum(a * np.roll(modes.draw(), self.size // 3, axis=1) for modes, a in self.undulation)
        # x is periodic, a plane is not: the seam where it wraps is one more oblique fault.
        slope, seam = self.rng.choice([-0.5, 0.5]), self.rng.uniform(0, length)
        self.wraps = -np.floor((self.x + warp_x + slope * self.y - seam) / length).astype(np.float32)
        x, y = self.x + length * self.wraps + warp_x, self.y + warp_y
        (u_y, u_x), (v_y, v_x) = _gradient(self.flow.u, self.cell_km), _gradient(self.flow.v, self.cell_km)
        label = np.zeros(self.x.shape, np.int64)
        for level in range(self.levels):
            total = _sums(label, 2**level)
            area = np.maximum(total(np.ones_like(x)), 1)
            stretch, slant = total(u_x - v_y), total(u_y + v_x)
            compression = np.arctan2(slant, stretch) / 2 + np.pi / 2
            side = self.rng.choice([-1, 1], size=area.size)
            spread = np.radians(HALF_ANGLE_SPREAD) * self.rng.standard_normal(area.size)
            angle = compression + side * np.radians(HALF_ANGLE) + spread
            reach = 0.25 * np.sqrt(area) * self.cell_km * self.rng.standard_normal(area.size)
            n_x, n_y = -np.sin(angle), np.cos(angle)
            offset = (n_x * total(x) + n_y * total(y)) / area + reach
            # Small plates stay whole: their sizes then spread over a factor of several.
            offset[area * self.cell_km**2 < PLATE_KM**2 * self.rng.uniform(0.3, 3, area.size)] = np.inf
            n_x, n_y, offset = (a.astype(np.float32).take(label) for a in (n_x, n_y, offset))
            label = 2 * label + (n_x * x + n_y * y > offset)
        self.label = label

    def _here(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and unwrapped x where the plates have been carried to."""
        cells = np.arange(self.size)
        j = np.clip(cells[:, None] - np.rint(self.moved_y / self.cell_km).astype(int), 0, self.size - 1)
        rounds, i = np.divmod(cells - np.rint(self.moved_x / self.cell_km).astype(int), self.size)
        index = j * self.size + i
        wraps = self.wraps.take(index) - rounds.astype(np.float32)
        return self.label.take(index), self.x + (self.size * self.cell_km) * wraps

    def _fit(self):
        """Each plate's rigid motion closest to the flow, its parent's where the flow would hardly tear it off."""
        label, x = self._here()
        total = _sums(label, 2**self.levels)
        y, u, v = self.y, self.flow.u, self.flow.v
        sums = np.stack([total(q) for q in (np.ones_like(x), x, y, x * x + y * y, u, v, x * v - y * u)])
        motion = fitted = np.zeros((3, 1))
        for level in range(COARSEST_LEVEL, self.levels + 1):
            n, x0, y0, r2, u0, v0, spin = sums.reshape(7, 2**level, -1).sum(-1)
            x0, y0, u0, v0 = (a / np.maximum(n, 1) for a in (x0, y0, u0, v0))
            inertia = np.maximum(r2 - n * (x0**2 + y0**2), self.cell_km**2)
            turn = (spin - n * (x0 * v0 - y0 * u0)) / inertia
            parent, fitted = fitted, np.stack([u0 + turn * y0, v0 - turn * x0, turn])
            repeat = fitted.shape[1] // parent.shape[1]
            apart = fitted - np.repeat(parent, repeat, axis=1)
            slip = (apart[0] - apart[2] * y0) ** 2 + (apart[1] + apart[2] * x0) ** 2
            yields = slip / (slip + YIELD**2) if level > COARSEST_LEVEL else 1
            motion = np.repeat(motion, repeat, axis=1) + yields * apart
        weight = 2 / PARTITIONS * np.sin(np.pi * self.age / FAULT_DAYS) ** 2  # fades in and out; all add up to 1
        self.motion = (weight * motion).astype(np.float32)


def drift(flow: Flow, plates: list[Plates], concentration: np.ndarray, land: np.ndarray):
    """Velocity of the next half day on the faces, km day-1: u (y, x) on the west, v (y + 1, x) on the south."""
    flow.step()
    for system in plates:
        system.step()
    low, high = RIGID_CONCENTRATION
    around = ndimage.uniform_filter(np.where(land, 1, concentration), 9, mode=('nearest', 'wrap'))
    rigid = np.clip((around - low) / (high - low), 0, 1) * flow.off_land
    free = (1 - rigid) * (np.stack([flow.u, flow.v]) + flow.eddy)
    # From here on these are the cells' south-west corners: a fault is then one cell wide, and the two corners of a
    # face blunt its staircase, whose steps would open and close by turns along a fault that only shears.
    corner = (rigid * sum(system.velocity() for system in plates) + free).astype(np.float32)
    for system in plates:
        system.carry(*corner, STEP)
    corner = blur(corner, SMOOTHING)
    u = (corner[0] + np.concatenate([corner[0, 1:], corner[0, -1:]])) / 2
    v = (corner[1] + np.roll(corner[1], -1, 1)) / 2
    return close_coast(u, np.concatenate([v, np.zeros_like(v[:1])]), land)


def blur(fields: np.ndarray, weight: float) -> np.ndarray:
    """(..., y, x) with `weight` taken from each of the neighbours: diffusion by `weight` cells squared."""
    kernel = np.float32([weight, 1 - 2 * weight, weight])
    return ndimage.convolve1d(ndimage.convolve1d(fields, kernel, -2, mode='nearest'), kernel, -1, mode='wrap')


def close_coast(u: np.ndarray, v: np.ndarray, land: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No flow through the faces of land cells."""
    u = np.where(land | np.roll(land, 1, 1), 0, u)
    ends = np.zeros_like(land[:1])
    return u, np.where(np.concatenate([ends, land]) | np.concatenate([land, ends]), 0, v)


def deformation(u: np.ndarray, v: np.ndarray, cell_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Divergence and shear at the centres, day-1, of a velocity on the faces."""
    u_x, v_y = np.roll(u, -1, 1) - u, v[1:] - v[:-1]
    padded = np.concatenate([u[:1], u, u[-1:]])
    corners = padded[1:] - padded[:-1] + v - np.roll(v, 1, 1)  # south-west corners, (y + 1, x)
    corners = corners + np.roll(corners, -1, 1)
    slant = (corners[1:] + corners[:-1]) / 4
    return (u_x + v_y) / cell_km, np.hypot(u_x - v_y, slant) / cell_km


def advect(ice: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Carries ice (..., y, x) over u, v in cells per step: flux form, x periodic, ice-free beyond the south.

    Split in the directions, fifth order upwind in space and time (Leonard 1991) without a limiter: limiters flatten
    extremes, and a lead of two cells is nothing else. It undershoots by some per cent; `Climate.grow` cuts that off.
    """
    steps = max(1, int(np.ceil(max(np.abs(u).max(), np.abs(v).max()) / COURANT)))
    u = np.concatenate([u, u[:, :1]], axis=1).T / np.float32(steps)
    v = v / np.float32(steps)
    for step in range(steps):
        for axis in (-1, -2) if step % 2 else (-2, -1):
            courant = u if axis == -1 else v
            pad = [(3, 3) if a == axis else (0, 0) for a in range(-ice.ndim, 0)]
            before = np.moveaxis(np.pad(ice, pad, mode='wrap' if axis == -1 else 'constant'), axis, 0)
            after = np.moveaxis(ice := np.empty_like(ice), axis, 0)
            for start in range(0, courant.shape[1], BLOCK):
                part = slice(start, start + BLOCK)
                after[..., part] = _sweep(before[..., part], courant[:, None, part])
    return ice


def _sweep(q, c):
    """One direction, leading axis, three cells of padding; c on the faces, cells per step, positive upwards.

    Stirling's formula for the volume that has passed a face, up to the sixth difference, the last one upwind.
    """
    d1 = q[1:] - q[:-1]
    d2 = d1[1:] - d1[:-1]
    d3 = d2[1:] - d2[:-1]
    d4 = d3[1:] - d3[:-1]
    d5 = d4[1:] - d4[:-1]
    second, fourth = c * (c * c - 1), c * (c * c - 1) * (c * c - 4)
    flux = c / 2 * (q[2:-3] + q[3:-2]) - c * c / 2 * d1[2:-2]
    flux += second / 12 * (d2[1:-2] + d2[2:-1]) - c * second / 24 * d3[1:-1]
    flux += fourth / 240 * (d4[:-1] + d4[1:]) - np.sign(c) * fourth / 240 * d5
    return q[3:-3] - (flux[1:] - flux[:-1])


class Climate:
    """Growth and melt, and where the warm ocean begins."""

    def __init__(self, rng, land, cell_km):
        size = len(land)
        self.sea = ~land
        self.north = (np.arange(size, dtype=np.float32)[:, None] + 0.5) / size  # 0 open ocean, 1 coast
        self.meander = 0.05 * Modes(rng, size, cell_km, (250, 900)).draw()

    def first_ice(self, rng, plates, day) -> np.ndarray:
        """(2, y, x): thickness [m] and concentration, floes of uneven age along the plates."""
        floes = sum(rng.standard_normal(2**p.levels).astype(np.float32)[p.label] for p in plates) / np.sqrt(len(plates))
        mean = 0.9 + 2.0 * np.clip((self.north - 0.35) / 0.5, 0, 1) ** 1.3
        cover = self.sea * (1 - self.warm(day))
        return np.stack([mean * np.exp(0.25 * floes) * cover, np.minimum(cover, 0.99)]).astype(np.float32)

    def warm(self, day: float) -> np.ndarray:
        """0 in the pack, 1 beyond the ice edge, which lies furthest out in March and furthest in in September."""
        edge = 0.23 - 0.10 * np.cos(2 * np.pi * (day - 75) / 366) + self.meander
        return 1 / (1 + np.exp((self.north - edge) / 0.035))

    def grow(self, ice: np.ndarray, day: float) -> np.ndarray:
        """Half a day of freezing and melting; also ridging: concentration over 1 is thickness already."""
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
        new = cold / (THIN + SNOW / 3) * (1 - cover)  # bare water has no snow, young ice little
        shrink = np.maximum(loss - cold / (thick + SNOW), 0)
        volume = volume + STEP * (new + cover * (cold / (thick + SNOW) - loss - excess))
        lateral = np.minimum(SIDES * shrink / np.maximum(thick, 0.1), 1) + LATERAL * warm
        cover = cover * (1 - STEP * lateral)
        closing = cold / (THIN + SNOW / 3) / LEAD_CLOSING + SPREADING * (1 - warm) * np.minimum(thick, 1)
        cover = 1 - (1 - cover) * np.exp(-STEP * closing)
        volume = np.maximum(volume, 0)
        cover = np.where(volume > 0.01, cover, 0)  # less is a slush that would linger as thin film
        return np.stack([np.where(cover > 0, volume, 0), cover]).astype(np.float32)


def _gradient(field, cell_km):
    """Along y and x, by centred differences, x periodic."""
    along_x = (np.roll(field, -1, 1) - np.roll(field, 1, 1)) / (2 * cell_km)
    return np.gradient(field, cell_km, axis=0), along_x


def _sums(label, count):
    """A function that sums a field over each label."""
    label = label.ravel()
    return lambda values: np.bincount(label, values.ravel(), count)


def _distance(land, cell_km):
    """From the nearest of `land`, km, x periodic."""
    wide = np.concatenate([land] * 3, axis=1)
    size = land.shape[1]
    return (cell_km * ndimage.distance_transform_edt(~wide)[:, size : 2 * size]).astype(np.float32)


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
    variables = {name: (('time', 'y', 'x'), fields[name], attributes[name]) for name in fields}
    mask = {
        'units': '1',
        'standard_name': 'sea_binary_mask',
        'flag_values': np.int8([0, 1]),
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
            'source': 'downscale_jax data_prep.sea_ice.simulate: plates driven by random wind',
            'seed': seed,
            'comment': 'Modelled: drift of rigid plates with faults, leads, ridges, Stefan growth, summer melt, an ice '
            'edge. Not modelled: momentum, stress, thickness classes, snow, ponds, tides, real places, real weather.',
        },
    )
