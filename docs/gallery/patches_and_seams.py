"""
Patches and seams
=================

Networks are trained on patches and applied to large domains in tiles. Tiles that are generated separately do not fit
together: each draws its own weather. This page shows the seam, and how fusing the tiles at every step of the sampler
removes it.
"""

# %%
# One model, one month, three ways to cover a domain of 80 x 120 cells.

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from shared_runs import MOUNTAINS, held_out, maps, train

import downscale_jax
from downscale_jax.evaluation.drawing.colours import SIGNED
from downscale_jax.systems.downscaler import Downscaler

workdir = train('diffusion_dpdm:smoke', MOUNTAINS, 'mountains')
model = downscale_jax.load(workdir, Downscaler)
coarse, truth = held_out(model, 2)
whole = model.downscale(coarse, members=4)['t2m']

# %%
# **In one piece**, above, is what tiles should reproduce. **Fused**: tiles of at most 80 cells share at least 24; after
# every evaluation of the network their predictions are averaged where they overlap, and the noise belongs to the place,
# so that neighbours work on the same field.

tiles = {'sampling.tile': 80, 'sampling.overlap': 24}
fused = downscale_jax.systems.load(workdir, tiles, kind=Downscaler).downscale(coarse, members=4)['t2m']

# %%
# **Each on its own**: the western and the eastern half as domains of their own, with noise of their own.

relief = model.prepared.statics
halves = [
    model.downscale(
        coarse.isel(lon=slice(6 * half, 6 * half + 6)),
        members=4,
        seed=1 + half,
        statics=relief.isel(lon=slice(60 * half, 60 * half + 60)),
    )['t2m']
    for half in (0, 1)
]
apart = xr.concat(halves, 'lon')

# %%
# What the eye sees
# -----------------
#
# The difference of one member from its mean over the ensemble, which is the part that noise decides.

ways = {'in one piece': whole, 'fused': fused, 'each on its own': apart}
detail = {name: (field - field.mean('member')).isel(member=0, time=0) for name, field in ways.items()}
maps(detail, 'temperature minus the ensemble mean (K)', cmap=SIGNED, vmin=-1.5, vmax=1.5)

# %%
# What a number says
# ------------------
#
# The mean step from one column of cells to the next should not know where tiles end.

figure, axes = plt.subplots(figsize=(7, 3.6), layout='constrained')
colours = {'in one piece': '0.8', 'fused': '#0072b2', 'each on its own': '#d55e00'}
for name, field in ways.items():
    deviation = field - field.mean('member')
    step = abs(deviation.diff('lon')).mean(('member', 'time', 'lat'))
    axes.plot(np.arange(1, 120), step, color=colours[name], label=name, linewidth=5 if name == 'in one piece' else 1.3)
axes.axvline(60, color='0.6', linewidth=0.8, linestyle=':')
axes.set(xlabel='column', ylabel='mean step between columns (K)', ylim=(0, None))
axes.legend(frameon=False, loc='upper right')

# %%
# Look at column 60: only the halves that were generated separately have a peak there. The fused tiles are
# indistinguishable from the domain in one piece, both in this figure and in the maps.
#
# Read on: :doc:`/concepts/tiles` for the method, :doc:`/studies/seams` for measurements with the default size.
