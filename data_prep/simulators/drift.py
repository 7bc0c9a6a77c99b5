"""Drift of the idealised sea ice: plates and faults that follow a random wind.

Kinematic, not dynamical. The pack is cut into plates by a tree of conjugate faults, and each plate follows the rigid
motion closest to a smooth wind-driven flow. So deformation is concentrated in narrow lines whose sum is the deformation
of the wind, which makes the fine scale partly predictable from the coarse one.
Grid: y from the open ocean to the coast, x along the coast and periodic; km and days.
"""

import numpy as np
from scipy import fft, ndimage

from data_prep.simulators.advection import blur

STEP = 0.5  # day, between states

# Free drift. Rates of 100 km means: Stern & Lindsay (2009), 0.02 to 0.05 day-1.
STRAIN = 0.022  # day-1, rms gradient of the solenoidal flow
COMPRESSION = 0.3  # divergent relative to solenoidal gradient of the flow
MEAN_DRIFT = 2.0  # km day-1, standard deviation along the coast: low, which limits errors of advection
SYNOPTIC_DAYS = 2.5  # day, memory of the wind
SYNOPTIC_KM = (350, 1100)  # wavelengths of the wind-driven flow
EDDY_DAYS = 4.0
EDDY_KM = (50, 300)  # eddies of the marginal zone
EDDY_STRAIN = 0.06  # day-1
COAST_KM = 110  # reach of the mainland's drag on the flow
ISLAND_KM = 60  # distance within which the flow passes around islands
LEE_KM = 15  # distance from any coast within which the ice slides along it instead of moving in plates

# Plates and faults.
PARTITIONS = 3  # simultaneous fault systems, each fading in and out; their lines cross
FAULT_DAYS = 3.0  # day, lifetime of a fault system; LKFs last from a day to several days (Hutter et al. 2019)
HALF_ANGLE = 28.0  # degree, between fault and compression; observed 20 to 25, for which plates open too much
HALF_ANGLE_SPREAD = 9.0  # degree
PLATE_KM = 50  # size of the smallest plates
YIELD = 0.8  # km day-1: plates that would slip less move with their parent, which concentrates slip on few faults
COARSEST_LEVEL = 2  # of the tree with independent motion: 2**2 plates
WARP_KM = ((200, 14), (50, 3.0))  # wavelength and amplitude of the faults' undulation
RIGID_CONCENTRATION = (0.45, 0.75)  # free drift below, plates above (as steep as Hibler's exp(-20 (1 - A)))
SMOOTHING = 0.08  # weight of each neighbour in the smoothing of faults


class Modes:
    """A smooth random field, periodic in x, of unit variance, with an autocorrelation time of `memory` days.

    `wavelengths`: shortest and longest, km. `wavenumber`: rms, km-1, the ratio of rms gradient to rms value.
    """

    def __init__(self, rng, size, cell_km, wavelengths, memory=1.0):
        self.rng, self.keep = rng, np.exp(-STEP / memory)
        self.size, rows = size, round(1.3 * size)  # more rows than the grid, which is not periodic in y
        shortest, longest = min(wavelengths[0], size * cell_km / 2), min(wavelengths[1], size * cell_km)
        k_x = np.arange(int(size * cell_km / shortest) + 1) / (size * cell_km)
        k = np.hypot(np.fft.fftfreq(rows, cell_km)[:, None], k_x)
        amplitude = np.where((k <= 1.001 / shortest) & (k >= 0.75 / longest), np.maximum(k, 1e-9) ** -1.5, 0)
        amplitude *= np.where(k_x, 1, np.sqrt(0.5))  # modes at k_x = 0 are stored for both signs of k_y
        amplitude /= np.sqrt((amplitude**2).sum())
        self.wavenumber = 2 * np.pi * np.sqrt(((amplitude * k) ** 2).sum())
        self.amplitude = (amplitude * np.where(k_x, 1, 2) * (rows * size / 2)).astype(np.float32)
        self.renew()

    def renew(self) -> None:
        """Draws a new, independent field."""
        self.coefficients = self._noise()

    def step(self) -> None:
        """Advances by half a day."""
        keep, fresh = np.float32(self.keep), np.float32(np.sqrt(1 - self.keep**2))
        self.coefficients = keep * self.coefficients + fresh * self._noise()

    def draw(self) -> np.ndarray:
        """The current field, (y, x) float32; constant until the next `step` or `renew`."""
        return fft.irfft(fft.ifft(self.coefficients, axis=0)[: self.size], self.size, axis=1)

    def _noise(self):
        rows, columns = self.amplitude.shape
        return self.amplitude * self.rng.standard_normal((rows, 2 * columns), np.float32).view(np.complex64)


class Flow:
    """Free drift at cell centres, km day-1: `u`, `v`, and the eddies of the marginal zone `eddy`."""

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
        self.along = (cell_km * (0.89 * size - np.arange(size, dtype=np.float32)))[:, None]  # of a unit flow
        self.mean = rng.standard_normal()
        self._evaluate()

    def step(self) -> None:
        """Advances by half a day."""
        for modes in (self.stream, self.potential, self.eddies):
            modes.step()
        self.mean = self.keep * self.mean + np.sqrt(1 - self.keep**2) * self.rng.standard_normal()
        self._evaluate()

    def _evaluate(self):
        # no flow into land: the stream function is constant on each land mass
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
    """A fault system: a binary tree of plates cut along the conjugate directions of the flow at its birth.

    `age` in days, up to FAULT_DAYS. `label` (y, x): the plate of each cell at birth, under 2**`levels`.
    """

    def __init__(self, rng, size, cell_km, flow, age):
        self.rng, self.size, self.cell_km, self.flow, self.age = rng, size, cell_km, flow, age
        self.y, self.x = (cell_km * np.mgrid[:size, :size]).astype(np.float32)
        self.levels = max(COARSEST_LEVEL + 1, round(2 * np.log2(size * cell_km / PLATE_KM)))
        self.undulation = [(Modes(rng, size, cell_km, (km / 2, km)), a) for km, a in WARP_KM]
        self._cut()

    def step(self) -> None:
        """Ages by half a day, or is cut anew at the end of its lifetime; then follows the flow."""
        self.age += STEP
        if self.age >= FAULT_DAYS:
            self.age -= FAULT_DAYS
            for modes, _ in self.undulation:
                modes.renew()
            self._cut()
        self._fit()

    def carry(self, u: np.ndarray, v: np.ndarray, days: float) -> None:
        """Moves the plates by a velocity (y, x) in km day-1."""
        self.moved_x += u * days
        self.moved_y += v * days

    def velocity(self) -> np.ndarray:
        """(2, y, x): contribution of this system to the velocity, with the plates at their current positions."""
        label, x = self._here()
        u0, v0, turn = (m.take(label) for m in self.motion)
        return np.stack([u0 - turn * self.y, v0 + turn * x])

    def _cut(self):
        length = self.size * self.cell_km
        self.moved_x, self.moved_y = np.zeros_like(self.x), np.zeros_like(self.y)
        warp_x = sum(a * modes.draw() for modes, a in self.undulation)
        warp_y = sum(a * np.roll(modes.draw(), self.size // 3, axis=1) for modes, a in self.undulation)
        # x is periodic but a plane is not: the seam where it wraps becomes an additional oblique fault
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
            # small plates are not cut, so that sizes vary by a factor of several
            offset[area * self.cell_km**2 < PLATE_KM**2 * self.rng.uniform(0.3, 3, area.size)] = np.inf
            n_x, n_y, offset = (a.astype(np.float32).take(label) for a in (n_x, n_y, offset))
            label = 2 * label + (n_x * x + n_y * y > offset)
        self.label = label

    def _here(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and unwrapped x at the current positions of the plates."""
        cells = np.arange(self.size)
        j = np.clip(cells[:, None] - np.rint(self.moved_y / self.cell_km).astype(int), 0, self.size - 1)
        rounds, i = np.divmod(cells - np.rint(self.moved_x / self.cell_km).astype(int), self.size)
        index = j * self.size + i
        wraps = self.wraps.take(index) - rounds.astype(np.float32)
        return self.label.take(index), self.x + (self.size * self.cell_km) * wraps

    def _fit(self):
        """Fits the rigid motion closest to the flow for each plate; where it would slip little, that of its parent."""
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
    # From here on at the south-west corners of the cells: a fault is then one cell wide, and averaging the two corners
    # of a face smooths its staircase, whose steps would alternately open and close along a fault that only shears.
    corner = (rigid * sum(system.velocity() for system in plates) + free).astype(np.float32)
    for system in plates:
        system.carry(corner[0], corner[1], STEP)
    corner = blur(corner, SMOOTHING)
    u = (corner[0] + np.concatenate([corner[0, 1:], corner[0, -1:]])) / 2
    v = (corner[1] + np.roll(corner[1], -1, 1)) / 2
    return close_coast(u, np.concatenate([v, np.zeros_like(v[:1])]), land)


def close_coast(u: np.ndarray, v: np.ndarray, land: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No flow through the faces of land cells."""
    u = np.where(land | np.roll(land, 1, 1), 0, u)
    ends = np.zeros_like(land[:1])
    return u, np.where(np.concatenate([ends, land]) | np.concatenate([land, ends]), 0, v)


def deformation(u: np.ndarray, v: np.ndarray, cell_km: float) -> tuple[np.ndarray, np.ndarray]:
    """Divergence and shear at cell centres, day-1, of a velocity on the faces."""
    u_x, v_y = np.roll(u, -1, 1) - u, v[1:] - v[:-1]
    padded = np.concatenate([u[:1], u, u[-1:]])
    corners = padded[1:] - padded[:-1] + v - np.roll(v, 1, 1)  # south-west corners, (y + 1, x)
    corners = corners + np.roll(corners, -1, 1)
    slant = (corners[1:] + corners[:-1]) / 4
    return (u_x + v_y) / cell_km, np.hypot(u_x - v_y, slant) / cell_km


def _gradient(field, cell_km):
    """Along y and x by centred differences, periodic in x."""
    along_x = (np.roll(field, -1, 1) - np.roll(field, 1, 1)) / (2 * cell_km)
    return np.gradient(field, cell_km, axis=0), along_x


def _sums(label, count):
    """Returns a function that sums a field over each label."""
    label = label.ravel()
    return lambda values: np.bincount(label, values.ravel(), count)


def _distance(land, cell_km):
    """Distance from the nearest cell of `land` in km, periodic in x."""
    wide = np.concatenate([land] * 3, axis=1)
    size = land.shape[1]
    return (cell_km * ndimage.distance_transform_edt(~wide)[:, size : 2 * size]).astype(np.float32)
