"""
Several variables at once
=========================

A member is one state of the climate: its temperature belongs to its rain. Variables downscaled separately keep the
part of this link that the relief explains, and lose the rest. This page measures both.
"""

# %%
# A DPDM is trained on monthly temperature and precipitation over idealised mountains; both are channels of one network,
# and one noise field serves both.

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import MOUNTAINS, held_out, train

import downscale_jax
from downscale_jax.systems.downscaler import Downscaler

model = downscale_jax.load(train('diffusion_dpdm:smoke', MOUNTAINS, 'mountains'), Downscaler)
coarse, truth = held_out(model, 6)
fine = model.downscale(coarse, members=8, seed=0)
fine, truth = (fields.assign(rain=np.log1p(fields['tp'])) for fields in (fine, truth))  # rain is skewed

# %%
# Two correlations
# ----------------
#
# **Within blocks.** The coarse field gives the mean of each block of 10 x 10 cells; what varies inside is downscaled.
# There, high cells are cold and wet, so that temperature and rain are correlated.
#
# **Of the noise.** The ensemble mean holds what the relief and the coarse field determine. What is left differs from
# member to member; for the truth it is what the ensemble mean misses.


def within_blocks(field):
    """A field minus the mean of each block."""
    mean = field.coarsen(lat=10, lon=10).mean().values
    return field.values - np.repeat(np.repeat(mean, 10, -2), 10, -1)


def by_month(first, second):
    """Correlation over the cells of each month, (..., time)."""
    first, second = (x - x.mean((-2, -1), keepdims=True) for x in (first, second))
    return (first * second).mean((-2, -1)) / (first.std((-2, -1)) * second.std((-2, -1)))


inside = {
    name: by_month(within_blocks(fields['t2m']), within_blocks(fields['rain']))
    for name, fields in {'truth': truth, 'members': fine}.items()
}
mean = fine.mean('member')
temperature, rain = ((fine[name] - mean[name]).values for name in ('t2m', 'rain'))
missed = ((truth[name] - mean[name]).values for name in ('t2m', 'rain'))
noise = {
    'truth': by_month(*missed),
    'members': by_month(temperature, rain),
    'drawn apart': by_month(temperature, np.roll(rain, 1, axis=0)),
}

# %%
# `drawn apart` takes the temperature of one member and the rain of another.

figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout='constrained')
months = truth['time'].dt.strftime('%b').values
looks = {'truth': 'ko-', 'members': 'C0.', 'drawn apart': 'C1.'}
for panel, correlations in zip(panels, (inside, noise), strict=True):
    for name, values in correlations.items():
        first, *others = np.atleast_2d(values)
        panel.plot(months, first, looks[name], label=name)
        for other in others:
            panel.plot(months, other, looks[name])
    panel.axhline(0, color='0.6', linewidth=0.8)
    panel.legend(frameon=False)
panels[0].set(title='within blocks', ylabel='correlation of temperature and rain')
panels[1].set(title='of the noise')

# %%
# Left, members follow the truth in most months: this link is relief, and would survive in separate models. Right, the
# noise of a member has a correlation of its own, weaker than that of the truth after so short a training; fields drawn
# apart have none.
#
# Read on: :doc:`/systems/dpdm` for the method; the frequency of :doc:`hot and dry months </systems/dpdm_results>`
# depends on this link.
