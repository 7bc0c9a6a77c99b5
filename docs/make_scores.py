"""The page docs/scores.md: `python docs/make_scores.py > docs/scores.md`."""

from collections.abc import Mapping

from downscale_jax.evaluation import fields
from downscale_jax.evaluation.glaciers import scores as glaciers
from downscale_jax.evaluation.lags import scores as lags
from downscale_jax.evaluation.results import Definition

INTRODUCTION = """# Scores

Every score has one definition: in `downscale_jax/evaluation/scores.toml` for downscalers, in
`downscale_jax/evaluation/lags/scores.toml` for AtmoDist and in `downscale_jax/evaluation/glaciers/scores.toml` for
glaciers. Reports print the same text. With several variables the name
of the variable is appended (`crps_t2m`), and scores over a zone of the coarse field end with its name (`crps_ice`).
The unit is that of the variable where it says "field". `details.json` holds the 5 and 95 % quantiles of every score
over resampled blocks of times, for glaciers over resampled glaciers.
"""


def markdown() -> str:
    """The page: one table for each kind of system."""
    kinds = {'Downscalers': fields, 'AtmoDist': lags, 'Glaciers': glaciers}
    parts = [INTRODUCTION]
    for title, module in kinds.items():
        parts += [f'## {title}\n', table(module.DEFINITIONS)]
    return '\n'.join(parts)


def table(definitions: Mapping[str, Definition]) -> str:
    """One row per score."""
    rows = ['| name | score | unit | best | definition |', '|---|---|---|---|---|']
    for name, score in definitions.items():
        formula = score.formula.replace('|', '\\|')
        rows.append(f'| `{name}` | {score.long_name} | {score.unit} | {score.direction} | {formula} |')
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    print(markdown(), end='')
