"""
Glaciers: area and its change
=============================

Outlines of glaciers are drawn by hand, once in a decade. A network that has learned from one inventory draws them in
every scene, and errors that it makes at both dates cancel in the difference.
"""

# %%
# Train
# -----
#
# A simulated mountain range with its relief, its ice and five-band scenes at two dates; the outlines of the first date
# have the errors of a manual inventory. Glaciers are divided by longitude: those of one part are for test.

import geopandas
import matplotlib.pyplot as plt
import numpy as np
from shared_runs import train

settings = {
    'data.simulate': {'rows': 256, 'columns': 512, 'scenes': 2},
    'model.widths': (12, 16),
    'model.bottleneck': 24,
    'training.main.steps': 120,
    'training.validate_every': 60,
}
workdir = train('glaciers:smoke', settings, 'glaciers')

# %%
# One row per glacier
# -------------------
#
# A run writes ``areas.gpkg``, which any geographical information system opens: the outline of each test glacier, its
# area at both dates, and the rate of change with its uncertainty.

areas = geopandas.read_file(workdir / 'areas.gpkg')
print(areas.drop(columns='geometry').head())

# %%
# Look
# ----

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout='constrained')
limit = np.nanquantile(np.abs(areas['rate_percent_per_year']), 0.9)
areas.plot('rate_percent_per_year', ax=left, cmap='RdBu', vmin=-limit, vmax=limit, legend=True,
           legend_kwds={'label': 'change of area (% per year)', 'shrink': 0.7})  # fmt: skip
left.set(xlabel='easting (m)', ylabel='northing (m)', title='outlines of the test fold')
left.ticklabel_format(style='plain', useOffset=False)
left.tick_params(axis='x', rotation=30)
right.errorbar(
    areas['true_rate_km2_per_year'], areas['rate_km2_per_year'], areas['sigma_km2_per_year'], fmt='o', elinewidth=0.8
)
right.axline((0, 0), slope=1, color='black', linewidth=0.8)
right.set(xlabel='true change (km² per year)', ylabel='estimated change (km² per year)', title='glacier by glacier')

# %%
# Points on the line are right; bars are one standard deviation, and most of them should reach the line. A network that
# was trained for seconds misses ice, but mostly the same ice at both dates.
#
# Read on: :doc:`/systems/glaciers` for the default size, rivals such as band ratios, and real scenes.
