"""
Extending: a measure
====================

Scores answer questions, and yours may be missing. A measure is one class: it adds up what it needs time by time and
returns scores at the end. This page asks how much ice is thicker than 3.2 m, since thick ice stops ships.
"""

# %%
# The class
# ---------
#
# `add` sees one scored time with the truth and all methods; `result` returns `{method: {score: estimate}}`. Sums go
# through an `Accumulator`, which also resamples times to give each score an interval. Ratios are formed last, from sums
# over all times.

import shutil

import matplotlib.pyplot as plt
import numpy as np
from shared_runs import RUNS, SEA_ICE, train

from data_prep.prepare import prepare
from downscale_jax.evaluation.fields import DEFINITIONS
from downscale_jax.evaluation.measures import MEASURES
from downscale_jax.evaluation.protocol import Sample, Setting
from downscale_jax.evaluation.results import Definition, Result
from downscale_jax.evaluation.statistics.bootstrap import Accumulator, ratio
from downscale_jax.systems import load
from downscale_jax.systems.downscaler import Downscaler

LIMIT = 3.2  # m


class ThickIce:
    """Area of ice thicker than LIMIT, of each member, over that of the truth."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.sums = setting, Accumulator()

    def add(self, sample: Sample) -> None:
        for field in sample.fields(self.setting):
            thick = (field.members > LIMIT).mean(0)
            area = {'thick': thick, 'true': np.nan_to_num(field.truth) > LIMIT}
            self.sums.add(field.method, sample.stamp, {k: (v * field.weight).sum() for k, v in area.items()})

    def result(self) -> Result:
        return Result(self.sums.all_estimates(lambda sums: {'thick_ice': ratio(sums['thick'], sums['true'])}))


# %%
# Make it known
# -------------
#
# In the package these are one line in `evaluation/measures/__init__.py` and a few lines in `evaluation/scores.toml`;
# the report, the tables and the documentation of scores follow from them.

MEASURES['thick_ice'] = ThickIce
DEFINITIONS['thick_ice'] = Definition(
    long_name='Area of thick ice over that of the truth',
    direction='nearer 1 is better',
    unit='1',
    group='Extremes',
    formula=f'Area of cells above {LIMIT} m, of all members, over the same of the truth.',
)

# %%
# Use it
# ------
#
# In the package: ``--mode=evaluate --config.evaluation.measures="('thick_ice',)"``. Here the setting is made on the
# opened model, because settings are checked against the measures of the package. The ensembles of the evaluation are in
# their stores already, so that no field is generated again. (The copy keeps the scores of the model for other pages.)

workdir = train('diffusion_sit:smoke', SEA_ICE, 'sea_ice')
model = load(shutil.copytree(workdir, RUNS / 'new_measure', dirs_exist_ok=True), kind=Downscaler)
model.config = {**model.config, 'evaluation': {**model.config['evaluation'], 'measures': ('thick_ice',)}}
scores = model.system.evaluate(model, prepare(model.config['data'], model.config['seed'], RUNS / 'data'))
for method, row in scores.items():
    print(f'{method:11}', row)

# %%
# Look
# ----

figure, axes = plt.subplots(figsize=(6.5, 2.8), layout='constrained')
axes.barh(list(scores), [row['thick_ice'] for row in scores.values()], color='#0072b2')
axes.axvline(1, color='black', linewidth=0.8)
axes.invert_yaxis()
axes.set(xlabel=f'area of ice thicker than {LIMIT:g} m, over the truth')

# %%
# The coarse field and the regression are means, and know no extremes. Members have an area of thick ice of their own:
# here too much of it, less so at the fitted temperature. A score of your own shows what the usual ones hide.
#
# Read on: :doc:`/scores` for all scores that exist, :doc:`/about/contributing` for the steps in the package.
