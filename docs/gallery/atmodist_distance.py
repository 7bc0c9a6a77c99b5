"""
A learned distance between states of the atmosphere
===================================================

How far apart are two weather maps? The mean squared difference compares cell by cell: a small shift of an eddy counts
little, and two shifted fronts count as much as two unrelated maps. AtmoDist learns a distance from a task that needs no
labels: to tell how many hours lie between two maps.
"""

# %%
# Train
# -----
#
# A siamese network sees two patches of vorticity and divergence and predicts the lag between them. What it uses, the
# encoding of each patch, defines the distance.

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import ATMOSPHERE, train

import downscale_jax
from data_prep.simulators import atmosphere
from downscale_jax.systems.atmodist import LearnedDistance

model = downscale_jax.load(train('atmodist:smoke', ATMOSPHERE, 'atmosphere'), LearnedDistance)

# %%
# Measure
# -------
#
# Five days after the training data, 3-hourly. `distance` takes two data sets and pairs their times in order.

days = atmosphere.simulate(seed=0, days=24, rows=32).isel(time=slice(-40, None))
print(days)

lags = np.arange(1, 17)
learned, squared = [], []
scale = {name: float(days[name].std()) for name in days.data_vars}
for lag in lags:
    earlier, later = days.isel(time=slice(None, -lag)), days.isel(time=slice(lag, None))
    learned.append(float(model.distance(earlier, later).mean()))
    apart = [np.square((later[name].values - earlier[name].values) / scale[name]).mean() for name in scale]
    squared.append(np.mean(apart))

# %%
# Look
# ----

figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
for name, values in {'learned distance': learned, 'mean squared difference': squared}.items():
    axes.plot(3 * lags, np.array(values) / values[-1], marker='o', markersize=4, label=name)
axes.axline((0, 0), (48, 1), color='black', linewidth=0.8, label='proportional to time')
axes.set(xlabel='time between two maps (h)', ylabel='distance, share of that at 48 h', xlim=(0, None), ylim=(0, None))
axes.legend(frameon=False, loc='upper left')

# %%
# The line is a distance that measures time. The learned one is nearer to it at every lag: it sees the first hours, to
# which the squared difference is almost blind, although the network was trained for seconds, with lags up to 24 h.
#
# Read on: :doc:`/systems/atmodist` and its :doc:`results </systems/atmodist_results>`. The same encoder serves as the
# :doc:`content loss of a GAN <content_loss>`.
