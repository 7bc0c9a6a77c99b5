"""Arguments of main.py: mistakes, values that may be None, and commands that need a trained model."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from downscale_jax.runtime.errors import UserError

ROOT = Path(__file__).parents[1]
CONFIG = f'--config={ROOT}/configs/diffusion_sit.py:smoke'


@pytest.mark.parametrize(
    ('arguments', 'parts'),
    [
        ([], ['--config is missing', 'configs/diffusion_sit.py']),
        (['--config=configs/difusion_sit.py'], ['no file configs/difusion_sit.py', "'configs/diffusion_sit.py'"]),
        (['--config=configs/diffusion_sit.py:smok'], ["unknown variant ':smok'", ':smoke', ':paper']),
        ([CONFIG, '--mode=evalute'], ["--mode='evalute' is unknown", "did you mean 'evaluate'"]),
        ([CONFIG, '--config.data.pth=x'], ["has no key 'data.pth'", "did you mean 'data.path'"]),
        ([CONFIG, '--config.training.batch_size=many'], ['batch_size', 'many']),
        ([CONFIG, '--wrkdir=x'], ['wrkdir']),
        ([CONFIG, '--members=few', '--mode=downscale'], ['members', 'few']),
        ([CONFIG, 'train'], ["'train' is not a flag"]),
        ([CONFIG, '--config.seed=None'], ['config.seed', 'None']),
        ([CONFIG, '--mode=downscale', '--output=x.zarr'], ['--mode=downscale needs --input']),
        ([CONFIG, '--mode=downscale', '--input=x.nc'], ['--mode=downscale needs --output']),
        ([CONFIG, '--workdir=ftp://host/run'], ["--workdir 'ftp://host/run'", 'read only', 's3://']),
    ],
)
def test_mistakes_on_the_command_line(error_line, arguments, parts):
    line = error_line(*arguments)
    assert all(part in line for part in parts), line


def test_none_on_the_command_line_is_not_set():
    """In a process of its own: the flags of absl are global."""
    code = 'import sys, main; print(repr(main.parse(sys.argv).given))'
    for variant, overrides, given in (
        ('smoke', ['sampling.temperature=0', 'evaluation.records=None'], {'records': None, 'temperature': 0.0}),
        ('paper', ['sampling.temperature=None', 'evaluation.records=3'], {'records': 3, 'temperature': None}),
        ('paper', ["evaluation.zones=(('ice',0.3),)", "evaluation.measures=('pointwise',)"],
         {'measures': ('pointwise',), 'zones': (('ice', 0.3),)}),
        # other forms that absl accepts
        ('paper', ['-config.sampling.steps=7', '--noconfig.data.flips', '--config.evaluation.neighbours'],
         {'flips': False, 'neighbours': True, 'steps': 7}),
    ):  # fmt: skip
        arguments = [f'--config=configs/diffusion_sit.py:{variant}']
        arguments += [item if item.startswith('-') else f'--config.{item}' for item in overrides]
        done = subprocess.run([sys.executable, '-c', code, *arguments], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found = ast.literal_eval(done.stdout.strip())
        assert {key.split('.')[1]: value for key, value in found.items()} == given


def test_nothing_trained_yet(tmp_path):
    from data_prep.prepare import prepare
    from downscale_jax.run import Downscaling, downscale, evaluate

    for output, reason in {'memory://out.zarr': 'is read only', 's3://bucket/out.nc': r'must end in \.zarr'}.items():
        with pytest.raises(UserError, match=f"--output '{output}'.*{reason}"):
            downscale(tmp_path / 'run', {}, Downscaling('coarse.nc', output))
    with pytest.raises(UserError, match=r'is not a work directory.*train first'):
        downscale(tmp_path / 'run', {}, Downscaling('coarse.nc', str(tmp_path / 'out.zarr')))
    with pytest.raises(UserError, match=r'is not a work directory.*train first'):
        evaluate(tmp_path / 'run', {}, prepare)
    assert not list(tmp_path.iterdir())
