"""
Reading a calibration figure
============================

An ensemble is useful if its spread can be trusted. Every run writes ``figures/calibration.png``; this page draws its
two upper panels from ``details.json`` and explains how to read them.
"""

# %%
# The model is that of :doc:`sea_ice`. After training, a factor of the noise, the temperature, was fitted on the
# validation split so that spread matches error there. The evaluation scores both: `diffusion` has temperature 1,
# `calibrated` the fitted one.

import json

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import SEA_ICE, train

workdir = train('diffusion_sit:smoke', SEA_ICE, 'sea_ice')
print(json.loads((workdir / 'calibration.json').read_text()))
details = json.loads((workdir / 'details.json').read_text())['pointwise']
ensembles = {name: rows['sit'] for name, rows in details.items() if rows['sit']['ranks']}
print(list(ensembles))

# %%
# Two panels
# ----------
#
# **Ranks.** In each cell the truth takes a place among the sorted members: below all of them, between the first and the
# second, and so on. If truth and members are draws from the same distribution, all places are equally frequent and the
# histogram is flat. A hump in the middle means too much spread, two high ends too little; a slope is a bias.
#
# **Reliability.** The same as a curve: how often the truth lies below each quantile of the ensemble. On the diagonal
# the quantiles mean what they say.
#
# Bars and bands are the 5 to 95 % range over resampled days.

figure, (ranks, reliability) = plt.subplots(1, 2, figsize=(9, 4), layout='constrained')
for (name, rows), colour in zip(ensembles.items(), ('#d55e00', '#0072b2'), strict=True):
    value, low, high = np.array(rows['ranks'], float).T
    places = np.arange(len(value))
    ranks.plot(places, value, 'o-', color=colour, label=name)
    ranks.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    nominal, observed = rows['reliability']['nominal'], np.array(rows['reliability']['observed'], float)
    reliability.plot(nominal, observed[:, 0], 'o-', color=colour)
    reliability.fill_between(nominal, *observed[:, 1:].T, color=colour, alpha=0.2, linewidth=0)
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

for name, scores in json.loads((workdir / 'scores.json').read_text()).items():
    if 'spread_skill' in scores:
        print(f'{name:11} spread/skill {scores["spread_skill"]:.2f}, CRPS {scores["crps"]:.3f} m')

# %%
# Look at the ends of the rank histogram first. After such a short training a temperature can correct the width of the
# ensemble, but not its shape.
#
# Read on: :doc:`/guides/samplers` for the temperature, :doc:`/guides/evaluation` for the other figures of a report.
