"""SRGAN with a content loss learned from the atmosphere (docs/systems/srgan.md; Hoffmann and Lessig 2022).

    python main.py --config=configs/srgan.py           under 10 minutes on 2 CPU cores, a simulated dry atmosphere
    python main.py --config=configs/srgan.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/srgan.py:paper     published size and constants, for accelerators

To use the distance of AtmoDist as content loss, train it (`python main.py --config=configs/atmodist.py`) and add
    --config.contents="('mse','atmodist')" --config.content.workdir=runs/atmodist
experiments/content_loss.py does both. For real fields set data.path and the other keys of `data`
(docs/systems/srgan_results.md).
"""

from ml_collections import ConfigDict, FieldReference

INFINITY = float('inf')


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default), 'smoke' or 'paper'."""
    if variant not in ('', 'smoke', 'paper'):
        raise ValueError(f"unknown variant ':{variant}' of srgan: valid are :smoke and :paper")
    config = ConfigDict()
    config.system = 'srgan'
    config.seed = 0
    config.contents = ('mse',)  # a GAN for each: 'mse', 'atmodist', 'spectral'; (): the generator alone

    config.data = ConfigDict()
    config.data.kind = 'block_means'  # a record: fine fields, whose block means are the coarse ones
    config.data.path = ''  # a file, glob, Zarr store or URL; empty: simulated
    config.data.simulate = ConfigDict({'days': 200, 'rows': 64, 'seed': 0})  # 3-hourly; rows: latitudes; as AtmoDist
    config.data.variables = ('vorticity', 'divergence')
    config.data.level = 0.0  # vertical level, in the file's own units, where it has several; 0: it has only one
    # the dates of AtmoDist, so that its encoder has seen neither validation nor test
    config.data.train = (('2001-01-01', '2001-05-20'),)
    config.data.validation = (('2001-05-24', '2001-06-10'),)
    config.data.test = (('2001-06-14', '2001-07-19'),)
    config.data.factor = 4  # cells per side of a block
    config.data.mean = 'network'  # average transformed values, as published; 'physical': physical values
    config.data.transform = 'log'  # logarithmic, for heavy tails; 'standard': z-scores
    config.data.anomaly = False
    config.data.bounds = ((-INFINITY, INFINITY),) * 2  # physical (lower, upper) of each variable
    config.data.patch = 32  # fine cells per side
    config.data.patches_per_record = 8  # cut from each record in every epoch

    config.model = ConfigDict()
    config.model.factors = (2, 2)
    config.model.width = 32
    config.model.blocks = 6
    config.model.kernel = 5
    config.model.activation = 'leaky_relu'
    config.model.padding = 'SAME'
    config.model.biases = 'zero'  # initial values; or 'xavier', as published for PhIRE
    config.model.dtype = 'float32'
    config.discriminator = ConfigDict({'widths': (16, 32, 64, 128), 'dense': 256})

    config.content = ConfigDict()
    config.content.workdir = ''  # of a trained AtmoDist, for the content loss 'atmodist'
    config.content.stage = 1  # of its encoder; 0: the last
    config.content.shifts = 4  # random shifts per axis of the fields shown to the encoder; 1: none
    config.content.scale = 'network'  # its weight matches squared errors of transformed values; 'standard': of z-scores
    config.content.model = ConfigDict(
        {'widths': (24, 48, 96), 'blocks': 1, 'stem': 3, 'pool': False, 'momentum': 0.9, 'dtype': 'float32'}
    )

    config.training = ConfigDict()
    config.training.batch_size = 16
    config.training.accumulate = 1
    config.training.adversarial = 1e-3  # weight of the adversarial loss
    config.training.balance = (0.46, 0.6)  # discriminator losses below and above which one network steps twice
    config.training.log_every = 50
    config.training.validate_every = 100
    config.training.validation_batches = 16
    config.training.keep = 2
    config.training.phases = ('mse', 'gan', 'late')  # the first trains the generator alone, the others every GAN
    common = {'optimizer': 'adamw', 'beta2': 0.99, 'clip': 0.0}
    config.training.mse = ConfigDict({**common, 'steps': 1500, 'learning_rate': 1e-3, 'warmup': 50})
    config.training.gan = ConfigDict({**common, 'steps': 500, 'learning_rate': 2e-4, 'schedule': 'constant'})
    config.training.late = ConfigDict({**common, 'steps': 100, 'learning_rate': 2e-5, 'schedule': 'constant'})

    config.sampling = ConfigDict()
    config.sampling.tile = 512  # fine cells a side, at most
    config.sampling.overlap = 128  # receptive field: 68 cells to each side; 64 left seams of 0.07 standard deviations
    config.sampling.conserve = False  # True: adjust fields so that their block means are the coarse field

    config.evaluation = ConfigDict()
    config.evaluation.measures = (
        'examples', 'pointwise', 'anomaly_correlation', 'similarity', 'scales', 'spectra', 'semivariogram',
        'increments', 'features', 'scattering', 'distribution', 'places', 'extremes', 'hot_dry', 'lag1', 'closure',
        'bounds', 'normality', 'seams',
    )  # fmt: skip
    config.evaluation.subsets = ()  # numbers of members whose mean is scored too; (): only all members
    config.evaluation.records = FieldReference(96)  # of the test split, evenly spread; None: all
    config.evaluation.neighbours = False  # whether records are chosen in consecutive pairs, which lag-1 scores need
    config.evaluation.baselines = ('bicubic',)  # also 'linear', 'quantile_mapping'
    config.evaluation.window = 40  # cells per side of the windows for spectra of the scales
    config.evaluation.regimes = ()  # edges of classes of each coarse target; (): terciles of training
    config.evaluation.zones = ()  # (name, threshold) of each coarse target, scored separately; (): none
    config.evaluation.places = ''  # CSV file with name, latitude, longitude; empty: 150 large cities

    if variant == 'smoke':
        config.data.simulate = ConfigDict({'days': 9, 'rows': 32, 'seed': 0})
        config.data.train = (('2001-01-01', '2001-01-04'),)
        config.data.validation = (('2001-01-05', '2001-01-06'),)
        config.data.test = (('2001-01-07', '2001-01-09'),)
        config.data.patch = 16
        config.model.update({'width': 8, 'blocks': 1, 'kernel': 3})
        config.discriminator.update({'widths': (8, 8), 'dense': 8})
        config.content.model.widths = (8, 8, 8)
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1, 'batch_size': 8})
        config.training.mse.steps = config.training.gan.steps = config.training.late.steps = 10
        config.sampling.overlap = 8
        config.evaluation.update({'records': 8, 'window': 16})
    if variant == 'paper':
        config.data.patch = 96
        config.data.patches_per_record = 20
        config.data.simulate.rows = 256  # of simulated data: a patch must fit
        config.model.update({'width': 64, 'blocks': 16, 'kernel': 9})
        config.discriminator.update({'widths': (32, 64, 128, 256), 'dense': 1024})
        config.content.update({'stage': 0, 'shifts': 1, 'scale': 'standard'})
        config.content.model.update({'widths': (16, 32, 64, 128), 'blocks': 6, 'stem': 8, 'pool': True})
        config.content.model.momentum = 0.99
        rate = {**common, 'beta2': 0.999, 'schedule': 'constant', 'warmup': 0}
        # batches of 64: 5 epochs of 58,440 times, 20 patches each, then 15 and 5
        config.training.update({'batch_size': 64, 'validate_every': 2000, 'validation_batches': 64})
        config.training.mse = ConfigDict({**rate, 'steps': 91_300, 'learning_rate': 1e-4})
        config.training.gan = ConfigDict({**rate, 'steps': 274_000, 'learning_rate': 1e-4})
        config.training.late = ConfigDict({**rate, 'steps': 91_300, 'learning_rate': 1e-5})
        config.sampling.update({'tile': 768, 'overlap': 320})  # receptive field: 158 cells to each side
        config.evaluation.records = None
    return config
