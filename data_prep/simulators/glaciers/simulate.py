"""Idealised mountain range with glaciers: the region that the glacier system learns from where no scenes are given.

Not a model of real mountains: rivers cut the relief, ice flows by the shallow-ice approximation under a mass balance
that depends on height, and reflectances are mixtures of a few spectra. Everything is drawn from the seed.
"""

from functools import cache

import numpy as np

from data_prep.simulators.glaciers import basins, ice, inventory, relief, scenes, surface
from data_prep.simulators.matern import Matern
from downscale_jax.fields.rasters.grid import RasterGrid
from downscale_jax.fields.rasters.outlines import vectorised
from downscale_jax.fields.rasters.region import Region, Scene, Truth

CORNER = (560_000.0, 5_220_000.0)  # m, in UTM zone 32 north: the Alps
CRS = 'EPSG:32632'
LINE = 0.86  # share of the relief below the equilibrium line
DAYS = (212, 262)  # of the year: August to mid-September
DEM_ERROR = 3.0, 8  # m, standard deviation; cells over which it is correlated


def simulate(seed: int, rows: int, columns: int, years: tuple[int, ...], scenes_per_year: int) -> Region:
    """The region with `scenes_per_year` scenes in each of `years` and outlines of the first year.

    Cells are 30 m wide. About 150 glaciers of 0.1 km2 and more lie on 640 x 1536 cells. The outlines have the errors of
    manual digitising (`inventory`). Reproducible bit by bit on one machine.
    """
    for_relief, for_ice, for_ground, for_inventory, for_scenes = np.random.default_rng(seed).spawn(5)
    grid = RasterGrid(CRS, *CORNER, relief.CELL, (rows, columns))
    bed = relief.draw_range(for_relief, rows, columns)
    supply = surface.debris_supply(for_ground, bed.shape)
    glaciation = ice.glaciate(for_ice, bed, float(np.quantile(bed, LINE)), supply, years)
    first = glaciation.thickness[years[0]]
    glacier = basins.divide(first > 0, bed + first, grid.cell_km2)
    # ice too small for the inventory counts as none: no reference lists it
    thickness = {year: np.where(glacier > 0, depth, 0) for year, depth in glaciation.thickness.items()}
    ground = surface.ground(for_ground, bed, glaciation.equilibrium_line, supply)
    debris = surface.debris_cover(ground, thickness[years[0]])

    def draw(rng: np.random.Generator, year: int, number: int) -> Scene:
        day = int(rng.integers(*DAYS))
        snow_line, sky = rng.normal(30, 45) - 2.5 * (day - DAYS[0]) + 60, scenes.draw_sky(rng, day)
        key = rng.integers(2**63)

        @cache
        def observed():
            level = surface.reflectance(ground, thickness[year], snow_line)
            return scenes.observe(np.random.default_rng(key), level, bed + thickness[year], sky)

        date = np.datetime64(f'{year}-01-01') + day
        return Scene(f'{date}-{number}', date, lambda: observed()[0], lambda: observed()[1])

    drawn = [
        draw(rng, year, number)
        for year, of_year in zip(years, for_scenes.spawn(len(years)), strict=True)
        for number, rng in enumerate(of_year.spawn(scenes_per_year))
    ]
    snow = surface.reflectance(ground, thickness[years[0]], 40.0)[..., 0] > 0.6
    outlines = vectorised(inventory.digitise(for_inventory, glacier, debris, snow & (glacier == 0)), grid)
    error, reach = DEM_ERROR
    elevation = bed + first + error * Matern(for_inventory, bed.shape, reach, 1.0).values
    truth = Truth({year: depth > 0 for year, depth in thickness.items()}, debris)
    return Region(grid, surface.BANDS, elevation.astype(np.float32), outlines, drawn, truth)
