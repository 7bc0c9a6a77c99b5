"""CORDEX ML-Bench: 16 x 16 predictors of 2 degrees to 128 x 128 cells of about 11 km (docs/guides/cordex_bench.md).

    python main.py --config=configs/cordex_bench.py:ALPS --config.data.root=Bench-data --config.data.experiment=ESD
    python main.py --config=configs/cordex_bench.py:NZ --config.data.root=Bench-data --config.data.experiment=Emulator
    python main.py --config=configs/cordex_bench.py:SA-smoke ..           a test of the installation, minutes on 2 cores

For accelerators; cost and scores are unknown, since the benchmark's data were not available. Without the orography:
--config.data.context="('season',)". Then `python -m experiments.cordex_bench predict --workdir=..` (see there).
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict, FieldReference

GCMS = {'ALPS': 'CNRM-CM5', 'NZ': 'ACCESS-CM2', 'SA': 'ACCESS-CM2'}  # in training
PREDICTORS = tuple(f'{name}_{level}' for name in 'uvtzq' for level in (850, 700, 500))


def get_config(variant: str = '') -> ConfigDict:
    """The config of a domain: 'ALPS', 'NZ' or 'SA', followed by '-smoke' for tiny networks."""
    domain, _, size = variant.partition('-')
    if domain not in GCMS or size not in ('', 'smoke'):
        raise ValueError(f"unknown variant ':{variant}' of cordex_bench: valid are :ALPS, :NZ, :SA, also with -smoke")
    config = runpy.run_path(str(Path(__file__).with_name('pairs.py')))['get_config'](size)
    data = config.data
    data.domain = domain
    data.root = FieldReference('Bench-data')  # the folder that holds ALPS, NZ and SA as they are unpacked
    data.experiment = FieldReference('ESD')  # or 'Emulator'
    train = data.get_ref('root') + f'/{domain}/{domain}_domain/train/' + data.get_ref('experiment') + '*'
    data.coarse = train + f'/predictors/{GCMS[domain]}_*.nc'
    data.fine = train + f'/target/pr_tasmax_{GCMS[domain]}_*.nc'
    data.relief = train + '/predictors/[Ss]tatic*.nc'
    data.predictors = PREDICTORS
    data.predictor_units = ('',) * len(PREDICTORS)  # as they are: all files of a domain share them
    data.targets = ('pr', 'tasmax')
    data.target_units = ('mm day-1', 'K')
    data.assume_units = True  # the files of some domains give no units; by definition they are those above
    # whole years of the period of ESD and of the two periods of Emulator
    data.train = (('1961', '1976'), ('2080', '2095'))
    data.validation = (('1977', '1978'), ('2096', '2097'))
    data.test = (('1979', '1980'), ('2098', '2099'))
    data.context = ('season', 'topography')

    if not size:
        data.patch = 128  # the whole domain
        data.patches_per_record = 1
        config.model.update({'widths': (64, 128, 256), 'bottleneck': 256, 'dtype': 'bfloat16', 'stem': 2})
        config.diffusion.regression_steps_share = 1.0
        config.training.update({'batch_size': 32, 'ema_decay': 0.9995, 'validate_every': 1000, 'log_every': 100})
        config.training.validation_batches = 8
        config.training.main.update({'steps': 40_000, 'learning_rate': 5e-4, 'warmup': 1000, 'optimizer': 'adamw'})
        config.evaluation.update({'records': 60, 'calibration_records': 20})
    return config
