"""
A content loss for a GAN
========================

The squared error makes fields smooth: where fine structure is uncertain, their mean has the smallest error. A GAN adds
structure, and its content loss says how far the generator may go. This page compares the power of three generators.
"""

# %%
# Three generators
# ----------------
#
# One is trained on the squared error alone. It is the start of two GANs, whose content loss is the squared error, or
# the :doc:`learned distance <atmodist_distance>` of an AtmoDist trained on the same simulated atmosphere.

import json

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import ATMOSPHERE, train

encoder = train('atmodist:smoke', ATMOSPHERE, 'atmosphere')
settings = {
    'contents': ('mse', 'atmodist'),
    'content.workdir': str(encoder),
    'content.model.widths': ATMOSPHERE['model.widths'],
    'data.simulate': {**ATMOSPHERE['data.simulate'], 'seed': 0},
    **{f'data.{split}': ATMOSPHERE[f'data.{split}'] for split in ('train', 'validation', 'test')},
    'data.factor': 2,
    'model.factors': (2,),
    'model.width': 16,
    'training.mse.steps': 600,
    'training.gan.steps': 100,
    'training.validate_every': 50,
    'evaluation.records': 12,
    'evaluation.measures': ('pointwise', 'spectra'),
}
workdir = train('srgan:smoke', settings, 'content_loss')

# %%
# Power by wavelength
# -------------------
#
# The measure `spectra` keeps the power of every method beside that of the truth in ``details.json``.

spectra = json.loads((workdir / 'details.json').read_text())['spectra']
waves = 40_030 / np.array(spectra['wavelength_km'])  # around the globe
resolved = waves <= 20  # the simulation holds no shorter waves
figure, axes = plt.subplots(figsize=(7, 4), layout='constrained')
for method, powers in spectra['methods'].items():
    axes.plot(waves[resolved], np.array(powers['vorticity'], float)[resolved, 0], label=method)
axes.axhline(1, color='black', linewidth=0.8)
axes.set(xlabel='waves around the globe', ylabel='power of vorticity / truth', ylim=(0, 2))
axes.legend(frameon=False)

# %%
# Structure in the wrong place counts twice in the squared error, so that a GAN may pay for it. The weight of the
# adversarial loss is small here, and the content loss goes on training: the GANs have the smaller error.

for method, scores in json.loads((workdir / 'scores.json').read_text()).items():
    print(f'{method:14} RMSE of vorticity {scores["rmse_vorticity"]:.2e} s-1')

# %%
# Look at 10 to 16 waves, where the interpolation has lost half of the power and the generators keep most of it. Beyond
# that the truth has hardly any power, and they overshoot. After so few steps the GANs have moved little from their
# start; :doc:`/systems/srgan_results` compares them after minutes.
