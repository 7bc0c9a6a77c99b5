"""
Reading a calibration figure
============================

An ensemble is useful if its spread can be trusted. Every run draws a calibration figure; this page makes ensembles that
are too narrow and too wide on purpose, to show what they look like there.
"""

# %%
# Three ensembles
# ---------------
#
# The model is that of :doc:`sea_ice`. A factor of the noise, the temperature, sets the spread of its members. A run
# fits it on the validation split; here it is also set too low and too high.

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import SEA_ICE, held_out, train

from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler

workdir = train('diffusion_sit:smoke', SEA_ICE, 'sea_ice')
coarse, truth = held_out(load(workdir, kind=Downscaler), 2)
names = {'too narrow': 0.4, 'fitted': None, 'too wide': 1.3}
ensembles = {
    name: load(workdir, {'sampling.temperature': factor}, kind=Downscaler).downscale(coarse, members=8)['sit'].values
    for name, factor in names.items()
}

# %%
# Two panels
# ----------
#
# **Ranks.** In each cell the truth takes a place among the sorted members: below all of them, between the first and the
# second, and so on. If truth and members are draws from the same distribution, all places are equally frequent and the
# histogram is flat. Two high ends mean too little spread, a hump in the middle too much; a slope is a bias.
#
# **Reliability.** The same as a curve: how often the truth lies below each quantile of the ensemble. On the diagonal
# the quantiles mean what they say.

icy = coarse['sit'].values > 0.5  # without open water, where truth and members are zero
figure, (ranks, reliability) = plt.subplots(1, 2, figsize=(9, 4), layout='constrained')
for name, members in ensembles.items():
    below = (members < truth['sit'].values).sum(0)[icy]
    frequency = np.bincount(below, minlength=9) / len(below)
    ranks.plot(range(9), 9 * frequency, 'o-', label=name)
    reliability.plot(np.arange(1, 9) / 9, np.cumsum(frequency)[:8], 'o-')
ranks.axhline(1, color='black', linewidth=0.8)
ranks.set(xlabel='members below the truth', ylabel='frequency / flat', ylim=(0, None), title='ranks')
ranks.legend(frameon=False)
reliability.axline((0, 0), slope=1, color='black', linewidth=0.8)
reliability.set(xlabel='quantile of the ensemble', ylabel='truth lies below', title='reliability')
reliability.set(xlim=(0, 1), ylim=(0, 1), aspect='equal')

# %%
# One number
# ----------
#
# The ratio of spread to skill says the same in one number: 1 where the spread of the members equals the error of their
# mean, less where the ensemble is under-dispersive. A perfect ratio alone is no proof: too little spread in thick ice
# and too much in thin ice can cancel, which is why the figure of a run also shows it by regime and season.

for name, members in ensembles.items():
    spread = 9 / 8 * members[:, icy].var(0, ddof=1).mean()  # the mean of 8 members has an error of its own
    error = np.square(members.mean(0) - truth['sit'].values)[icy].mean()
    print(f'{name:10} spread/skill {np.sqrt(spread / error):.2f}')

# %%
# Look at the ends of the rank histogram first. The fitted temperature makes it as flat as the shape of the ensemble
# allows; a bias remains, which no temperature corrects.
#
# Read on: :doc:`/guides/samplers` for the temperature, :doc:`/guides/evaluation` for the other figures of a report.
