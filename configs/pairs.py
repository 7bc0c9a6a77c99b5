"""Pairs of coarse and fine data from different sources (docs/systems/pairs.md).

    python main.py --config=configs/pairs.py           10 minutes on 2 CPU cores, a simulated pair
    python main.py --config=configs/pairs.py:smoke     under a minute: a test of the installation
    python main.py --config=configs/pairs.py --config.data.coarse=COARSE.nc --config.data.fine=FINE.nc

Coarse predictors and fine targets may lie on any two grids with coordinates. What is left open here, () or None, is
chosen from the two files, printed, and stored in config.json.
"""

from ml_collections import ConfigDict, FieldReference
from ml_collections.config_dict import placeholder


def get_config(variant: str = '') -> ConfigDict:
    """The config of a variant: '' (default) or 'smoke'."""
    if variant not in ('', 'smoke'):
        raise ValueError(f"unknown variant ':{variant}' of pairs: valid is :smoke")
    config = ConfigDict()
    config.system = 'pairs'
    config.seed = 0
    config.generator = (
        'diffusion'  # or 'distilled' (a few evaluations of the network per member), or 'one_pass' (a single one)
    )

    config.data = ConfigDict()
    config.data.kind = 'pairs'  # a record: a coarse field of predictors and a fine field of targets, on two grids
    config.data.coarse = ''  # a file, glob, Zarr store or URL; empty, together with data.fine: a simulated pair
    config.data.fine = ''
    config.data.simulate = ConfigDict({'rows': 80, 'columns': 120, 'months': 480})  # of the fine grid; 40 years
    config.data.member = 0  # of the coarse file, where it holds an ensemble
    config.data.predictors = ()  # variables of the coarse file, `u_850` for u at 850 hPa; (): all that have times
    config.data.targets = ()  # variables of the fine file; (): all that have times
    config.data.predictor_units = ()  # units in which predictors are read; '': as in the file
    config.data.target_units = ()
    config.data.assume_units = False  # whether variables without units are taken to have these
    config.data.sources = ()  # for each target the predictor of the same quantity, '' where there is none
    config.data.predictor_transform = ()  # 'standard', 'log1p' or 'log' of each; (): log1p of precipitation
    config.data.transform = ()  # of each target
    config.data.bounds = ()  # physical (lower, upper) of each target
    config.data.train = ()  # pairs of first and last date; (): by blocks of time
    config.data.validation = ()
    config.data.test = ()
    config.data.context = ()  # 'season', 'hour', 'latitude', 'topography', 'land', static variables of the fine file
    config.data.relief = ''  # file with a topography, where the fine data have none
    config.data.patch = placeholder(int)  # fine cells per side
    config.data.patches_per_record = 8  # cut from each record in every epoch

    config.model = ConfigDict()
    config.model.widths = (64, 96)
    config.model.bottleneck = 128
    config.model.blocks = 2
    config.model.embedding = 64
    config.model.stem = placeholder(int)  # cells per side that the first layer joins; None: 4, fewer on small grids
    config.model.tail = 128
    config.model.time = 'blocks'
    config.model.dtype = 'float32'  # of the computation: 'bfloat16' on accelerators; parameters stay float32

    config.diffusion = ConfigDict()
    config.diffusion.signal_rates = (0.9995, 0.01)  # at t = 0 and t = 1
    config.diffusion.level = 'angle'  # shown to the network: gamma/(pi/2); 'variance': sin^2(gamma)
    config.diffusion.prediction = 'v'  # or 'eps', 'x0'
    config.diffusion.weighting = 'v'  # the quantity whose squared error is minimised
    config.diffusion.first_guess = True  # generate the residual of the regression; False: the target itself
    config.diffusion.cross_fitting = 1  # parts of the training split; one regression per part is trained on the others
    config.diffusion.regression_steps_share = 0.35  # of the steps of each phase

    config.one_pass = ConfigDict()
    config.one_pass.members = 2  # of each example in training
    config.one_pass.steps_share = 0.5  # of the steps of each phase: training takes as long as that of the diffusion
    config.one_pass.noise = 'field'  # one value per cell; or 'vector', the same in the whole domain; or 'both'

    config.distillation = ConfigDict()
    config.distillation.evaluations = 4  # of the network per member
    config.distillation.teacher_evaluations = 16  # per member, of the diffusion that is distilled
    config.distillation.steps_share = 0.5  # of the steps of each phase

    config.training = ConfigDict()
    config.training.batch_size = 8
    config.training.accumulate = 1  # microbatches per step
    config.training.ema_decay = 0.995
    config.training.log_every = 50
    config.training.validate_every = 250
    config.training.validation_batches = 16
    config.training.keep = 2
    config.training.phases = ('main',)
    config.training.main = ConfigDict({'steps': 850, 'learning_rate': 3e-3, 'warmup': 50, 'clip': 1.0})
    config.training.main.update({'weight_decay': 1e-4, 'optimizer': 'muon', 'beta2': 0.99})

    config.sampling = ConfigDict()
    config.sampling.sampler = 'dpm_solver'  # or 'dpm_solver_sde', 'heun', 'ddim', 'ddpm'
    config.sampling.steps = 10  # evaluations of the network
    config.sampling.spacing = 'half_log_snr'  # of the noise levels: or 't', 't_open', 'karras'
    config.sampling.eta = 0.0  # of ddim: fraction of the noise that is drawn afresh in each step, 0 to 1
    config.sampling.temperature = placeholder(float)  # factor of the noise; None: fitted after training
    config.sampling.correlation_hours = 0.0  # e-folding time of the noise; 0: independent times
    config.sampling.tile = 480  # fine cells a side, at most
    config.sampling.overlap = 32  # fine cells that neighbouring tiles share, at least
    config.sampling.members = 8  # per work unit, at most

    config.evaluation = ConfigDict()
    config.evaluation.measures = (
        'examples', 'pointwise', 'anomaly_correlation', 'similarity', 'scales', 'spectra', 'semivariogram',
        'increments', 'features', 'scattering', 'distribution', 'places', 'extremes', 'hot_dry', 'change', 'lag1',
        'bounds', 'normality', 'seams',
    )  # fmt: skip
    config.evaluation.members = 16
    config.evaluation.subsets = ()  # numbers of members whose mean is scored too; (): only all members
    config.evaluation.records = FieldReference(12)  # of the test split, evenly spread; None: all
    config.evaluation.neighbours = False  # whether records are chosen in consecutive pairs, which lag-1 scores need
    config.evaluation.baselines = ()  # (): interpolation and quantile mapping if possible, and linear regression
    config.evaluation.window = placeholder(int)  # cells per side of windows for spectra; None: 40, fewer on small grids
    config.evaluation.regimes = ()  # edges of classes of each coarse target; (): terciles of training
    config.evaluation.zones = ()  # (name, threshold) of each coarse target, scored separately; (): none
    config.evaluation.places = ''  # CSV file with name, latitude, longitude; empty: 150 large cities
    config.evaluation.calibration_records = 6  # of validation, to fit the noise temperature on; 0: temperature 1

    if variant == 'smoke':
        config.data.simulate.update({'rows': 32, 'columns': 40, 'months': 60})
        config.model.update({'widths': (16,), 'bottleneck': 16, 'blocks': 1, 'tail': 16})
        config.training.update({'log_every': 5, 'validate_every': 10, 'validation_batches': 1})
        config.training.main.update({'steps': 10, 'warmup': 5})
        config.sampling.update({'steps': 4, 'members': 2})
        config.evaluation.update({'members': 4, 'records': 3, 'calibration_records': 1})
    return config
