"""
Glaciers: outlines and their change
===================================

Outlines of glaciers are drawn by hand, once in a decade. A network that has learned from one inventory draws them in
every scene, and errors that it makes at both dates cancel in the change of area.
"""

# %%
# Train
# -----
#
# A simulated mountain range with its relief, its ice and five-band scenes at two dates; the outlines of the first date
# have the errors of a manual inventory. Glaciers are divided by longitude into three parts. The network has not seen
# those of the western part.

import geopandas
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from shared_runs import RUNS, train

import downscale_jax
from data_prep.prepare import prepare
from downscale_jax.fields.transforms.scenes import SceneTransform
from downscale_jax.pipeline.glaciers import imagery_of, inputs
from downscale_jax.systems.glacier_map import GlacierMap

settings = {
    'data.simulate': {'rows': 256, 'columns': 512, 'scenes': 2},
    'model.widths': (12, 16),
    'model.bottleneck': 24,
    'training.main.steps': 120,
    'training.validate_every': 60,
}
workdir = train('glaciers:smoke', settings, 'glaciers')
model = downscale_jax.load(workdir, GlacierMap)

# %%
# One row per glacier
# -------------------
#
# A run writes ``areas.gpkg``, which any geographical information system opens: the outline of each test glacier, its
# area at both dates, and the rate of change with its uncertainty. The simulation knows the true rate.

areas = geopandas.read_file(workdir / 'areas.gpkg').set_index('id')
print(areas[['area_first_km2', 'area_later_km2']].round(2))
print(areas[['rate_km2_per_year', 'sigma_km2_per_year', 'true_rate_km2_per_year']].round(3))

# %%
# One scene
# ---------
#
# `mapper` gives the probability of ice in every cell of an image of bands and relief. Scenes of your own go through
# ``model.map(scenes, outlines, elevation)``.

prepared = prepare(model.config['data'], model.config['seed'], RUNS / 'data')
imagery = imagery_of(prepared)
bands, clear = imagery.scene(0)
image = np.concatenate([bands, imagery.relief], -1)
probability = model.mapper.probability(inputs(prepared.transform_as(SceneTransform), image), clear)

# %%
# False colours: short-wave and near infrared show ice in blue, rock in brown and grass in green.

west = np.s_[:, :256]
colours = bands[west][..., [4, 3, 1]]  # SWIR, near infrared, green
figure, axes = plt.subplots(figsize=(8, 8), layout='constrained')
axes.imshow(np.nan_to_num(np.clip(colours / np.nanquantile(colours, 0.98), 0, 1), nan=0.9))
for ice, colour in ((prepared.statics['ice'].values[0], 'white'), (probability > 0.5, 'gold')):
    axes.contour(ice[west], [0.5], colors=colour, linewidths=1.2)
lines = [Line2D([], [], color=colour, label=name) for name, colour in {'true ice': 'white', 'network': 'gold'}.items()]
axes.legend(handles=lines, loc='lower right', facecolor='0.3', labelcolor='white')
axes.set(xticks=[], yticks=[])

# %%
# Look at the tongues: debris hides the ice there, and the network, trained for seconds, follows the bright ice only. It
# misses the same ice at both dates, so that the change of area is better than the areas.
#
# Read on: :doc:`/systems/glaciers` for the default size, rivals such as band ratios, and real scenes.
