"""AtmoDist: a learned distance between atmospheric states (docs/systems/atmodist.md; Hoffmann and Lessig 2022).

    python main.py --config=configs/atmodist.py           under 10 minutes on 2 CPU cores, a simulated dry atmosphere
    python main.py --config=configs/atmodist.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/atmodist.py:paper     published size and constants, for accelerators

For real winds set data.path and the other keys of `data` (docs/systems/atmodist_results.md).
"""

from ml_collections import ConfigDict


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of atmodist: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'atmodist'
    config.seed = 0
    config.pretexts = ('lags',)  # tasks that train the encoder in turn: 'inpainting', 'lags'

    config.data = ConfigDict()
    config.data.kind = 'lag_pairs'  # a record: two patches of one place, and the lag between their times
    config.data.path = ''  # wind, or vorticity and divergence: a file, glob, Zarr store or URL; empty: simulated
    config.data.simulate = ConfigDict({'days': 200, 'rows': 64})  # 3-hourly; rows: latitudes
    config.data.variables = ('vorticity', 'divergence')
    config.data.level = 0.0  # vertical level, in the file's own units, where it has several; 0: it has only one
    # days between the splits are dropped, because eddies persist longer than the longest lag
    config.data.train = (('2001-01-01', '2001-05-20'),)
    config.data.validation = (('2001-05-24', '2001-06-10'),)
    config.data.test = (('2001-06-14', '2001-07-19'),)
    config.data.step_hours = 3
    config.data.lags = 23  # classes: 1 to this many steps
    config.data.patch = 32  # cells per side
    config.data.pairs_per_time = 31
    config.data.latitudes = (-60.0, 60.0)  # range of the patch centres

    config.model = ConfigDict()
    config.model.widths = (24, 48, 96)  # three stages: a fourth would reduce a patch of 32 cells to 2 x 2
    config.model.blocks = 1
    config.model.stem = 3
    config.model.pool = False
    config.model.tail = 96
    config.model.momentum = 0.9  # of the running batch statistics
    config.model.dtype = 'float32'

    config.training = ConfigDict()
    config.training.batch_size = 64
    config.training.accumulate = 1
    config.training.l2 = 1e-4
    config.training.joint = True  # normalise both patches of a pair by common batch statistics; False: each by its own
    config.training.log_every = 50
    config.training.validate_every = 200
    config.training.validation_batches = 16
    config.training.keep = 2
    config.training.phases = ('main',)  # ('few', 'main') if the loss stays at chance level: start with few pairs
    main = ConfigDict({'steps': 1500, 'learning_rate': 2e-3, 'warmup': 100, 'clip': 5.0})
    main.update({'optimizer': 'adamw', 'beta2': 0.99})
    config.training.main = main
    config.training.few = ConfigDict({**main, 'steps': 300, 'schedule': 'constant', 'examples': 4096})

    config.evaluation = ConfigDict()
    config.evaluation.pairs = 4000  # of the test split; the MSE classifier is fitted to 20 000 training pairs
    config.evaluation.untrained_rival = True  # baseline: a tail trained on an untrained encoder

    if variant == 'smoke':
        config.data.simulate = ConfigDict({'days': 9, 'rows': 32})
        config.data.train = (('2001-01-01', '2001-01-04'),)
        config.data.validation = (('2001-01-05', '2001-01-06'),)
        config.data.test = (('2001-01-07', '2001-01-09'),)
        config.data.update({'lags': 4, 'pairs_per_time': 8})
        config.model.update({'widths': (8, 8, 8), 'tail': 8})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 16})
        config.training.main.update({'steps': 20, 'warmup': 5})
        config.evaluation.pairs = 128
    if variant == 'paper':
        config.data.update({'patch': 160, 'lags': 23})
        config.data.simulate.rows = 256  # of simulated data: a patch must fit
        config.model.update({'widths': (16, 32, 64, 128), 'blocks': 6, 'stem': 8, 'pool': True, 'tail': 128})
        config.model.momentum = 0.99
        rule = {'optimizer': 'sgd', 'schedule': 'constant', 'learning_rate': 0.1, 'warmup': 0}
        rule.update({'clip': 5.0, 'clip_each': True})  # each tensor by its own norm
        config.training.update({'batch_size': 128, 'joint': False, 'phases': ('few', 'all')})
        config.training.update({'validate_every': 2000, 'validation_batches': 64})
        # 20 epochs of the first 256 k pairs, without which training does not start, then up to 60 epochs of all 1.8 M
        config.training.few = ConfigDict({**rule, 'steps': 40_000, 'examples': 256_000})
        config.training.all = ConfigDict({**rule, 'steps': 843_750, 'plateau_every': 14_062, 'keep_moments': True})
    return config
