"""Draws docs/figures/sea_ice/idealised_sea_ice.png: python -m experiments.figures.idealised_sea_ice (a minute)."""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt
import numpy as np

from data_prep.simulators.sea_ice import simulate
from downscale_jax.evaluation.drawing.colours import SIGNED, SPREAD, of_quantity
from experiments.command_line import run_program

OUT = Path(__file__).parents[2] / 'docs' / 'figures' / 'sea_ice' / 'idealised_sea_ice.png'
DATES = {'late winter': '2020-03-20T00', 'late summer': '2020-09-01T00'}
PANELS = {  # label, colours, norm
    'sit': ('thickness [m]', of_quantity('sea-ice thickness'), matplotlib.colors.Normalize(0, 4)),
    'sic': ('concentration [1]', of_quantity('a fraction of area'), matplotlib.colors.Normalize(0.4, 1)),
    'divergence': (
        'divergence [day$^{-1}$]',
        SIGNED,
        matplotlib.colors.SymLogNorm(0.05, vmin=-0.5, vmax=0.5),
    ),
    'shear': ('shear [day$^{-1}$]', SPREAD, matplotlib.colors.Normalize(0, 0.3)),
}


def main() -> None:
    ice = simulate()
    figure, axes = plt.subplots(2, 4, figsize=(16, 8.6), sharex=True, sharey=True, layout='constrained')
    for row, (season, date) in zip(axes, DATES.items(), strict=True):
        state = ice.sel(time=date, method='nearest')
        for axis, (name, (label, colours, norm)) in zip(row, PANELS.items(), strict=True):
            axis.set_facecolor('0.55')
            image = axis.pcolormesh(ice.x / 1000, ice.y / 1000, state[name], cmap=colours, norm=norm, rasterized=True)
            axis.contour(ice.x / 1000, ice.y / 1000, ice['mask'], [0.5], colors='0.25', linewidths=0.5)
            axis.set_aspect('equal')
            if season == 'late winter':
                axis.set_title(label)
            else:
                axis.set_xlabel('x [km]')
                extend = {'sic': 'min', 'divergence': 'both'}.get(name, 'max')
                bar = figure.colorbar(
                    image, ax=axes[:, list(PANELS).index(name)], location='bottom', extend=extend, pad=0.02
                )
                bar.ax.minorticks_off()
                if name == 'divergence':
                    bar.set_ticks([-0.5, -0.1, 0, 0.1, 0.5], labels=['-0.5', '-0.1', '0', '0.1', '0.5'])
        row[0].set_ylabel(f'{season}, {np.datetime_as_string(state.time.values, "D")}\ny [km]')
    figure.suptitle('Idealised sea ice (simulated; no real place or date), 4 km, land in grey')
    OUT.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(OUT, dpi=110)


if __name__ == '__main__':
    run_program(main)
