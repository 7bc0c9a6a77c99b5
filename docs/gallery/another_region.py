"""
Another region
==============

Fine observations exist for few regions. A DPDM sees patches with their relief, not places, so that it can be applied
to a region that it has never seen. This page moves a model to other mountains.
"""

# %%
# The model has learned from the mountains of seed 0. Seed 3 gives other mountains with other weather, and with a truth
# to compare with; in practice you would have the coarse fields and a relief.

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import MOUNTAINS, maps, train

import downscale_jax
from data_prep.simulators import mountains
from downscale_jax.systems.downscaler import Downscaler

model = downscale_jax.load(train('diffusion_dpdm:smoke', MOUNTAINS, 'mountains'), Downscaler)
region = mountains.simulate(seed=3, rows=80, columns=120, months=1)
truth, relief = region[['t2m', 'tp']], region[['topography', 'land']]
coarse = truth.coarsen(lat=10, lon=10).mean(keep_attrs=True)
print(relief)

# %%
# `statics` is the fine grid of the region with the fields that the network sees. On the command line it is a file:
# ``--mode=downscale --input=coarse.nc --statics=region.nc``.

fine = model.downscale(coarse, members=8, seed=0, statics=relief)
maps(
    {
        'coarse input': coarse['t2m'].isel(time=0),
        'member 1': fine['t2m'].isel(time=0, member=0),
        'truth': truth['t2m'].isel(time=0),
    },
    'temperature (K)',
)

# %%
# The relief is the reason: high cells are colder than their block, which the coarse field cannot know. How much of that
# relation was learned shows in the departure of each cell from the mean of its block of 10 x 10 cells.


def departures(field):
    """A field minus the mean of each block."""
    mean = field.coarsen(lat=10, lon=10).mean().values
    return field.values - np.repeat(np.repeat(mean, 10, -2), 10, -1)


height = departures(relief['topography']).ravel()
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharex=True, sharey=True, layout='constrained')
shown = {'truth': truth['t2m'].isel(time=0), 'member 1': fine['t2m'].isel(time=0, member=0)}
for panel, (name, field) in zip(axes, shown.items(), strict=True):
    cold = departures(field).ravel()
    offset, slope = map(float, np.polynomial.Polynomial.fit(height, cold, 1).convert().coef)
    panel.plot(height, cold, '.', markersize=2, alpha=0.4)
    panel.axline((0, offset), slope=slope, color='black', label=f'{1000 * slope:.1f} K/km')
    panel.set_title(name, loc='left')
    panel.set_xlabel('height minus that of the block (m)')
    panel.legend(frameon=False)
axes[0].set_ylabel('temperature minus that of the block (K)')

# %%
# Compare the slopes, which are lapse rates, and the scatter about them: what a cell has beyond its height is what the
# members disagree about. The network has learned most of the slope in seconds, elsewhere.
#
# Read on: :doc:`/guides/other_regions`, and the :doc:`loss of skill </systems/dpdm_results>` with the default size.
