"""Glaciers: outlines from multispectral scenes, and area change (docs/systems/glaciers.md; Diaconu and Bamber 2023).

    python main.py --config=configs/glaciers.py           under 15 minutes on 2 CPU cores, a simulated mountain range
    python main.py --config=configs/glaciers.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/glaciers.py:paper     published size and constants, for accelerators

One fold of five is tested; all folds: python -m experiments.glacier_folds. For real scenes set data.path, data.outlines
and data.elevation.
"""

from ml_collections import ConfigDict


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of glaciers: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'glaciers'
    config.seed = 0

    config.data = ConfigDict()
    config.data.kind = 'scenes'  # a record: a multispectral image with its clouds
    config.data.path = ''  # a table of scenes, or Sentinel-2 products; empty: simulated
    config.data.outlines = ''
    config.data.elevation = ''
    config.data.simulate = ConfigDict({'rows': 768, 'columns': 1792, 'scenes': 5})  # of 30 m; scenes in each year
    config.data.bands = ('blue', 'green', 'red', 'nir', 'swir')
    config.data.dates = ('2015-08-25', '2023-08-25')  # the first is that of the outlines
    config.data.days = 30
    config.data.candidates = 5  # each glacier gets the clearest of this many scenes
    config.data.least_km2 = 0.1
    config.data.folds = 5  # of equal glacier area, from west to east
    config.data.fold = 0  # the fold that is tested; the next one is used for validation
    config.data.patch = 64  # cells per side
    config.data.patches_per_glacier = 8
    config.data.jitter = 0.05  # of the brightness of training patches

    config.model = ConfigDict()
    config.model.network = 'unet'
    config.model.widths = (24, 32, 48)
    config.model.bottleneck = 64
    config.model.blocks = 1
    config.model.stem = 2  # 2 x 2 cells enter together
    config.model.tail = 24
    config.model.dtype = 'float32'

    config.training = ConfigDict()
    config.training.batch_size = 16
    config.training.accumulate = 1
    config.training.ema_decay = 0.99
    config.training.log_every = 50
    config.training.validate_every = 200
    config.training.validation_batches = 16
    config.training.keep = 2
    config.training.phases = ('main',)
    main = ConfigDict({'steps': 1200, 'learning_rate': 3e-3, 'warmup': 100, 'weight_decay': 1e-4})
    config.training.main = ConfigDict({**main, 'optimizer': 'muon'})

    config.sampling = ConfigDict({'tile': 128, 'overlap': 32, 'orientations': 8})

    config.evaluation = ConfigDict()
    config.evaluation.zone = 300.0  # m around the glaciers
    config.evaluation.buffer = 60.0  # m around the outlines, twice their usual error, which is one cell
    config.evaluation.forest_pixels = 30_000
    config.evaluation.outlier = 5.0

    if variant == 'smoke':
        config.data.simulate = ConfigDict({'rows': 192, 'columns': 384, 'scenes': 2})
        config.data.update({'patch': 32, 'patches_per_glacier': 4, 'folds': 3, 'candidates': 2})
        config.model.update({'widths': (8, 8), 'bottleneck': 8, 'tail': 8})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 16})
        config.training.main.update({'steps': 20, 'warmup': 5})
        config.sampling.update({'tile': 64, 'overlap': 16, 'orientations': 2})
        config.evaluation.forest_pixels = 1000
    if variant == 'paper':
        config.data.update({'patch': 256, 'days': 15, 'patches_per_glacier': 16, 'jitter': 0.0})
        config.data.simulate.columns = 4096  # of simulated data
        config.model.network = 'resnet34'
        config.training.update({'batch_size': 64, 'ema_decay': 0.0, 'phases': ('first', 'second', 'third')})
        config.training.update({'validate_every': 500, 'validation_batches': 64})
        # 50 epochs; the rate falls to a tenth after the 10th and the 25th
        rule = {'optimizer': 'sgd', 'momentum': 0.95, 'nesterov': True, 'schedule': 'constant', 'clip': 0.0}
        config.training.first = ConfigDict({**rule, 'steps': 1000, 'learning_rate': 1e-2})
        config.training.second = ConfigDict({**rule, 'steps': 1500, 'learning_rate': 1e-3, 'keep_moments': True})
        config.training.third = ConfigDict({**rule, 'steps': 2500, 'learning_rate': 1e-4, 'keep_moments': True})
        config.sampling.update({'tile': 256, 'overlap': 112, 'orientations': 1})
        config.evaluation.buffer = 0.0
    return config
