"""How optimistic the published inputs are: a box-filtered field left on the fine grid is nearly invertible.

    python -m experiments.observation_image [--steps=300] [--root=runs/observation_image]     about 6 minutes on 2 cores

Trains the regression of configs/diffusion_sit.py on coarse inputs as an instrument would see them (filtered, sampled,
interpolated back) and in the published form (filtered only). Its validation loss, in units of the variance of what the
coarse field lacks, is the share of that variance which it leaves unexplained. What the second form explains beyond the
first, no observation could have provided.
"""

from pathlib import Path

from data_prep.prepare import prepare
from downscale_jax.run import train_tasks
from downscale_jax.runtime import messages
from downscale_jax.systems.checks import before_training
from downscale_jax.systems.diffusion import SYSTEM
from downscale_jax.training.log import read
from experiments.command_line import Parser, at_least, run_program
from experiments.configs import read_config

FORMS = {'observed': None, 'filtered': 0.0}  # data.spacing_km


def main() -> None:
    messages.to_terminal()
    parser = Parser(__doc__)
    parser.add_argument('--steps', type=at_least(1), default=300)
    parser.add_argument('--root', type=Path, default=Path('runs/observation_image'))
    options = parser.parse_args()
    rows = ['| coarse inputs | variance of the anomaly that the regression leaves unexplained |', '|---|---|']
    for form, spacing in FORMS.items():
        config = read_config('configs/diffusion_sit.py')
        config['training']['main']['steps'] = options.steps
        if spacing is not None:
            config['data']['spacing_km'] = (spacing,) * len(config['data']['inputs'])
        workdir = options.root / f'{form}-{options.steps}'
        regression = {'regression': before_training(SYSTEM, config)['regression']}
        train_tasks(config, workdir, prepare, regression)
        loss = [row['validation/loss'] for row in read(workdir / 'metrics.jsonl') if 'validation/loss' in row][-1]
        rows.append(f'| {form} | {loss:.2f} |')
    print('\n'.join(rows))


if __name__ == '__main__':
    run_program(main)
