"""
Ice crystals without labels
===========================

Cloud probes photograph millions of ice crystals, and nobody has labelled them. An autoencoder orders their silhouettes
in a plane, where crystals of a kind lie together.
"""

# %%
# Train
# -----
#
# Frozen droplets and bullet rosettes, simulated as solids and projected in random directions. The network compresses
# each silhouette to two numbers; it never sees which kind a crystal is.

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from shared_runs import RUNS, train

import downscale_jax
from data_prep.prepare import prepare
from downscale_jax.systems.crystal_vae import CrystalLatents

settings = {
    'data.simulate': {'crystals': 120, 'orientations': 3},
    'data.size': 24,
    'model.widths': (8, 16),
    'training.main.steps': 400,
    'training.validate_every': 200,
}
model = downscale_jax.load(train('crystal_vae:smoke', settings, 'crystals'), CrystalLatents)

# %%
# Embed
# -----
#
# `embed` takes photographs: a folder of PNG files, an archive or an array. Here they are crystals of the test split.

split = prepare(model.config['data'], model.config['seed'], RUNS / 'data').split('test')
records = [split[index] for index in range(len(split))]
images = np.stack([record['image'][..., 0] for record in records])
kinds = np.array([record['label'] for record in records])
codes = model.embed(images)
print(dict(codes.sizes))

# %%
# Look
# ----

figure, axes = plt.subplots(figsize=(7.5, 6), layout='constrained')
for kind, name in enumerate(model.config['data']['habits']):
    axes.plot(*codes.values[kinds == kind].T, 'o', markersize=4, alpha=0.6, label=name.replace('_', ' '))
for index in range(0, len(images), len(images) // 24):
    shadow = np.zeros((*images[index].shape, 4))
    shadow[..., 3] = images[index]  # transparent where there is no crystal
    picture = OffsetImage(shadow, zoom=1.0)
    axes.add_artist(AnnotationBbox(picture, codes.values[index], frameon=False, pad=0))
axes.set(xlabel='first latent', ylabel='second latent')
axes.legend(frameon=False)

# %%
# The two kinds fall apart although no label was given. Within the rosettes the plane sorts by how far the arms fill
# their circle, whatever the direction from which a crystal was seen.
#
# Read on: :doc:`/systems/crystal_vae` for scores beside principal components, which do as well here, and
# :doc:`/systems/rosettes` for networks that infer density and number of arms.
