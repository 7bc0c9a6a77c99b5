"""Test pairs -> how well the lag is told -> scores.json."""

import numpy as np

from downscale_jax.pipeline.records import Prepared
from downscale_jax.runtime.files import write_json
from downscale_jax.systems.atmodist import LearnedDistance


def evaluate(opened: LearnedDistance, prepared: Prepared) -> dict[str, dict[str, float]]:
    """Scores the classifier of lags on pairs of the test split. Returns {method: {score: number}}."""
    split = prepared.split('test')
    chosen = np.unique(np.linspace(0, len(split) - 1, opened.config['evaluation']['pairs']).round().astype(int))
    hits, errors = [], []
    for start in range(0, len(chosen), 64):
        records = [split[int(i)] for i in chosen[start : start + 64]]
        first, second = (
            prepared.log_transform.encode(np.stack([r[name] for r in records])) for name in ('first', 'second')
        )
        told = np.asarray(opened.task.probabilities(opened.params, first, second)).argmax(-1) + 1
        lag = np.array([r['lag'] for r in records])
        hits.append(told == lag)
        errors.append(np.abs(told - lag) * prepared.meta['step_hours'])
    table = {
        'atmodist': {
            'accuracy': float(np.concatenate(hits).mean()),
            'lag_error': float(np.concatenate(errors).mean()),
        }
    }
    write_json(opened.workdir / 'scores.json', table)
    print(table)
    return table
