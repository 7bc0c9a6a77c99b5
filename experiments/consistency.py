"""Numbers and a table from sums of `evaluation.statistics.consistency`."""

import numpy as np

from downscale_jax.evaluation.statistics.bootstrap import Sums, ratio


def summarise(sums: Sums) -> dict[str, float]:
    """Bias, RMSE and correlation of a member and of the mean, filtered back, against the input; shares of the sea.

    The bias is the same for both. Cells without a value count as `missing`, those with all of their box as `compared`.
    NaN where nothing could be compared.
    """
    sea, known, compared = sums['areas']
    result = {'missing': 1 - known / sea, 'compared': compared / sea, 'bias': ratio(sums['mean'][1], sums['mean'][0])}
    for name in ('member', 'mean'):
        square, x, y, xx, yy, xy = ratio(sums[name][2:], sums[name][0])
        spread = np.sqrt(np.maximum((xx - x**2) * (yy - y**2), 0))
        result |= {f'rmse_{name}': np.sqrt(square), f'correlation_{name}': ratio(xy - x * y, spread)}
    return {name: float(value) for name, value in result.items()}


def table(rows: dict[str, dict[str, float]], units: str) -> str:
    """Markdown table from `{name: summarise(sums)}`, one row per name, such as a day or a field."""
    names = list(next(iter(rows.values())))
    lines = [f'| [{units}] | {" | ".join(name.replace("_", " of the ") for name in names)} |']
    lines += ['|---' * (len(names) + 1) + '|']
    lines += [
        f'| {row} | ' + ' | '.join(f'{scores[name]:.4g}' for name in names) + ' |' for row, scores in rows.items()
    ]
    return '\n'.join(lines)
