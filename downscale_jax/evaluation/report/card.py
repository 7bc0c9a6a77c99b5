"""The model card of a run: model, data, scores, intended use, and limits.

After Mitchell et al. (2019), Model cards for model reporting, https://doi.org/10.1145/3287560.3287596.
"""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from downscale_jax.evaluation.report.html import TEMPLATES, Grid
from downscale_jax.evaluation.results import Publication
from downscale_jax.fields.datasets.dates import listed
from downscale_jax.runtime.files import write_text

LIBRARIES = ('downscale_jax', 'jax', 'flax')
SPLITS = ('train', 'validation', 'test')
PATHS = ('path', 'coarse', 'fine')
VARIABLES = ('variables', 'targets', 'target', 'predictors', 'inputs')
SIMULATED = (
    'The training data are idealised and simulated: the scores show that the method works, not how well it does '
)


def write(path: Path, publication: Publication, scores: Sequence[Grid]) -> None:
    """Writes the card completely or not at all, with the tables of `scores`.

    Raises UserError if the file cannot be written.
    """
    data = publication.config['data']
    simulated = [] if files(data) else [f'{SIMULATED}on real data.']
    card = TEMPLATES.get_template('card.md.j2').render(
        title=publication.title,
        lead=publication.lead,
        facts={label: in_a_cell(value) for label, value in facts(publication.config).items()},
        scores=scores,
        limits=[' '.join(note.split()) for note in (*simulated, *publication.notes)] or ['None known.'],
    )
    write_text(path, card)


def facts(config: Mapping[str, Any]) -> dict[str, str]:
    """System, data, variables, splits and versions, in words."""
    data = config['data']
    return {
        'system': config['system'],
        'training data': ', '.join(files(data)) or 'simulated by this program',
        **{key: in_words(data[key]) for key in VARIABLES if data.get(key)},
        **{f'{split} split': listed(data[split]) for split in SPLITS if data.get(split)},
        'seed': str(config['seed']),
        'versions': ', '.join(f'{name} {version(name)}' for name in LIBRARIES),
        'Python': platform.python_version(),
    }


def files(data: Mapping[str, Any]) -> list[str]:
    """The files of the training data, none where they are simulated."""
    return [str(data[key]) for key in PATHS if data.get(key)]


def in_words(value: Any) -> str:
    return value if isinstance(value, str) else ', '.join(map(str, value))


def in_a_cell(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace('|', '\\|').replace('\n', ' ')
