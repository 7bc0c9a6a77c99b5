"""
Your own two files
==================

A coarse file with predictors and a fine file with targets, on any two grids, over a common period: that is all that
a model of pairs needs. This page writes two such files, so that it runs without any download, and then treats them as
you would treat yours.
"""

# %%
# Two files
# ---------
#
# The simulated climate stands for a reanalysis on cells of 2 degrees and observations on cells of 0.2 degrees.
# The coarse model is biased, smoother than its cells, and wrong in its own way in every month.

import xarray as xr
from shared_runs import RUNS, maps, train

import downscale_jax
from data_prep.simulators import coarse_model
from downscale_jax.systems.downscaler import Downscaler

folder = RUNS / 'two_files'
if not folder.exists():
    folder.mkdir(parents=True)
    pair = coarse_model.simulate(seed=0, rows=60, columns=80, months=120)
    pair.coarse.to_netcdf(folder / 'coarse.nc')
    pair.fine.to_netcdf(folder / 'fine.nc')
print(xr.open_dataset(folder / 'coarse.nc'))
print(xr.open_dataset(folder / 'fine.nc'))

# %%
# Train
# -----
#
# On the command line this would be ``python main.py --config=configs/pairs.py:smoke --config.data.coarse=coarse.nc
# --config.data.fine=fine.nc``. Everything else, such as predictors, units, transforms and the split into training,
# validation and test, is chosen from the files; the work directory keeps the choices.

settings = {
    'data.coarse': str(folder / 'coarse.nc'),
    'data.fine': str(folder / 'fine.nc'),
    'training.main.steps': 100,
    'training.validate_every': 50,
    'evaluation.calibration_records': 0,
    'evaluation.measures': ('pointwise',),
}
workdir = train('pairs:smoke', settings, 'own_files')
model = downscale_jax.load(workdir, Downscaler)
for name in ('predictors', 'targets', 'target_units', 'transform', 'train', 'validation', 'test', 'context'):
    print(f'data.{name} = {model.config["data"][name]}')

# %%
# Downscale
# ---------
#
# Any file of the coarse source will do. Here it is the last month, which is in the test split.

coarse = xr.open_dataset(folder / 'coarse.nc').isel(time=[-1])
fine = model.downscale(coarse, members=8)
print(fine)

# %%
# Rain of that month: the coarse model puts it in the wrong place. The ensemble has learned where it rains, from a
# linear regression at each grid point and from the network.

truth = xr.open_dataset(folder / 'fine.nc')['tp'].isel(time=-1)
rain = fine['tp'].isel(time=0)
inside = dict(lat=slice(*sorted(truth.lat.values[[0, -1]])), lon=slice(*truth.lon.values[[0, -1]]))
maps(
    {
        'coarse file': coarse['tp'].isel(time=0).sortby('lat').sel(inside),
        'member 1': rain.isel(member=0),
        'mean of 8 members': rain.mean('member'),
        'fine file': truth,
    },
    'precipitation (mm/day)',
)

# %%
# Compare the wet belts: they follow mountains that the coarse file does not have. Members differ where the coarse file
# leaves the rain open; they are noisier than the fine file, because the network was trained for seconds.
#
# Read on: :doc:`/get_started/own_data` for files of other kinds, :doc:`/systems/pairs` for the method and its scores
# with the default size.
