"""The page docs/scores.md: `python docs/make_scores.py > docs/scores.md`."""

from collections.abc import Mapping

from downscale_jax.evaluation import fields
from downscale_jax.evaluation.clouds import report as clouds
from downscale_jax.evaluation.clusters import scores as clusters
from downscale_jax.evaluation.crystals import scores as crystals
from downscale_jax.evaluation.glaciers import scores as glaciers
from downscale_jax.evaluation.lags import scores as lags
from downscale_jax.evaluation.results import Definition

INTRODUCTION = """# Scores

Every score has one definition, in `downscale_jax/evaluation/scores.toml` for downscalers and in a file of this name in
the folder of each other evaluation; reports print the same text. With several variables the name
of the variable is appended (`crps_t2m`), and scores over a zone of the coarse field end with its name (`crps_ice`).
The unit is that of the variable where it says "field". `details.json` holds the 5 and 95 % quantiles of every score
over resampled blocks of times, crystals, glaciers, or members of a simulation.
"""
TABLES = {
    'Downscalers': fields.DEFINITIONS,
    'AtmoDist': lags.DEFINITIONS,
    'Rosettes': crystals.DEFINITIONS,
    'Cloud VAE': clouds.DEFINITIONS,
    'Crystal VAE': clusters.DEFINITIONS,
    'Glaciers': glaciers.DEFINITIONS,
}


def markdown() -> str:
    """The page: one table for downscalers, and one for each other evaluation."""
    parts = [f'## {title}\n\n{table(definitions)}' for title, definitions in TABLES.items()]
    return '\n'.join([INTRODUCTION, *parts])


def table(definitions: Mapping[str, Definition]) -> str:
    """One row per score."""
    rows = ['| name | score | unit | best | definition |', '|---|---|---|---|---|']
    for name, score in definitions.items():
        formula = score.formula.replace('|', '\\|')
        rows.append(f'| `{name}` | {score.long_name} | {score.unit} | {score.direction} | {formula} |')
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    print(markdown(), end='')
