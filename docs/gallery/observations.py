"""
Observations with gaps
======================

A satellite product has a grid of its own, a coast that it cannot see, and swaths without data. A model that was trained
on complete simulated fields can still use it, if its inputs are made as smooth as those of training.
"""

# %%
# A product
# ---------
#
# The idealised ice of :doc:`sea_ice`, as an altimeter would deliver it: means over cells of 24 km, with a swath
# missing. Concentration and drift come on coarser grids.

from shared_runs import SEA_ICE, held_out, maps, train

import downscale_jax
from data_prep.readers.observed import Observed, to_inputs
from data_prep.simulators.sea_ice import simulate
from downscale_jax.fields.datasets.canonical import canonical
from downscale_jax.systems.downscaler import Downscaler

model = downscale_jax.load(train('diffusion_sit:smoke', SEA_ICE, 'sea_ice'), Downscaler)
_, truth = held_out(model, 1)
ice = simulate(seed=0, **SEA_ICE['data.simulate']).sel(time=truth['time'])


def product(name, cells):
    """Means over blocks of `cells` x `cells` fine cells of 4 km."""
    return ice[[name]].coarsen(x=cells, y=cells, boundary='trim').mean(keep_attrs=True)


thickness = product('sit', 6)
east = (thickness['x'] + 0.5 * thickness['y']) / 1000
thickness['sit'] = thickness['sit'].where((east < 250) | (east > 350))
maps({'product': thickness['sit'].isel(time=0), 'truth': truth['sit'].isel(time=0)}, 'thickness (m)')

# %%
# To the model
# ------------
#
# `to_inputs` brings every product to the fine grid and smooths it to the kernel of training: variances of box filters
# add, so that a product of 24 km needs a box of the square root of 120 km squared minus 24 km squared.

products = {
    'sit': Observed(canonical(thickness, ['sit']), 24.0),
    'sic': Observed(canonical(product('sic', 6), ['sic']), 24.0),
    'divergence': Observed(canonical(product('divergence', 16), ['divergence']), 64.0),
    'shear': Observed(canonical(product('shear', 16), ['shear']), 64.0),
}
kernels = dict(zip(model.config['data']['inputs'], model.config['data']['kernel_km'], strict=True))
inputs = to_inputs(products, kernels, model.prepared.statics, 'sit')
fine = model.downscale(inputs, members=8)['sit'].isel(time=0)

# %%
# The swath is narrower than the kernel, so that the smoothed field continues across it. Wider gaps stay gaps: nothing
# is invented where nothing was observed.

maps(
    {
        'input of the model': inputs['sit'].isel(time=0),
        'member 1': fine.isel(member=0),
        'mean of 8 members': fine.mean('member'),
        'truth': truth['sit'].isel(time=0),
    },
    'thickness (m)',
)

# %%
# Compare member and truth along the swath: the large scales agree, leads and ridges are drawn at random.
#
# Read on: :doc:`/studies/observations` filters an ensemble back to the product and compares, and names the readers of
# real products.
