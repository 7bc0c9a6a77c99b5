"""Idealised dry atmosphere: the data that AtmoDist learns from where no wind files are given.

Primitive equations on a flat, seasonless sphere, spectral in the horizontal, forced as by Held and Suarez (1994,
Bull. Amer. Meteor. Soc. 75, 1825-1830): temperature relaxed to a zonal state, drag near the ground. Mid-latitudes fill
with baroclinic eddies that drift, grow and decay within days. The dynamical core is dinosaur's.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from downscale_jax.fields.geometry.wind import ATTRIBUTES

with warnings.catch_warnings():
    # dinosaur uses jax.experimental.shard_map
    warnings.simplefilter('ignore', DeprecationWarning)
    from dinosaur import primitive_equations as equations
    from dinosaur import time_integration as integration
    from dinosaur.coordinate_systems import CoordinateSystem
    from dinosaur.held_suarez import HeldSuarezForcing
    from dinosaur.primitive_equations_states import isothermal_rest_atmosphere
    from dinosaur.scales import units
    from dinosaur.sigma_coordinates import SigmaCoordinates
    from dinosaur.spherical_harmonic import Grid
    from dinosaur.xarray_utils import REF_TEMP_KEY

PER_DAY = 8  # saved states
SPIN_UP = 40  # day: eddies of the initial shear overshoot within 10, and their variance is steady after 20
LAYERS = (0, 0.12, 0.26, 0.40, 0.54, 0.68, 0.81, 0.95, 1)  # in sigma
SAVED = 6  # the layer around sigma 0.88: 880 hPa
DIFFUSION = (4.0, 2)  # e-folding time of the shortest wave in hours, order of the Laplacian
NOISE = 1e-5  # s-1, vorticity of the random initial state
NOISE_WAVES = (5, 20)  # its total wavenumbers
ASSELIN = 0.03  # filter that couples the two time levels of the leapfrog


def simulate(seed: int = 0, days: int = 200, rows: int = 64, start: str = '2001-01-01') -> xr.Dataset:
    """Idealised 3-hourly `vorticity` and `divergence` at about 880 hPa, reproducible bit by bit.

    Returns (time, lat, lon) float32 in s-1 on `rows` (even) Gaussian latitudes, from the south, and 2 x `rows`
    longitudes; waves are kept up to total wavenumber (2 rows - 1)/3 (T42 for 64 rows), so that products do not alias.
    The seed draws the random initial vorticity, `SPIN_UP` days before the first state; the evolution is deterministic,
    and a longer series begins with the shorter one.
    Not modelled: moisture, mountains, continents, seasons, the daily cycle.
    """
    with jax.numpy_rank_promotion('allow'):  # dinosaur promotes ranks
        coords = CoordinateSystem(
            Grid.construct(max_wavenumber=(2 * rows - 1) // 3, gaussian_nodes=rows // 2),
            SigmaCoordinates(np.array(LAYERS)),
        )
        specs = equations.PrimitiveEquationsSpecs.from_si()
        first_state, features = isothermal_rest_atmosphere(coords, specs)
        reference = features[REF_TEMP_KEY]
        forcing = HeldSuarezForcing(coords, specs, reference)
        steps = -(-6 * rows // 64)  # between states: 30 minutes for T42
        step = _step(coords, specs, reference, forcing, 24 / PER_DAY / steps)
        per_second = float(specs.dimensionalize(1.0, 1 / units.second).magnitude)

        def saved(levels):
            fields = jnp.stack([levels[1].vorticity[SAVED], levels[1].divergence[SAVED]])
            return (per_second * coords.horizontal.to_nodal(fields)).swapaxes(-1, -2)

        run = jax.jit(integration.trajectory_from_step(step, PER_DAY, steps, post_process_fn=saved))
        state = _sheared(first_state(jax.random.key(0)), coords, specs, forcing, seed, NOISE / per_second)
        levels = state, state
        fields = np.empty((2, days, PER_DAY, rows, 2 * rows), np.float32)
        for day in range(-SPIN_UP, days):
            levels, frames = run(levels)
            if day >= 0:
                fields[:, day] = np.swapaxes(frames, 0, 1)
    return _dataset(fields.reshape(2, -1, rows, 2 * rows), coords.horizontal, seed, start)


def _step(coords, specs, reference, forcing, hours: float):
    """(previous, current) -> (current, next): semi-implicit leapfrog, a quarter of the cost of Runge-Kutta."""
    flat = np.zeros(coords.horizontal.modal_shape, np.float32)
    equation = integration.compose_equations([equations.PrimitiveEquations(reference, flat, coords, specs), forcing])
    dt, tau = (specs.nondimensionalize(h * units.hour) for h in (hours, DIFFUSION[0]))
    # leapfrog spans two steps, and so must its diffusion
    diffuse = integration.horizontal_diffusion_step_filter(coords.horizontal, 2 * dt, tau, DIFFUSION[1])
    return integration.step_with_filters(
        integration.semi_implicit_leapfrog(equation, dt),
        [
            lambda before, after: (after[0], diffuse(before[1], after[1])),
            integration.robert_asselin_leapfrog_filter(ASSELIN),
        ],
    )


def _sheared(state, coords, specs, forcing, seed: int, noise: float):
    """A state at rest -> radiative equilibrium with random barotropic vortices.

    Winds balance the temperature within days, whereas warming from rest would take two months.
    """
    grid = coords.horizontal
    pressure = np.float32(specs.nondimensionalize(1e5 * units.pascal))
    warm = jnp.broadcast_to(forcing.equilibrium_temperature(pressure), coords.nodal_shape)
    _, total = grid.modal_mesh
    band = grid.mask & (total >= NOISE_WAVES[0]) & (total <= NOISE_WAVES[1])
    waves = np.random.default_rng(seed).standard_normal(grid.modal_shape).astype(np.float32) * band
    waves *= noise / np.asarray(grid.to_nodal(waves)).std()
    state.vorticity = state.vorticity + waves
    state.temperature_variation = grid.to_modal(warm - forcing.reference_temperature[:, None, None])
    return state


def _dataset(fields: np.ndarray, grid: Grid, seed: int, start: str) -> xr.Dataset:
    times = np.datetime64(start, 'ns') + np.arange(fields.shape[1]) * np.timedelta64(24 // PER_DAY, 'h')
    return xr.Dataset(
        {
            name: (('time', 'lat', 'lon'), values, attrs)
            for (name, attrs), values in zip(ATTRIBUTES.items(), fields, strict=True)
        },
        {
            'time': ('time', times, {'standard_name': 'time'}),
            'lat': ('lat', np.rad2deg(grid.latitudes), {'units': 'degrees_north', 'standard_name': 'latitude'}),
            'lon': ('lon', np.rad2deg(grid.longitudes), {'units': 'degrees_east', 'standard_name': 'longitude'}),
        },
        attrs={
            'Conventions': 'CF-1.8',
            'title': 'IDEALISED atmosphere: no observation, no forecast',
            'source': 'data_prep.simulators.atmosphere.simulate: dinosaur-dycore with Held-Suarez forcing',
            'seed': seed,
            'comment': 'Modelled: dry primitive equations, jets, baroclinic eddies, at about 880 hPa. Not modelled: '
            'moisture, mountains, continents, seasons, the daily cycle, real weather.',
        },
    )
