"""
An ensemble of sea ice
======================

Satellites see the thickness of sea ice as a mean over some hundred kilometres; leads and ridges are a few kilometres
wide. Many fine fields fit one coarse field, so the answer is an ensemble. This page trains a small diffusion model on
idealised ice and draws members for a day that it has not seen.
"""

# %%
# Train
# -----
#
# `train` does what ``python main.py --config=configs/diffusion_sit.py:smoke`` does, with some settings replaced: a
# regression is trained first, then a diffusion model on what the regression leaves unexplained.

from shared_runs import SEA_ICE, held_out, maps, train

import downscale_jax
from downscale_jax.systems.downscaler import Downscaler

for name, value in SEA_ICE.items():
    print(f'{name} = {value}')
workdir = train('diffusion_sit:smoke', SEA_ICE, 'sea_ice')

# %%
# Downscale
# ---------
#
# A trained work directory is all that is needed from here on. The coarse input is an ordinary data set: one that you
# opened with xarray would do.

model = downscale_jax.load(workdir, Downscaler)
coarse, truth = held_out(model, 1)
print(coarse)

# %%
# The noise of a member belongs to its number, the seed, the time and the place. The same call gives the same members,
# and member 3 is the same field in an ensemble of 4 and of 100.

fine = model.downscale(coarse, members=8, seed=0)['sit']
print(fine)

# %%
# Look
# ----
#
# Each member is a field that could be true. Their mean is smooth where nothing is known about the place of leads and
# ridges; their spread says how much is unknown.

day = fine.isel(time=0)
maps(
    {
        'coarse input': coarse['sit'].isel(time=0),
        'mean of 8 members': day.mean('member'),
        'member 1': day.isel(member=0),
        'member 2': day.isel(member=1),
        'truth': truth['sit'].isel(time=0),
    },
    'thickness (m)',
)

# %%
# Look at the roughness of the thick ice: members have it, the mean does not. The truth has lines, leads and ridges; a
# network trained for seconds draws texture instead. The :doc:`default configuration </systems/sea_ice_results>` trains
# for minutes.
#
# Read on: how to tell whether the spread is right (:doc:`calibration`), and how the same model is applied to
# :doc:`gappy observations <observations>`.
