"""How much the published form of the inputs flatters: a box-filtered field left on the fine grid is nearly invertible.

    python experiments/observation_image.py [--config=configs/diffusion_sit.py] [--steps=400] [main.py's overrides ...]

Trains the same networks on coarse inputs in the observation's image (filtered, sampled, interpolated back) and in the
published form (filtered only), and tables the regression's error over the coarse field's. About 8 minutes on 2 cores.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

FORMS = {'observed (default)': None, 'filtered only (published)': 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='configs/diffusion_sit.py')
    parser.add_argument('--steps', type=int, default=400)
    parser.add_argument('--inputs', type=int, default=4, help='number of inputs of the config')
    parser.add_argument('--root', type=Path, default=Path('runs/observation_image'))
    options, overrides = parser.parse_known_args()
    rows = ['| inputs | RMSE of the coarse field | of the regression | ratio |', '|---|---|---|---|']
    for name, spacing in FORMS.items():
        workdir = options.root / f'{"observed" if spacing is None else "filtered"}-{options.steps}'
        command = [sys.executable, 'main.py', f'--config={options.config}', f'--workdir={workdir}', *overrides]
        command += [f'--config.training.main.steps={options.steps}', '--config.evaluation.members=2']
        if spacing is not None:
            command.append(f'--config.data.spacing_km={(spacing,) * options.inputs}')
        subprocess.run(command, check=True)
        scores = json.loads((workdir / 'scores.json').read_text())
        coarse, regression = scores['coarse']['rmse'], scores['regression']['rmse']
        rows.append(f'| {name} | {coarse:.4f} | {regression:.4f} | {regression / coarse:.2f} |')
    print('\n' + '\n'.join(rows))
    (options.root / 'table.md').write_text('\n'.join(rows) + '\n')


if __name__ == '__main__':
    main()
