"""Publishing of an evaluation: scores.json, details.json, figures, report.html, card.md and the table of scores."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from downscale_jax.evaluation.drawing import style
from downscale_jax.evaluation.report import card, html
from downscale_jax.evaluation.results import Definition, Estimate, Publication
from downscale_jax.runtime import messages
from downscale_jax.runtime.files import write_json

Scores = dict[str, dict[str, float]]  # {method: {score: number}}


def publish(publication: Publication, workdir: Path) -> Scores:
    """Writes all files and returns {method: {score: number}} without undefined scores, as in scores.json.

    details.json holds the scores with their intervals, {'scores': {method: {score: [3]}}}, beside the publication's
    details. Raises UserError if a file cannot be written.
    """
    table = numbers(publication.scores, publication.definitions)
    write_json(workdir / 'scores.json', {method: dict(sorted(row.items())) for method, row in table.items()})
    write_json(workdir / 'details.json', plain({'scores': publication.scores, **publication.details}))
    folder = workdir / 'figures'
    folder.mkdir(exist_ok=True)
    for figure in publication.figures:
        style.save(figure.drawing, folder / figure.file)
    html.write(workdir / 'report.html', publication, folder)
    card.write(workdir / 'card.md', publication, html.score_grids(publication))
    messages.info(text_table(table, publication.definitions))
    messages.info(f'\nreport: {workdir / "report.html"}')
    return table


def numbers(scores: Mapping[str, Mapping[str, Estimate]], definitions: Mapping[str, Definition]) -> Scores:
    """{method: {score: number}} in the order of the definitions, without undefined scores."""
    return {
        method: {name: float(row[name][0]) for name in definitions if name in row and np.isfinite(row[name][0])}
        for method, row in scores.items()
    }


def plain(value: Any) -> Any:
    """The value for JSON: named tuples become mappings, arrays become lists, and NaN becomes None."""
    if hasattr(value, '_asdict'):
        value = value._asdict()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if np.ndim(value):
        return [plain(item) for item in value]
    return float(value) if math.isfinite(value) else None


def text_table(table: Scores, definitions: Mapping[str, Definition]) -> str:
    """The scores for the terminal: one column per method, one row per score."""
    lines = ['', f'{"":28}' + ''.join(f'{method:>17}' for method in table)]
    for name in definitions:
        if any(name in row for row in table.values()):
            cells = (f'{row[name]:17.4g}' if name in row else f'{"":>17}' for row in table.values())
            lines.append(f'{name:28}' + ''.join(cells))
    return '\n'.join(lines)
