"""All folds of the glacier system: each glacier is tested once, and the predictions of all folds are scored together.

    python -m experiments.glacier_folds --config=configs/glaciers.py --root=runs/glacier_folds

Folds share the prepared data. A fold that is finished is not run again, and a killed one resumes. Under the root:
folds.csv (scores by fold and of all folds together, with 5 and 95 % quantiles over resampled glaciers), classes.csv
(IoU of all folds by size and debris cover), areas.csv and areas.gpkg (all glaciers), and tables on the terminal. The
regional rate of all folds is that of the whole region.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from downscale_jax.evaluation.glaciers.change import Change
from downscale_jax.evaluation.glaciers.outcome import Outcome, all_scores
from downscale_jax.evaluation.glaciers.report import classes_of
from downscale_jax.evaluation.glaciers.tables import write_package
from downscale_jax.runtime.errors import UserError
from experiments.command_line import Parser, run_program
from experiments.many_runs import Run, markdown, parse_overrides, resolve, run_all, show, write_csv

if TYPE_CHECKING:
    import geopandas

COLUMNS = ('fold', 'method', 'iou', 'precision', 'recall', 'f1', 'accuracy', 'boundary', 'debris_recall', 'rate',
           'rate_error')  # fmt: skip
TOGETHER = 'all'


def arms(config: str, overrides: Mapping[str, Any]) -> list[Run]:
    """One run per fold."""
    count = resolve(config, overrides)['data.folds']
    if 'data.fold' in overrides:
        raise UserError(f'--config.data.fold={overrides["data.fold"]}: all folds are run; leave it out')
    return [Run(f'fold_{fold}', {**overrides, 'data.fold': fold}) for fold in range(count)]


def outcome(details: Mapping[str, Any], area: np.ndarray) -> Outcome:
    """The test glaciers that a details.json holds; their `area` [N] in km2."""
    held = details['glaciers']
    count = len(held['index'])
    missing = np.full((1, count), np.nan)

    def arrays(counts: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
        return {name: {key: np.array(values) for key, values in sums.items()} for name, sums in counts.items()}

    change: dict[str, Any] = {
        name: np.array(value, bool if name == 'outlier' else float) if isinstance(value, list) else value
        for name, value in held['change'].items()
    }
    return Outcome(
        counts=arrays(held['counts']),
        later=arrays(held['later']),
        change=Change(**change) if change else None,
        chosen=np.ones(count, bool),
        area=area,
        displacement=np.nan,
        clouded=missing,
        clouded_one_scene=missing,
    )


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """The glaciers of several folds as those of one."""
    first = outcomes[0]

    def joined(part: str) -> dict[str, dict[str, np.ndarray]]:
        return {
            name: {key: np.concatenate([getattr(o, part)[name][key] for o in outcomes]) for key in sums}
            for name, sums in getattr(first, part).items()
        }

    change = None
    if first.change is not None:
        parts = [outcome.change._asdict() for outcome in outcomes if outcome.change is not None]
        fields: dict[str, Any] = {
            name: np.concatenate([part[name] for part in parts]) if isinstance(value, np.ndarray) else value
            for name, value in parts[0].items()
        }
        change = Change(**fields)
    chosen, area = (np.concatenate([getattr(o, name) for o in outcomes]) for name in ('chosen', 'area'))
    return first._replace(counts=joined('counts'), later=joined('later'), change=change, chosen=chosen, area=area)


def rows(fold: str, scores: Mapping[str, Mapping[str, np.ndarray]]) -> list[dict[str, Any]]:
    """One row per method: {'fold', 'method', score: value, score_5, score_95}."""
    table = []
    for method, row in scores.items():
        cells = {f'{name}{suffix}': float(value) for name, estimate in row.items()
                 for suffix, value in zip(('', '_5', '_95'), estimate, strict=True)}  # fmt: skip
        table.append({'fold': fold, 'method': method, **cells})
    return table


def class_rows(everything: Outcome) -> list[dict[str, Any]]:
    """One row per class of size and of debris cover: {'by', 'class', 'glaciers', method: IoU, method_5, method_95}."""
    table = []
    for title, glaciers, iou in classes_of(everything):
        for name, found in iou.items():
            cells = {f'{method}{suffix}': float(value) for method, estimate in found.items()
                     for suffix, value in zip(('', '_5', '_95'), estimate, strict=True)}  # fmt: skip
            table.append({'by': title, 'class': name, 'glaciers': glaciers[name], **cells})
    return table


def merge_areas(frames: 'Sequence[geopandas.GeoDataFrame]', root: Path) -> None:
    """Writes the glaciers of all folds to one table and one GeoPackage."""
    import geopandas
    import pandas

    frame = pandas.concat(frames, ignore_index=True)
    write_package(geopandas.GeoDataFrame(frame), root / 'areas.gpkg')
    frame.drop(columns='geometry').to_csv(root / 'areas.csv', index=False)


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/glaciers.py', help='a variant may follow: FILE:smoke')
    parser.add_argument('--root', type=Path, default=Path('runs/glacier_folds'))
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args()
    runs = arms(options.config, parse_overrides(others))
    if options.dry_run:
        print(show(runs, options.config, options.root))
        return 0
    finished = run_all(runs, options.config, options.root)
    if len(finished) < len(runs):
        return 1
    publish([options.root / run.name for run in runs], options.root)
    return 0


def publish(folders: Sequence[Path], root: Path) -> None:
    """Writes and prints the tables of the finished folds."""
    import geopandas

    frames = [geopandas.read_file(folder / 'areas.gpkg') for folder in folders]
    outcomes = [
        outcome(json.loads((folder / 'details.json').read_text()), frame['area_km2'].values)
        for folder, frame in zip(folders, frames, strict=True)
    ]
    everything = together(outcomes)
    table = [row for folder, one in zip(folders, outcomes, strict=True) for row in rows(folder.name, all_scores(one))]
    table += rows(TOGETHER, all_scores(everything))
    classes = class_rows(everything)
    write_csv(root / 'folds.csv', table)
    write_csv(root / 'classes.csv', classes)
    merge_areas(frames, root)
    print(f'\n{markdown(table, COLUMNS)}\n\n{markdown(classes, ("by", "class", "glaciers", *everything.counts))}\n')


if __name__ == '__main__':
    run_program(main)
