"""AtmoDist with and without its curriculum: does training start, and when?

    python -m experiments.curriculum [--few-steps 300] [--dry-run] [--config.KEY=VALUE ..]

Lags cannot be inferred from a network's first features, so the loss stays at chance before it falls. The published
remedy is a first phase on few pairs. This starts two runs of main.py with the same number of steps, `direct` and
`curriculum`; the first --few-steps of the second are the phase `few`. Config values given here apply to both. It draws
the loss of both against the step into ROOT/curriculum.png and prints where the plateau ends: the first row of the log
from which on the training cross-entropy stays below 0.98 of chance, ln(classes).
"""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from downscale_jax.evaluation.drawing import style as look
from downscale_jax.runtime.errors import UserError
from downscale_jax.training.log import read
from experiments.command_line import Parser, at_least, run_program
from experiments.many_runs import Run, markdown, parse_overrides, resolve, run_all, show

STARTED = 0.98  # of the loss of chance
Curve = tuple[np.ndarray, np.ndarray]  # steps, cross-entropy of training


def arms(config: str, common: dict[str, Any], few: int) -> list[Run]:
    """The two runs. Raises UserError where the first phase would leave nothing of the second."""
    total = resolve(config, common)['training.main.steps']
    if not 0 < few < total:
        raise UserError(f'--few-steps={few}: between 1 and training.main.steps={total} are needed')
    phases = {
        'direct': {'training.phases': ('main',)},
        'curriculum': {
            'training.phases': ('few', 'main'),
            'training.few.steps': few,
            'training.main.steps': total - few,
        },
    }
    return [Run(name, {**common, **overrides}) for name, overrides in phases.items()]


def curve(workdir: Path) -> Curve:
    rows = [row for row in read(workdir / 'metrics.jsonl') if row['task'] == 'lags' and 'train/cross_entropy' in row]
    return np.array([row['step'] for row in rows]), np.array([row['train/cross_entropy'] for row in rows])


def start(steps: np.ndarray, loss: np.ndarray, chance: float) -> float:
    """The step at which the plateau ends; NaN where it does not."""
    above = np.flatnonzero(~(loss < STARTED * chance))
    first = above[-1] + 1 if above.size else 0
    return float(steps[first]) if first < len(steps) else np.nan


@matplotlib.rc_context(look.LOOK)
def draw(curves: dict[str, Curve], chance: float, few: int, what: str, path: Path) -> None:
    figure = look.blank(3.6, 'With and without a first phase of few pairs', what)
    axes = figure.subplots()
    looks = look.looks(curves)
    for name, (steps, loss) in curves.items():
        axes.plot(steps, loss, **looks[name])
        axes.plot(start(steps, loss, chance), STARTED * chance, 'o', color=looks[name]['color'])
    axes.axhline(chance, color=look.QUIET, linewidth=1, linestyle=':')
    axes.axvline(few, color=look.QUIET, linewidth=1, linestyle=':')
    axes.set(xlabel='step', ylabel='cross-entropy of training (nat)', xlim=(0, None))
    axes.annotate('few', (few, axes.get_ylim()[1]), (-6, 4), ha='right', **look.OUTSIDE, color=look.QUIET)
    axes.annotate('all', (few, axes.get_ylim()[1]), (6, 4), ha='left', **look.OUTSIDE, color=look.QUIET)
    ends = {name: (float(loss[-1]), looks[name]['color']) for name, (_, loss) in curves.items()}
    look.label_ends(axes, {**ends, 'chance': (chance, look.QUIET)})
    look.save(figure, path)


def main() -> int:
    parser = Parser(__doc__)
    parser.add_argument('--config', default='configs/atmodist.py', help='a variant may follow: FILE:smoke')
    parser.add_argument('--few-steps', type=at_least(1), default=300)
    parser.add_argument('--root', type=Path, default=Path('runs/curriculum'))
    parser.add_argument('--dry-run', action='store_true', help='print the commands')
    options, others = parser.parse_known_args()
    runs = arms(options.config, parse_overrides(others), options.few_steps)
    if options.dry_run:
        print(show(runs, options.config, options.root))
        return 0
    scores = run_all(runs, options.config, options.root)
    if len(scores) < len(runs):
        return 1
    settings = resolve(options.config, runs[0].overrides)
    chance, data = float(np.log(settings['data.lags'])), settings['data.path'] or 'idealised atmosphere'
    curves = {run.name: curve(options.root / run.name) for run in runs}
    what = (
        f'{Path(data).name}, {settings["data.lags"]} lags, {settings["training.few.examples"]} pairs in the first phase'
    )
    draw(curves, chance, options.few_steps, what, options.root / 'curriculum.png')
    columns = ('run', 'plateau ends at step', 'accuracy', 'lag_error', 'median_error')
    table = [{'run': name, columns[1]: start(*curves[name], chance), **scores[name]['atmodist']} for name in scores]
    print(f'\n{markdown(table, columns)}\n')
    return 0


if __name__ == '__main__':
    run_program(main)
